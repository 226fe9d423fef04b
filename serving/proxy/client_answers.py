"""What the gateway and the client API answer with, as pydantic models: the OpenAPI document is made from them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from serving.proxy.task_answers import Answer


class KeyAnswer(Answer):
    """A key, as far as it can be told."""

    id: int
    scope: Literal["js", "all"]
    hint: str = Field(description="Its first characters.")
    created_at: datetime


class Keys(Answer):
    """The keys of a client."""

    keys: list[KeyAnswer]


class NewKeyAnswer(Answer):
    """A key just made, shown this once."""

    id: int
    scope: Literal["js", "all"]
    consumer_key: str
    consumer_secret: str = Field(default="", description="Of a key of scope all.")


class VariationAnswer(Answer):
    """One of the microservices among which a client's requests are shared out."""

    label: str
    ratio: float = Field(ge=0, le=1)
    kind: Literal["rest", "rpc"]
    url: str
    model_name: str | None


class VariationsAnswer(Answer):
    """The variations of a client."""

    variations: list[VariationAnswer]


class ClientAnswer(Answer):
    """A client with all it has."""

    name: str
    created_at: datetime
    keys: list[KeyAnswer]
    variations: list[VariationAnswer]


class Clients(Answer):
    """All clients."""

    clients: list[ClientAnswer]


class TokenAnswer(Answer):
    """A token for /predict."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="Seconds.")


class PredictionMeta(Answer):
    """Which prediction it is and who made it."""

    puid: str = Field(description="Of this prediction, in the logs too.")
    modelName: str  # noqa: N815  # the wire's name
    variation: str


class Entry(Answer):
    """The score of one class."""

    prediction: float
    predictedClass: str  # noqa: N815
    confidence: float


class PredictionAnswer(Answer):
    """The prediction of the first row; of several, each is in ``rows``."""

    meta: PredictionMeta
    predictions: list[Entry]
    custom: dict[str, Any] | None
    rows: list[list[Entry]] = Field(default=[], description="Where several rows were sent.")


class Health(Answer):
    """It can do its work."""

    status: Literal["ok"]


ANSWERS: tuple[type[BaseModel], ...] = (
    Clients,
    ClientAnswer,
    Health,
    Keys,
    NewKeyAnswer,
    PredictionAnswer,
    TokenAnswer,
    VariationsAnswer,
)
