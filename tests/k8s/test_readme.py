"""What the README and docs/cluster.md say of a cluster is there."""

import os
import re
from pathlib import Path

import yaml

from tests.k8s.manifests import FOLDER, NAMESPACE, OVERLAYS, ROOT, documents, rendered

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
SECTION = README.partition("## On a cluster\n")[2].partition("\n## ")[0] + PAGE
MADE = ("k8s/conf/", "k8s/overlays/mine")  # by start-microservice, and by the reader


def test_every_path_exists() -> None:
    paths = set(re.findall(r"\b((?:k8s|scripts)/[\w./-]*\w)", README + PAGE))
    assert len(paths) > 10
    assert {path for path in paths if not path.startswith(MADE) and not (ROOT / path).exists()} == set()


def test_every_overlay_is_explained() -> None:
    for overlay in OVERLAYS:
        assert f"kubectl apply -k k8s/overlays/{overlay}" in SECTION


def test_every_object_that_is_named_is_there() -> None:
    known = {document["metadata"]["name"] for overlay in OVERLAYS for document in documents(overlay)}
    secrets = set(re.findall(r"^\s*create (inlier-[\w-]+) ", (FOLDER / "create-secrets").read_text(), re.MULTILINE))
    named = set(re.findall(r"\binlier-[a-z0-9-]+\b", SECTION)) - {"inlier-example"}
    assert named <= known | secrets, named - known - secrets
    assert set(re.findall(r"-n (\w+)", SECTION)) == {NAMESPACE}


def test_every_metric_that_is_named_is_shown() -> None:
    source = "".join(path.read_text() for path in (ROOT / "serving/proxy").glob("*metrics.py"))
    for name in re.findall(r"`(inlier_\w+)`", SECTION):
        assert f'"{name}"' in source, name


def test_the_registry_is_named_as_the_readme_says(tmp_path: Path) -> None:
    """An overlay of one's own, as the README has it."""
    (example,) = re.findall(r"```yaml\n# k8s/overlays/mine/kustomization.yaml\n(.*?)```", SECTION, re.DOTALL)
    overlay = os.path.relpath(FOLDER / "overlays" / "local", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(example.replace("../local", overlay))
    images = re.findall(r"image: (\S+)", rendered(tmp_path))
    assert "inlier/proxy:0.1.0" not in images
    assert images.count("registry.example.com/inlier/proxy:0.1.0") == 6


def test_what_is_applied_can_be() -> None:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL))
    overlays = re.findall(r"^kubectl apply -k (\S+)", blocks, re.MULTILINE)
    assert {(ROOT / overlay / "kustomization.yaml").is_file() for overlay in overlays} == {True}
    files = re.findall(r"^kubectl apply -f (\S+)", blocks, re.MULTILINE)
    assert {yaml.safe_load((ROOT / file).read_text())["kind"] for file in files} == {"Namespace"}
