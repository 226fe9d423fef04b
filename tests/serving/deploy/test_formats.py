"""The formats of --format, against the published schemas of their kinds."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from serving.deploy import formats
from serving.deploy.formats import FORMATS
from serving.deploy.service import ModelFile, from_image, from_model
from serving.errors import DeployError
from serving.settings import DeploySettings

CRDS = Path(__file__).resolve().parents[4] / "shared" / "data" / "crds"
SETTINGS = DeploySettings()
FILES = {
    "seldondeployment": "seldondeployments.machinelearning.seldon.io.yaml",
    "inferenceservice": "inferenceservices.serving.kserve.io.yaml",
}


def closed(schema):
    """Return a schema that refuses fields it does not know, as a cluster with strict validation does."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    return made


def schema_of(form):
    path = CRDS / FILES[form]
    if not path.is_file():
        pytest.skip(f"the published schema is not there: {path}")
    described = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    version = FORMATS[form].api_version.rpartition("/")[2]
    (schema,) = [each["schema"]["openAPIV3Schema"] for each in described["spec"]["versions"] if each["name"] == version]
    metadata = schema["properties"].pop("metadata")
    assert metadata == {"type": "object"}
    return schema["properties"]["spec"]


def services():
    located = ModelFile("microservices/mine/x.pkl", "a" * 64, None)
    yield from_image("inne", "inlier/inne:0.1.0", "rest", 1.0, SETTINGS)
    yield from_image("inne", "inlier/inne:0.1.0", "rpc", 1.0, SETTINGS)
    yield replace(from_model("mine", "mine.pkl", "rest", 1.0, SETTINGS), file=located)
    yield from_model("far", "s3://bucket/model", "rest", 1.0, SETTINGS)


@pytest.mark.parametrize("form", FILES)
def test_objects_are_what_the_published_schemas_say(form):
    validator = jsonschema_rs.Draft7Validator(closed(schema_of(form)))
    for service in services():
        (item,) = formats.render(form, service, SETTINGS, replicas=2)["items"]
        assert (item["apiVersion"], item["kind"]) == (FORMATS[form].api_version, FORMATS[form].kind)
        errors = [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(item["spec"])]
        assert errors == []
        assert item["metadata"]["labels"].items() >= {"name": service.name, "service": "seldon"}.items()
    broken = json.loads(json.dumps(item["spec"]).replace('"containers"', '"conteiners"'))
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("version", ["1.29", "1.32", kubernetes_validate.latest_version()])
def test_deployments_and_services_are_what_kubernetes_knows(version):
    for service in services():
        if not service.is_address:
            for item in formats.render("deployment", service, SETTINGS, replicas=2)["items"]:
                kubernetes_validate.validate(item, version, strict=True)


def test_the_operators_fetch_what_an_address_names():
    *_, far = services()
    seldon = formats.render("seldondeployment", far, SETTINGS)["items"][0]["spec"]["predictors"][0]
    assert seldon["graph"]["modelUri"] == "s3://bucket/model"
    kserve = formats.render("inferenceservice", far, SETTINGS)["items"][0]["spec"]["predictor"]
    assert {"name": "STORAGE_URI", "value": "s3://bucket/model"} in kserve["containers"][0]["env"]


@pytest.mark.parametrize(("form", "longest"), [("deployment", 63), ("seldondeployment", 40), ("inferenceservice", 53)])
def test_names_are_as_long_as_a_label_may_be_with_what_is_added(form, longest):
    def named(name):
        return from_image(name, "x", "rest", 1.0, SETTINGS)

    formats.check(form, named("a" * longest))
    with pytest.raises(DeployError, match=f"at most {longest} characters"):
        formats.check(form, named("a" * (longest + 1)))
    with pytest.raises(DeployError, match="begins with a letter"):
        formats.check(form, named("1a"))
