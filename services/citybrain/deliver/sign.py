"""Sign a webhook as Standard Webhooks 1.0 says (scheme v1: HMAC-SHA256, symmetric). Called by deliver.post. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from citybrain.endpoints.secret import key_of


def headers(webhook_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers; one signature a secret, so that receivers verify with either while a secret is changed."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signature(webhook_id, timestamp, body, secret) for secret in secrets),
    }


def signature(webhook_id: str, timestamp: str, body: bytes, secret: str) -> str:
    """`v1,` and base64 of the HMAC over `id.timestamp.body`. Raises SecretRefused."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()
