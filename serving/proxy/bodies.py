"""The bodies that the client API takes, checked by pydantic; a wrong one is a 400 that names the field."""

import math
import re
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from serving.errors import RequestError

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RATIO_TOLERANCE = 1e-6  # .7 + .2 + .1 is 1.0 to a person
MAX_VARIATIONS = 100


def check_name(name: str) -> str:
    """Return a name that is a DNS label, or raise a ValueError that says what one is."""
    if not DNS_LABEL.fullmatch(name):
        msg = f"{name[:80]!r} is no name: use at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
        raise ValueError(msg)
    return name


def check_ratios(ratios: list[float]) -> None:
    """Raise a ValueError unless the ratios add up to 1."""
    for ratio in ratios:
        if not 0 <= ratio <= 1:
            raise ValueError(f"the ratio {ratio:g} is not between 0 and 1")
    if ratios and not math.isclose(math.fsum(ratios), 1.0, abs_tol=RATIO_TOLERANCE):
        raise ValueError(f"the ratios {', '.join(f'{r:g}' for r in ratios)} add up to {math.fsum(ratios):g}, not to 1")


def check_url(url: str) -> str:
    """Return the URL of a microservice, or raise a ValueError."""
    parts = urlsplit(url)
    if not url.isprintable() or " " in url:
        raise ValueError(f"{url[:200]!r} holds a character that no URL has")
    if parts.scheme not in {"http", "https", "grpc"} or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError(f"{url[:200]!r} is not a URL like http://127.0.0.1:9000/predict or grpc://127.0.0.1:5000")
    if parts.port == 0:  # reading the port also checks that it is a number
        raise ValueError(f"{url[:200]!r} names port 0")
    if parts.scheme == "grpc" and (parts.port is None or parts.path or parts.query):
        raise ValueError(f"{url[:200]!r} should be grpc://host:port and nothing else")
    return url


Url = Annotated[str, Field(max_length=2048), AfterValidator(check_url)]  # as long as its column


def is_grpc(url: str) -> bool:
    """Tell whether a URL is that of a variation of kind rpc."""
    return urlsplit(url).scheme == "grpc"


def check_printable(text: str) -> str:
    """Return a text that has no control characters, or raise a ValueError."""
    if not text.isprintable():
        raise ValueError(f"{text[:80]!r} holds a character that cannot be printed")
    return text


class Body(BaseModel):
    """A body: unknown fields are errors, numbers are not taken from text."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class NewClient(Body):
    """Body of POST /clients."""

    name: Annotated[str, AfterValidator(check_name)]


class NewKey(Body):
    """Body of POST /clients/<name>/keys."""

    scope: Literal["js", "all"] = "js"


class VariationBody(Body):
    """One variation, as it is put and as it is shown."""

    label: Annotated[str, AfterValidator(check_name)]
    ratio: float
    kind: Literal["rest", "rpc"] = "rest"
    url: Url
    model_name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(check_printable)] | None = None

    @model_validator(mode="after")
    def _url_of_kind(self) -> "VariationBody":
        if is_grpc(self.url) != (self.kind == "rpc"):
            wanted = "grpc://127.0.0.1:5000" if self.kind == "rpc" else "http://127.0.0.1:9000/predict"
            raise ValueError(
                f"variation {self.label!r} is of kind {self.kind}: its url should be like {wanted}, "
                f"not {self.url[:200]!r}"
            )
        return self


class Variations(Body):
    """Body of PUT /clients/<name>/variations.

    ``moved`` says which microservices have moved, old URL to new: in the same step the other clients' variations
    follow.
    """

    variations: Annotated[list[VariationBody], Field(max_length=MAX_VARIATIONS)]
    moved: dict[Url, Url] = {}

    @model_validator(mode="after")
    def _whole(self) -> "Variations":
        for old, new in self.moved.items():
            if is_grpc(old) != is_grpc(new):
                raise ValueError(f"moved: {old[:200]!r} and {new[:200]!r} are of different kinds")
        check_ratios([variation.ratio for variation in self.variations])
        labels = [variation.label for variation in self.variations]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two variations are named {label!r}")
        return self


BodyT = TypeVar("BodyT", bound=BaseModel)


def read(kind: type[BodyT], body: object) -> BodyT:
    """Return the body as a model, or raise a RequestError that names each wrong field."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False)[:5]:
            where = ".".join(str(part) for part in problem["loc"])
            what = problem["msg"].removeprefix("Value error, ")
            problems.append(f"{where}: {what}" if where else what)
        raise RequestError("; ".join(problems)) from None
