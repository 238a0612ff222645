"""Who asks is found without asking the database each time, and a revoked key is out within a second."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from citybrain.access import Access, Role, authenticate
from citybrain.access.secret import bearer_hash, hash_of, new_secret
from citybrain.errors import Forbidden, Unauthenticated, Unavailable
from citybrain.store.keys import KeyStore, LiveKey


class Keys(KeyStore):
    """Keys of a database that counts its looks and can be out of reach."""

    def __init__(self, *keys: str) -> None:
        self.rows = [LiveKey(uuid4(), key, "ingest", None, hash_of(key)) for key in keys]
        self.looks = 0
        self.is_down = False

    async def live(self) -> list[LiveKey]:
        self.looks += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise Unavailable("no database")
        return list(self.rows)


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_many_requests_share_one_look_at_the_database() -> None:
    keys, time = Keys("key-a"), Time()
    access = Access(keys, time)
    await asyncio.gather(*(access.authenticate("Bearer key-a") for _ in range(100)))
    assert keys.looks == 1
    time.now += 0.6
    await asyncio.gather(*(access.authenticate("Bearer key-a") for _ in range(100)))
    assert keys.looks == 2


async def test_a_revoked_key_is_refused_within_a_second() -> None:
    keys, time = Keys("key-a"), Time()
    access = Access(keys, time)
    await access.authenticate("Bearer key-a")
    keys.rows.clear()
    time.now += 0.9
    with pytest.raises(Unauthenticated):
        await access.authenticate("Bearer key-a")


async def test_a_new_key_works_at_once() -> None:
    keys, time = Keys("key-a"), Time()
    access = Access(keys, time)
    await access.authenticate("Bearer key-a")
    keys.rows += Keys("key-b").rows
    time.now += 0.001
    assert (await access.authenticate("Bearer key-b")).name == "key-b"


async def test_a_flood_of_wrong_keys_shares_its_looks() -> None:
    keys, time = Keys("key-a"), Time()
    access = Access(keys, time)
    found = await asyncio.gather(*(access.authenticate(f"Bearer wrong-{n}") for n in range(100)), return_exceptions=True)
    assert {type(one) for one in found} == {Unauthenticated}
    assert keys.looks == 1


async def test_a_known_key_goes_on_for_a_minute_while_the_database_is_down_and_an_unknown_one_is_not_called_wrong() -> None:
    keys, time = Keys("key-a"), Time()
    access = Access(keys, time)
    await access.authenticate("Bearer key-a")
    keys.is_down = True
    time.now += 55
    assert (await access.authenticate("Bearer key-a")).name == "key-a"
    with pytest.raises(Unavailable):
        await access.authenticate("Bearer key-b")
    time.now += 10
    with pytest.raises(Unavailable):
        await access.authenticate("Bearer key-a")
    keys.is_down = False
    time.now += 1
    assert (await access.authenticate("Bearer key-a")).name == "key-a"


async def test_the_minute_begins_when_the_database_went_away_though_nobody_asked_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(authenticate, "KEEP_FRESH_S", 0.001)
    keys, time = Keys("key-a"), Time()
    access = Access(keys, time)
    assert access.why_not() == "keys have not been read yet"
    keeping = asyncio.create_task(access.keep_fresh())
    await looked_again(keys)
    assert access.why_not() is None
    time.now += 3600
    await looked_again(keys)
    keys.is_down = True
    time.now += 55
    await looked_again(keys)
    assert (await access.authenticate("Bearer key-a")).name == "key-a"
    assert access.why_not() is None
    time.now += 10
    with pytest.raises(Unavailable):
        await access.authenticate("Bearer key-a")
    assert access.why_not() == "keys cannot be checked: the database has not answered for 65 s"
    keys.is_down = False
    time.now += 1
    await looked_again(keys)
    assert access.why_not() is None
    assert not keeping.done()
    keeping.cancel()


async def looked_again(keys: Keys) -> None:
    """Wait until the loop has looked once more, to the end."""
    before = keys.looks
    async with asyncio.timeout(5):
        while keys.looks == before:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


async def test_a_database_that_was_never_reached_gives_no_verdict() -> None:
    keys = Keys("key-a")
    keys.is_down = True
    with pytest.raises(Unavailable):
        await Access(keys).authenticate("Bearer key-a")


@pytest.mark.parametrize("header", [None, "", "key-a", "Basic key-a", "Bearer", "Bearer ", "Bearer " + "x" * 5000])
async def test_a_header_without_a_bearer_key_is_refused_without_a_look(header: str | None) -> None:
    keys = Keys("key-a")
    with pytest.raises(Unauthenticated):
        await Access(keys).authenticate(header)
    assert keys.looks == 0


@pytest.mark.parametrize("header", ["Bearer key-a", "bearer key-a", "BEARER  key-a "])
def test_the_scheme_is_known_in_any_case(header: str) -> None:
    assert bearer_hash(header) == hash_of("key-a")


def test_a_new_key_is_long_random_and_of_printable_letters() -> None:
    key_id = uuid4()
    made = {new_secret(key_id) for _ in range(100)}
    assert len(made) == 100
    assert all(len(key) == 56 and key.startswith(f"cbk_{key_id.hex[:8]}_") and key.isascii() for key in made)


async def test_each_role_may_what_the_ones_below_it_may_and_ingest_reads_nothing() -> None:
    keys = Keys("key-a")
    principal = await Access(keys).authenticate("Bearer key-a")
    assert principal.must_post() is principal
    with pytest.raises(Forbidden):
        principal.must_be(Role.VIEWER)
    allowed = {role: [wanted for wanted in Role if principal.__class__(uuid4(), "x", role).may(wanted)] for role in Role}
    assert allowed[Role.OPERATOR] == [Role.INGEST, Role.VIEWER, Role.OPERATOR]
    assert allowed[Role.ADMIN] == list(Role)
    assert [role for role in Role if principal.__class__(uuid4(), "x", role).may_post] == [Role.INGEST, Role.ADMIN]
