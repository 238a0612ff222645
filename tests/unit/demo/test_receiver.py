"""Whose webhooks the demo's receiver takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks.webhooks import Webhook

from citybrain.demo.receiver import Receiver, genuine, listening
from citybrain.endpoints.secret import key_of

KEY = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = b'{"test": 2432232314}'
AT = datetime.fromtimestamp(1614265330, UTC)
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
FIRING = (Path(__file__).parents[3] / "schemas" / "examples" / "webhooks" / "alert.firing.json").read_bytes()


def test_the_signature_of_the_standard_is_genuine_also_beside_another() -> None:
    assert genuine(HEADERS, BODY, KEY, AT)
    both = {"webhook-signature": f"v1,AAAA v1a,BBBB {HEADERS['webhook-signature']}"}
    assert genuine(HEADERS | both, BODY, KEY, AT + timedelta(minutes=4))


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "-1614265330"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "1614265330１"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": HEADERS["webhook-signature"].removeprefix("v1,")},
    ],
)
def test_what_is_changed_is_not_genuine(changed: dict[str, str]) -> None:
    assert not genuine(HEADERS | changed, BODY, KEY, AT)


def test_another_body_another_key_another_time_are_not_genuine() -> None:
    assert not genuine(HEADERS, BODY + b" ", KEY, AT)
    assert not genuine(HEADERS, BODY, KEY[:-1], AT)
    assert not genuine(HEADERS, BODY, KEY, AT + timedelta(minutes=6))
    assert not genuine(HEADERS, BODY, KEY, AT - timedelta(minutes=6))
    assert not genuine({}, BODY, KEY, AT)


async def test_a_webhook_is_told_once_and_one_with_a_wrong_signature_not_at_all() -> None:
    told: list[tuple[str, str]] = []
    refused: list[None] = []

    def page(webhook: Mapping[str, Any], endpoint: str) -> None:
        told.append((webhook["type"], endpoint))

    receiver = Receiver(page, lambda: refused.append(None))
    now = datetime.now(UTC)
    signature = Webhook(receiver.secret).sign("msg_1", now, FIRING.decode())
    right = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    async with listening(receiver), aiohttp.ClientSession() as session:
        url = receiver.url("traffic duty")
        for headers, status in ((right, 204), (right, 204), (right | {"webhook-id": "msg_2"}, 401), ({}, 401)):
            async with session.post(url, data=FIRING, headers=headers) as answer:
                assert answer.status == status
    assert told == [("alert.firing", "traffic duty")]
    assert len(refused) == 2
    first = json.loads(FIRING)["data"]["alerts"][0]
    assert receiver.has_paged(first["rule"], first["subject"])
    assert not receiver.has_paged(first["rule"], "another")
    assert receiver.secret not in repr(receiver)
