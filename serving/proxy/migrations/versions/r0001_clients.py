"""Clients, their keys and tokens, their variations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "clients",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clients"),
        sa.UniqueConstraint("name", name="uq_clients_name"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("key_digest", sa.String(64), nullable=False),
        sa.Column("secret_digest", sa.String(64)),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_keys_client_id", ondelete="CASCADE"),
        sa.UniqueConstraint("key_digest", name="uq_keys_key_digest"),
    )
    op.create_index("ix_keys_client_id", "keys", ["client_id"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("key_id", sa.Integer, nullable=False),
        sa.Column("token_digest", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_tokens_key_id", ondelete="CASCADE"),
        sa.UniqueConstraint("token_digest", name="uq_tokens_token_digest"),
    )
    op.create_index("ix_tokens_key_id", "tokens", ["key_id"])
    op.create_index("ix_tokens_expires_at", "tokens", ["expires_at"])
    op.create_table(
        "variations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("label", sa.String(63), nullable=False),
        sa.Column("ratio", sa.Double, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("model_name", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_variations"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_variations_client_id", ondelete="CASCADE"),
    )
    op.create_index("ix_variations_client_id", "variations", ["client_id"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("variations", "tokens", "keys", "clients"):
        op.drop_table(table)
