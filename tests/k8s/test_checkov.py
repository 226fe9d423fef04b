"""checkov finds nothing in the manifests that a line beside them does not justify."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.environments import environment
from tests.k8s.manifests import FOLDER, OVERLAYS, documents, microservice, rendered

LOCK = Path(__file__).with_name("checkov") / "requirements.txt"
pytestmark = pytest.mark.slow


def checked(path: Path) -> dict[str, Any]:
    checkov = [environment("checkov", LOCK), "-m", "checkov.main"]
    command = [
        *checkov,
        "--framework",
        "kubernetes",
        "--file",
        path,
        "--output",
        "json",
        "--compact",
        "--skip-download",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_failure_is_justified(overlay: str, tmp_path: Path) -> None:
    path = tmp_path / f"{overlay}.yaml"
    path.write_text(rendered(FOLDER / "overlays" / overlay))
    found = checked(path)
    failures = [f"{check['check_id']} {check['check_name']}: {check['resource']}" for check in _of(found, "failed")]
    assert failures == []
    assert found["summary"]["passed"] > 200
    assert found["summary"]["parsing_errors"] == 0
    said = {check["check_result"]["suppress_comment"] for check in _of(found, "skipped")}
    assert min(len(reason.split()) for reason in said) >= 5


def test_no_justification_is_left_over() -> None:
    """An annotation for a check that would pass is one that hides the next failure."""
    for overlay in OVERLAYS:
        for document in documents(overlay):
            reasons = [
                value
                for key, value in document["metadata"].get("annotations", {}).items()
                if key.startswith("checkov.io/skip")
            ]
            assert {reason.partition("=")[0] for reason in reasons} <= {"CKV_K8S_15", "CKV_K8S_40", "CKV_K8S_43"}


def test_a_microservice_has_no_other_failures_than_ours(tmp_path: Path) -> None:
    path = tmp_path / "microservice.yaml"
    path.write_text(yaml.safe_dump_all(microservice()))
    failures = {check["check_id"] for check in _of(checked(path), "failed")}
    # a tag of a version, the pull policy that fits it, and the network policy, which an overlay has for all of them
    assert failures <= {"CKV_K8S_43", "CKV_K8S_15", "CKV2_K8S_6"}


def test_it_would_find_something(tmp_path: Path) -> None:
    text = rendered(FOLDER / "overlays/local").replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    path = tmp_path / "local.yaml"
    path.write_text(text)
    assert {check["check_id"] for check in _of(checked(path), "failed")} == {"CKV_K8S_22"}


def _of(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = found["results"][f"{kind}_checks"]
    return checks
