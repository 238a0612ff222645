"""Signatures: the published vector, and two verifiers that others wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import standardwebhooks
import svix

from citybrain.deliver import sign
from citybrain.endpoints.secret import SecretRefused, key_of, new_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - that of the published vector
VECTOR = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
BODY = '{"alert": "停车场已满"}'.encode()


def test_the_published_vector_comes_out() -> None:
    body = b'{"test": 2432232314}'
    assert sign.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, SECRET) == VECTOR
    at = datetime.fromtimestamp(1614265330, timezone(timedelta(hours=8)))  # an instant, whatever its offset
    assert sign.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body, [SECRET]) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": VECTOR,
    }


@pytest.mark.parametrize("verifier", [standardwebhooks.Webhook, svix.Webhook])
def test_verifiers_of_others_take_what_we_sign_with_the_new_and_the_old_secret(
    verifier: type[standardwebhooks.Webhook] | type[svix.Webhook],
) -> None:
    new, old, other = new_secret(), SECRET, new_secret()
    headers = sign.headers("msg_1", datetime.now(UTC), BODY, [new, old])
    for secret in (new, old):
        assert verifier(secret).verify(BODY, headers) == {"alert": "停车场已满"}
    for secret, body in ((other, BODY), (new, BODY + b" ")):
        with pytest.raises(Exception, match="No matching signature"):
            verifier(secret).verify(body, headers)


def test_a_new_secret_has_256_bits_and_is_never_the_same() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert {len(key_of(one)) for one in made} == {32}


@pytest.mark.parametrize(
    "secret",
    [
        "", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_" + "A" * 88,
        "whsec_!!!!9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS\n", "whsec_停车场",
    ],
)  # fmt: skip
def test_what_is_no_secret_is_refused_without_telling_it(secret: str) -> None:
    with pytest.raises(SecretRefused) as raised:
        key_of(secret)
    text = secret.removeprefix("whsec_").strip()
    assert not text or text not in str(raised.value)
