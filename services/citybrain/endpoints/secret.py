"""Secrets of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes. Called by the API, the commands and deliver. Pure.

A secret's text is never part of a message.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from citybrain.errors import CitybrainError

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES, NEW_BYTES = 24, 64, 32


class SecretRefused(CitybrainError):
    """This is no secret of Standard Webhooks."""


def new_secret() -> str:
    """256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises SecretRefused."""
    if not secret.startswith(PREFIX):
        raise SecretRefused(f"a secret begins with {PREFIX}")
    encoded = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SecretRefused(f"after {PREFIX} a secret is base64") from None
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise SecretRefused(f"a secret is base64 of {MIN_BYTES} to {MAX_BYTES} bytes")
    return key
