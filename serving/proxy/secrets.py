"""Keys, secrets and tokens: made at random, shown once, kept as digests."""

import hashlib
import secrets

HINT_LENGTH = 4


def new_secret() -> str:
    """Return 40 random characters, 236 bits: too many to guess, so a plain digest is a safe way to keep it."""
    return secrets.token_urlsafe(30)


def digest(secret: str) -> str:
    """Return what is kept of a secret: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def hint(secret: str) -> str:
    """Return the first characters, by which a person tells keys apart."""
    return secret[:HINT_LENGTH]
