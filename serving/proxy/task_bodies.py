"""The bodies of the six endpoints, as pydantic models; the OpenAPI document is made from them."""

import difflib
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# plain names, separated by /: what training.storage.check_key takes, but for lengths in bytes
_NAME = r"[^./\\\u0000-\u001f\u007f-\u009f\u2028\u2029][^/\\\u0000-\u001f\u007f-\u009f\u2028\u2029]{0,48}"
PATH_PATTERN = rf"^{_NAME}(/{_NAME}){{0,3}}$"
UUID_PATTERN = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def check_uuid(text: str) -> str:
    """Return a UUID in its usual form, or raise a ValueError."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is not a UUID") from None


RequestId = Annotated[
    str,
    AfterValidator(check_uuid),
    Field(description="The `_id` of the task; the same again is the same task.", json_schema_extra={"format": "uuid"}),
]
MAX_PATH = 800
Path = Annotated[str, Field(max_length=MAX_PATH)]


def detector_titles() -> str:
    """Return the detectors that there are."""
    from detectors.registry import DETECTORS  # numba and scikit-learn come with it: much for who only keeps tasks

    return ", ".join(detector.title for detector in DETECTORS.values())


def series_methods() -> str:
    """Return what a series can be judged by."""
    from detectors.registry import DETECTORS

    names = [name for name, detector in DETECTORS.items() if detector.kind == "univariate"]
    return f"{', '.join(names)} or auto"


_LISTS = {"<detectors>": detector_titles, "<methods>": series_methods}
"""What stands in descriptions for a list, which is found out when somebody reads them."""


class TaskBody(BaseModel):
    """What all tasks are asked for with. Fields that are "" or null are absent."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    kind: ClassVar[str]
    spellings: ClassVar[Mapping[str, str]] = {}
    """Other names of fields, which the first clients used."""

    request_id: RequestId
    save_charts: bool = Field(default=False, description="Also draw charts: a web page and an image.")
    parameters: dict[str, Any] | None = Field(default=None, description="The detector's own parameters, by name.")

    @model_validator(mode="before")
    @classmethod
    def _known_and_there(cls, body: object) -> object:
        """Leave out what is absent; name unknown fields and the nearest known."""
        if not isinstance(body, dict):
            raise ValueError("the body should be an object")  # noqa: TRY004  # pydantic's way to say it
        known = [*cls.model_fields, *cls.spellings]
        present: dict[str, Any] = {}
        for name, value in body.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                raise ValueError(
                    f"unknown field {name[:80]!r}; "
                    + (f"the nearest is {near[0]!r}" if near else f"known are {', '.join(known)}")
                )
            if value is None or value == "":
                continue
            field = cls.spellings.get(name, name)
            if field in present:
                both = ", ".join(repr(word) for word, meant in cls.spellings.items() if meant == field)
                raise ValueError(f"{field!r} and {both} are names of one field: give one of them")
            present[field] = value
        return present

    def content(self) -> dict[str, Any]:
        """Return what the task does: everything but the id, without what is absent."""
        return self.model_dump(exclude={"request_id"}, exclude_none=True)

    @classmethod
    def json_schema(cls, ref_template: str) -> dict[str, Any]:
        """Return its JSON schema, with both spellings, and with what "" and null mean."""
        schema = cls.model_json_schema(ref_template=ref_template)
        properties, required = schema["properties"], schema["required"]
        for other, name in cls.spellings.items():
            properties[other] = {**properties[name], "description": f"Another name of `{name}`."}
        twins = {*cls.spellings, *cls.spellings.values()}
        for name, field in properties.items():
            properties[name] = _described(field, optional=name not in required or name in twins)
        schema["required"] = [name for name in required if name not in twins]
        conditions = [*map(_one_of_two, cls.spellings.values(), cls.spellings), *cls.conditions()]
        if conditions:
            schema["allOf"] = conditions
        return schema

    @classmethod
    def conditions(cls) -> list[dict[str, Any]]:
        """Return what else a body has to satisfy, as JSON schemas."""
        return []


_THERE = {"type": "string", "minLength": 1}
_ABSENT = {"enum": ["", None]}
_NOTHING = {"anyOf": [_ABSENT, {"type": "object", "maxProperties": 0}]}


def _with(there: str, **more: Any) -> dict[str, Any]:
    return {"required": [there], "properties": {there: _THERE, **more}}


def _one_of_two(name: str, other: str) -> dict[str, Any]:
    return {"anyOf": [_with(name, **{other: _ABSENT}), _with(other, **{name: _ABSENT})]}


def _described(field: dict[str, Any], *, optional: bool) -> dict[str, Any]:
    """Return the schema of a field as documents show it: paths by their pattern, absent ones as "" or null."""
    kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
    kind = {
        name: value for name, value in kinds[0].items() if name not in ("title", "description", "examples", "default")
    }
    if kind.get("maxLength") == MAX_PATH:
        kind = {"type": "string", "pattern": PATH_PATTERN}
    if kind.get("type") == "string" and "enum" not in kind:
        kind["minLength"] = 1
    about: dict[str, Any] = {name: field[name] for name in ("description", "examples") if name in field}
    for mark, names in _LISTS.items():
        if mark in about.get("description", ""):
            about["description"] = about["description"].replace(mark, names())
    if not optional:
        return {**kind, **about}
    return {"anyOf": [kind, {"type": "string", "enum": [""]}, {"type": "null"}], **about}


class TrainBody(TaskBody):
    """Train a model. With labels, the parameters of the best F1 are searched for."""

    kind = "train"

    model_name: str = Field(
        max_length=80,
        examples=["iNNE"],
        description="A detector, in any case: <detectors>; or auto: "
        "with labels the best of all, without them what suits a series with times, else iNNE.",
    )
    train_feature_file: Path = Field(
        examples=["testprojectid1/testfileid1/cogen_feature"],
        description="Numbers with a header row; for a series, the first column is Time.",
    )
    train_label_file: Path | None = Field(
        default=None,
        examples=["testprojectid1/testfileid1/cogen_anomaly"],
        description="One column, 1 = anomaly, a row a feature row.",
    )


class ValidBody(TaskBody):
    """Judge a trained model by labels."""

    kind = "valid"
    spellings = {"valid_features_file": "valid_feature_file", "valid_labels_file": "valid_label_file"}

    model_path: Path = Field(
        examples=["testprojectid1/testfileid1/anomaly_detection/1727161197_dbscan_model.pkl"],
        description="A trained model.",
    )
    valid_feature_file: Path = Field(
        examples=["testprojectid1/testfileid1/cogen_feature"], description="Numbers with a header row."
    )
    valid_label_file: Path = Field(
        examples=["testprojectid1/testfileid1/cogen_anomaly"],
        description="One column, 1 = anomaly, a row a feature row.",
    )

    @classmethod
    def conditions(cls) -> list[dict[str, Any]]:
        """Return that a trained model takes no parameters."""
        return [{"properties": {"parameters": _NOTHING}}]


class InferBody(TaskBody):
    """Score and judge the rows of a file: with a trained model, or a series by its own statistics."""

    kind = "infer"
    spellings = {"feature_file": "features_file"}

    detection_type: Literal["univariate", "multivariate"] = Field(examples=["multivariate"])
    method_name: str | None = Field(
        default=None,
        max_length=80,
        description="<methods>, in any case; required if univariate. "
        "auto chooses by the series itself and says why in chosen_because.",
    )
    model_path: Path | None = Field(
        default=None,
        examples=["testprojectid1/testfileid1/anomaly_detection/1728555947_dbscan_model.pkl"],
        description="A trained model; required if multivariate. If univariate and given, that model is used.",
    )
    features_file: Path = Field(
        examples=["testprojectid1/testfileid1/cogen_feature"],
        description="Numbers with a header row; if univariate, the first column is Time.",
    )

    @classmethod
    def conditions(cls) -> list[dict[str, Any]]:
        """Return what each detection_type requires."""
        single, several = {"detection_type": {"const": "univariate"}}, {"detection_type": {"const": "multivariate"}}
        return [
            {
                "anyOf": [
                    _with("method_name", **single, model_path=_ABSENT),
                    _with("model_path", **single, parameters=_NOTHING),
                    _with("model_path", **several, method_name=_ABSENT, parameters=_NOTHING),
                ]
            }
        ]

    @model_validator(mode="after")
    def _what_is_required(self) -> "InferBody":
        if self.detection_type == "multivariate":
            if self.model_path is None:
                raise ValueError("model_path is required if detection_type is multivariate")
            if self.method_name is not None:
                raise ValueError("method_name is for detection_type univariate; a multivariate model has its own")
        elif self.method_name is None and self.model_path is None:
            raise ValueError(f"method_name is required if detection_type is univariate: {series_methods()}")
        return self


BODIES: dict[str, type[TaskBody]] = {body.kind: body for body in (TrainBody, ValidBody, InferBody)}
