"""Settings from the environment, one class a concern.

Names are ``INLIER_`` and the field's; where Seldon Core has a name of its own for the same thing, that one works too.
What is secret may also be a file: of the variable's name, in the folder that INLIER_SECRETS_DIR names.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from serving.errors import SettingsError


def _either(ours: str, seldon: str) -> AliasChoices:
    return AliasChoices(f"INLIER_{ours.upper()}", seldon)


def explain(error: ValidationError, settings: type[BaseSettings]) -> str:
    """Say which setting is wrong, by the name it was given under.

    Parameters
    ----------
    error : ValidationError
        Of pydantic.
    settings : type
        The class that was built.

    Returns
    -------
    str
        One line.
    """
    first = error.errors()[0]
    given = str(first["loc"][0]) if first["loc"] else ""
    for field, facts in settings.model_fields.items():
        alias = facts.validation_alias
        names = [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [field]
        if given in names:
            prefixed = [*names, f"{settings.model_config.get('env_prefix', '')}{field}".upper()]
            given = next((name for name in prefixed if name.upper() == name and name in os.environ), given)
    return f"{given}: {first['msg']} (it is {first['input']!r})"


class MicroserviceSettings(BaseSettings):
    """How one model is served."""

    model_config = SettingsConfigDict(env_prefix="INLIER_", populate_by_name=True, extra="ignore")

    # Not host and port: INLIER_HOST and INLIER_PORT are the proxy's.
    serve_host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 is every network of this machine.")
    serve_port: int = Field(
        9000,
        ge=0,
        le=65535,
        validation_alias=_either("serve_port", "PREDICTIVE_UNIT_HTTP_SERVICE_PORT"),
        description="Port for REST; 0 takes a free one.",
    )
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        validation_alias=_either("grpc_port", "PREDICTIVE_UNIT_GRPC_SERVICE_PORT"),
        description="Port for gRPC; without it there is none.",
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        validation_alias=_either("metrics_port", "PREDICTIVE_UNIT_METRICS_SERVICE_PORT"),
        description="A second port for metrics, as Seldon Core has it; they are on the REST port in any case.",
    )
    metrics_path: str = Field(
        "/metrics",
        validation_alias=_either("metrics_path", "PREDICTIVE_UNIT_METRICS_ENDPOINT"),
        description="Where the metrics are.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        validation_alias=_either("workers", "GUNICORN_WORKERS"),
        description="Processes that answer requests, each with the model loaded.",
    )
    predict_threads: int = Field(
        1,
        ge=1,
        le=256,
        validation_alias=_either("predict_threads", "GUNICORN_THREADS"),
        description="How many predictions that take long may run at once in a process.",
    )
    max_body_bytes: int = Field(10 * 1024 * 1024, ge=1, description="Larger bodies are answered with 413.")
    max_rows: int = Field(100_000, ge=1, description="More rows in one request are answered with 413.")
    body_seconds: float = Field(10.0, gt=0, description="How long a body may take to arrive; then 408.")
    predict_seconds: float = Field(30.0, gt=0, description="How long a prediction may take; then 503.")
    max_waiting: int = Field(
        64,
        ge=1,
        description="How many long predictions may wait or run; then 429. 64 more calls may be open over gRPC.",
    )
    drain_seconds: float = Field(
        0.5, ge=0, le=4, description="How long new connections are still answered after SIGTERM."
    )
    reload_seconds: float = Field(2.0, ge=0, description="How often to look for a changed model file; 0 is never.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=_either("log_level", "SELDON_LOG_LEVEL"), description="The least that is logged."
    )
    log_format: Literal["text", "json"] = Field("text", description="Log lines for people, or a JSON object each.")
    access_log: bool = Field(
        False,
        validation_alias=_either("access_log", "GUNICORN_ACCESS_LOG"),
        description="Whether each request is logged.",
    )
    unit_id: str = Field(
        "",
        validation_alias=_either("unit_id", "PREDICTIVE_UNIT_ID"),
        description="Name of the graph's node; the model's name in the Open Inference Protocol, if there is one.",
    )
    image: str = Field(
        "",
        validation_alias=_either("image", "PREDICTIVE_UNIT_IMAGE"),
        description="The image this runs in, with its version.",
    )
    deployment: str = Field(
        "",
        validation_alias=_either("deployment", "SELDON_DEPLOYMENT_ID"),
        description="Name of the deployment, a label of the metrics.",
    )
    predictor: str = Field(
        "",
        validation_alias=_either("predictor", "PREDICTOR_ID"),
        description="Name of the predictor, a label of the metrics.",
    )
    parameters: str = Field(
        "[]",
        validation_alias=_either("parameters", "PREDICTIVE_UNIT_PARAMETERS"),
        description='What a model class is built with: [{"name": ..., "value": ..., "type": "STRING"}].',
    )
    metadata: str = Field(
        "",
        validation_alias=_either("metadata", "MODEL_METADATA"),
        description="Metadata as YAML or JSON, laid over the model's own.",
    )
    metrics_in_response: bool = Field(
        True,
        validation_alias=_either("metrics_in_response", "INCLUDE_METRICS_IN_CLIENT_RESPONSE"),
        description="Whether a model's own metrics are in meta.metrics of the answers.",
    )
    passthrough: bool = Field(
        False,
        validation_alias=_either("passthrough", "PAYLOAD_PASSTHROUGH"),
        description="Give predict_raw the bytes of the body, and send its bytes back.",
    )


SECRETS_DIR = "INLIER_SECRETS_DIR"


class Settings(BaseSettings):
    """Settings whose wrong values are an error of ours, one line that names the variable."""

    def __init__(self, **values: Any) -> None:
        folder = os.environ.get(SECRETS_DIR) or None
        if folder is not None and not Path(folder).is_dir():
            raise SettingsError(f"{SECRETS_DIR}: there is no folder {folder}")
        try:
            super().__init__(**values, _secrets_dir=folder)
        except (ValidationError, PydanticSettingsError) as error:
            wrong = explain(error, type(self)) if isinstance(error, ValidationError) else f"{error}: it should be JSON"
            raise SettingsError(wrong) from None


class HomeSettings(Settings):
    """Where Inlier keeps its state on this machine, and where its proxy listens."""

    model_config = SettingsConfigDict(env_prefix="INLIER_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(default=Path(".inlier"), description="The folder of database, models, logs and credentials.")
    host: str = Field(default="127.0.0.1", description="The address that `inlier up` and `inlier proxy` listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="The port that they listen on.")
    server: str = Field(default="", description="The proxy that the commands talk to; without it, the one of the home.")


class ProxySettings(Settings):
    """The proxy: its database, its processes, what it lets in."""

    model_config = SettingsConfigDict(
        env_prefix="INLIER_PROXY_", env_ignore_empty=True, populate_by_name=True, extra="ignore"
    )

    database_url: str = Field(
        default="",
        validation_alias="INLIER_DATABASE_URL",
        description="SQLAlchemy URL of the database; without it, a SQLite file in the home.",
    )
    access: Literal["open", "keys"] = Field(
        default="open",
        description="Whether the API asks for keys. Beyond the loopback address `inlier up` does so, and "
        "`inlier proxy` wants to be told.",
    )
    admin_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="INLIER_ADMIN_KEY",
        description="What `inlier migrate` makes the API key `admin`: 32 or more random characters.",
    )
    metrics_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="INLIER_METRICS_KEY",
        description="What it makes the API key `metrics`, of role read, for what collects /metrics.",
    )
    reader_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="INLIER_READER_KEY",
        description="What it makes the API key `reader`, of role read, for microservices that fetch a model file.",
    )
    credentials: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="INLIER_CREDENTIALS",
        description="Keys of clients that it makes known: the content of a file `credentials`.",
    )
    workers: int = Field(default=2, ge=1, le=256, description="Processes of the proxy.")
    threads: int = Field(default=16, ge=1, le=1024, description="Threads of each process of the proxy.")
    max_body_bytes: int = Field(default=10 * 1024 * 1024, ge=1, description="Larger bodies are answered with 413.")
    max_query_bytes: int = Field(default=64 * 1024, ge=1, description="Longer query strings are answered with 414.")
    max_rows: int = Field(default=100_000, ge=1, description="More rows in one prediction are answered with 413.")
    silent_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a client may stop within a request, or take nothing of the answer; then 408, or the end.",
    )
    grpc_port: int | None = Field(
        default=None, ge=1, le=65535, description="The port for predictions over gRPC; without it there is none."
    )
    token_seconds: int = Field(default=8 * 3600, ge=1, description="How long a token of /token is good for.")
    allowed_hosts: tuple[str, ...] = Field(
        default=("localhost", "127.0.0.1", "::1"),
        description='Host names that the proxy answers to, a JSON list; ["*"] is any name.',
    )

    @property
    def access_is_told(self) -> bool:
        """Tell whether somebody chose who may do what, rather than nobody."""
        return "access" in self.model_fields_set


class GatewaySettings(Settings):
    """How the gateway calls the microservices."""

    model_config = SettingsConfigDict(env_prefix="INLIER_GATEWAY_", env_ignore_empty=True, extra="ignore")

    connect_ms: int = Field(default=500, ge=1, description="How long connecting to a microservice may take.")
    read_ms: int = Field(default=2000, ge=1, description="How long a microservice may take to answer.")
    connections: int = Field(
        default=16, ge=1, description="Connections that a process keeps open to each microservice."
    )
    breaker_failures: int = Field(
        default=5,
        ge=0,
        description="A variation that fails so often in a row gets no requests while others can answer; 0 is never.",
    )
    breaker_ms: int = Field(default=1000, ge=1, description="How often such a variation is tried again.")
    log: Literal["failures", "all"] = Field(
        default="failures", description="Which predictions have a line in the log of the proxy."
    )


class DeploySettings(Settings):
    """What `start-microservice` runs."""

    model_config = SettingsConfigDict(env_prefix="INLIER_DEPLOY_", env_ignore_empty=True, extra="ignore")

    image_aliases: dict[str, str] = Field(
        default={"seldonio/simulation_inne:*": "inlier/inne:0.1.0"},
        description="Published images, and the image of ours that stands for each; * is anything.",
    )
    detector_images: dict[str, str] = Field(
        default={"inlier/inne:*": "inne"},
        description="Images of ours that also run as a process, and the detector that each trains.",
    )
    stock_image: str = Field(
        default="inlier/microservice:0.1.0", description="The image that serves the model file of -p."
    )
    ready_seconds: float = Field(default=120.0, gt=0, description="How long a microservice may take to become ready.")
    stop_seconds: int = Field(default=10, ge=1, description="How long a stopping program may take to end its requests.")
    namespace: str = Field(default="inlier", description="The namespace of the proxy and of the microservices.")
    docker_network: str = Field(
        default="",
        description="A network of the container engine that the proxy is in, too; without it, the proxy reaches "
        "containers by the loopback address.",
    )


class StorageSettings(Settings):
    """Where feature files, models and predictions are kept."""

    model_config = SettingsConfigDict(env_prefix="INLIER_STORAGE_", env_ignore_empty=True, extra="ignore")

    url: str = Field(
        default="", description="A folder or s3://bucket/prefix; without it, the folder `storage` of the home."
    )
    endpoint_url: str | None = Field(default=None, description="A server that speaks S3 and is not Amazon's.")
    region: str | None = Field(default=None, description="The bucket's region.")
    max_file_bytes: int = Field(default=2 * 2**30, ge=1, description="Larger uploads are answered with 413.")


class TaskSettings(Settings):
    """Training, validation and inference: how tasks reach a worker, and what one may use."""

    model_config = SettingsConfigDict(env_prefix="INLIER_TASK_", env_ignore_empty=True, extra="ignore")

    broker_url: str = Field(
        default="",
        description="redis://..., amqp://... or filesystem:///folder; without it, the folder `broker` of the home.",
    )
    queue: str = Field(
        default="inlier", pattern=r"^[A-Za-z0-9_-]+$", description="The queue that workers take tasks from."
    )
    concurrency: int = Field(
        default=0, ge=0, le=256, description="Tasks that a worker runs at once; 0 is one a processor."
    )
    max_open: int = Field(
        default=10_000, ge=1, description="While as many tasks wait or run, a new one is answered with 429."
    )
    max_retries: int = Field(
        default=3, ge=0, le=100, description="How often a task whose worker was lost is begun again before it fails."
    )
    lease_seconds: float = Field(
        default=30.0, gt=0, description="A worker that is silent for longer has lost its task."
    )
    resend_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A message that is not answered for longer is sent again, if others overtook it or none was "
        "answered for as long.",
    )
    run_seconds: float = Field(default=3600.0, gt=0, description="How long one attempt may take.")
    memory_bytes: int = Field(
        default=4 * 2**30, ge=64 * 2**20, description="How much memory a task may take beyond what a bare worker has."
    )
    max_rows: int = Field(default=20_000_000, ge=1, description="Rows that a task reads from a file; more fail it.")
    max_columns: int = Field(default=2_000, ge=1, description="Columns that a task reads from a file; more fail it.")
    max_json_depth: int = Field(default=16, ge=1, description="How deeply the `parameters` of a task may be nested.")
    retention_days: float = Field(default=30.0, gt=0, description="How long a task that has ended is remembered.")
    probe_folder: Path | None = Field(
        default=None, description="Where a worker or reaper shows that it is `alive` and `ready`, for probes."
    )
