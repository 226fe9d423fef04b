"""The tables of the proxy. The schema in force is made by the migrations, which a test holds equal to this."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCOPES = ("js", "all")
KINDS = ("rest", "rpc")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: SQLite keeps no time zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Mark what was read as UTC."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Base(DeclarativeBase):
    """All tables."""

    # SQLAlchemy 2.0 would take single precision for a float, 2.1 takes this
    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Double()}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Client(Base):
    """Who asks for predictions."""

    __tablename__ = "clients"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    keys: Mapped[list["Key"]] = relationship(back_populates="client", cascade="all, delete-orphan", order_by="Key.id")
    variations: Mapped[list["Variation"]] = relationship(
        back_populates="client", cascade="all, delete-orphan", order_by="Variation.id"
    )


class Key(Base):
    """A consumer key: scope ``js`` for /js/predict, ``all`` (with a secret) for /token. Only digests are kept."""

    __tablename__ = "keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    scope: Mapped[str] = mapped_column(String(8))
    key_digest: Mapped[str] = mapped_column(String(64), unique=True)
    secret_digest: Mapped[str | None] = mapped_column(String(64))
    hint: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    client: Mapped[Client] = relationship(back_populates="keys")
    tokens: Mapped[list["Token"]] = relationship(back_populates="key", cascade="all, delete-orphan")


class Token(Base):
    """What /token gave for a key; it goes with its key."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("keys.id", ondelete="CASCADE"), index=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    key: Mapped[Key] = relationship(back_populates="tokens")


class Variation(Base):
    """One of the microservices among which a client's requests are shared out."""

    __tablename__ = "variations"

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(63))
    ratio: Mapped[float]
    kind: Mapped[str] = mapped_column(String(8))
    url: Mapped[str] = mapped_column(String(2048))
    model_name: Mapped[str | None] = mapped_column(String(255))
    client: Mapped[Client] = relationship(back_populates="variations")


class Task(Base):
    """A training, validation or inference, from the moment it was accepted: the truth, whatever a broker loses.

    An attempt is a worker's turn at it. What an attempt writes is named after its stamp, a second that no other
    attempt has, and counts only if the row still says that the task is in that attempt.
    """

    __tablename__ = "tasks"
    __table_args__ = (Index("ix_tasks_status_sent_at", "status", "sent_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    body_digest: Mapped[str] = mapped_column(String(64))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String(8))
    celery_id: Mapped[str] = mapped_column(String(36))
    attempt: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0)
    stamp: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[float] = mapped_column(default=0.0)
    doing: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sends: Mapped[int] = mapped_column(default=1)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error_code: Mapped[str | None] = mapped_column(String(63))
    error_message: Mapped[str | None] = mapped_column(Text)


class OutputStamp(Base):
    """The last second that outputs were named after: one row, which only grows, also when tasks are deleted."""

    __tablename__ = "output_stamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


class ApiKey(Base):
    """A key for the proxy's own API: what its bearer may do is its role. Only the digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    role: Mapped[str] = mapped_column(String(8))
    key_digest: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
