"""Alembic's migrations of the proxy's database."""
