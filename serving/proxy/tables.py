"""The tables of the proxy. The schema in force is made by the migrations, which a test holds equal to this."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, ForeignKey, MetaData, String, TypeDecorator
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
