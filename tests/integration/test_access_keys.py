"""Keys over a real database: made, listed, rotated, revoked, expired, and known to every front door within a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from citybrain.access import Access, Role
from citybrain.access.keys import (
    KeyRefused,
    KeyWish,
    create_key,
    duration,
    ensure_admin_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from citybrain.errors import SettingsError, Unauthenticated
from citybrain.store.keys import KeyStore
from citybrain.store.pool import Pool, open_pool

NOW = datetime.now(UTC)
FIRST, SECOND = "the-first-admin-key-of-this-city", "the-second-admin-key-of-this-city"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database) as opened:
        yield opened


@pytest.fixture
def store(pool: Pool) -> KeyStore:
    return KeyStore(pool)


async def _lets_in(store: KeyStore, key: str) -> bool:
    try:
        await Access(store).authenticate(f"Bearer {key}")
    except Unauthenticated:
        return False
    return True


async def test_a_key_lets_its_holder_in_with_its_role_and_prefix(store: KeyStore) -> None:
    made = await create_key(store, KeyWish("gateway 7", Role.INGEST, "/parking/"), NOW)
    principal = await Access(store).authenticate(f"Bearer {made.key}")
    assert (principal.name, principal.role, principal.source_prefix) == ("gateway 7", Role.INGEST, "/parking/")
    assert not await _lets_in(store, made.key[:-1])
    assert not await _lets_in(store, made.key + "x")


async def test_a_key_is_nowhere_in_the_database(store: KeyStore, pool: Pool) -> None:
    made = await create_key(store, KeyWish("x", Role.VIEWER), NOW)
    row = await pool.fetchval("select api_key::text from api_key")
    assert made.key not in row
    assert made.key not in str(await list_keys(store))


async def test_an_expired_key_is_refused_and_cannot_be_rotated(store: KeyStore, pool: Pool) -> None:
    made = await create_key(store, KeyWish("short", Role.VIEWER, expires="90d"), NOW)
    assert made.row.expires_at is not None
    assert abs(made.row.expires_at - NOW - timedelta(days=90)) < timedelta(seconds=1)
    assert await _lets_in(store, made.key)
    await pool.execute("update api_key set expires_at = now()")
    assert not await _lets_in(store, made.key)
    with pytest.raises(KeyRefused, match="expired"):
        await rotate_key(store, "short", datetime.now(UTC))


async def test_a_revoked_key_is_refused_by_name_and_by_id_and_within_a_second_by_a_running_process(store: KeyStore) -> None:
    access = Access(store)
    one, two = [await create_key(store, KeyWish(name, Role.VIEWER), NOW) for name in ("one", "two")]
    for made in (one, two):
        await access.authenticate(f"Bearer {made.key}")
    first = await revoke_key(store, "one")
    await revoke_key(store, str(two.row.key_id))
    assert (await revoke_key(store, "one")).revoked_at == first.revoked_at is not None
    await asyncio.sleep(0.9)
    for made in (one, two):
        with pytest.raises(Unauthenticated):
            await access.authenticate(f"Bearer {made.key}")
    with pytest.raises(KeyRefused, match="revoked"):
        await rotate_key(store, "one", NOW)


async def test_a_rotated_key_has_a_new_secret_and_the_old_one_stops(store: KeyStore) -> None:
    made = await create_key(store, KeyWish("turning", Role.OPERATOR), NOW)
    successor = await rotate_key(store, "turning", NOW)
    assert successor.row == made.row
    assert (await _lets_in(store, made.key), await _lets_in(store, successor.key)) == (False, True)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (KeyWish("", Role.VIEWER), "name"),
        (KeyWish(" x", Role.VIEWER), "name"),
        (KeyWish("x\ny", Role.VIEWER), "name"),
        (KeyWish("x" * 65, Role.VIEWER), "name"),
        (KeyWish("admin", Role.VIEWER), "CITYBRAIN_ADMIN_KEY"),
        (KeyWish("x", Role.VIEWER, "/parking"), "--source"),
        (KeyWish("x", Role.INGEST, ""), "empty"),
        (KeyWish("x", Role.VIEWER, expires="soon"), "duration"),
        (KeyWish("taken", Role.VIEWER), "another name"),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused_in_one_clear_line(store: KeyStore, wish: KeyWish, told: str) -> None:
    await create_key(store, KeyWish("taken", Role.VIEWER), NOW)
    with pytest.raises(KeyRefused, match=told) as raised:
        await create_key(store, wish, NOW)
    assert "\n" not in str(raised.value)


async def test_an_unknown_key_is_named(store: KeyStore) -> None:
    for ask in (revoke_key(store, "nobody"), rotate_key(store, "nobody", NOW)):
        with pytest.raises(KeyRefused, match="'nobody'"):
            await ask


async def test_the_admin_key_follows_its_setting_and_stays_revoked_until_that_changes(store: KeyStore) -> None:
    for _ in range(2):
        await ensure_admin_key(store, FIRST)
    assert (await Access(store).authenticate(f"Bearer {FIRST}")).role is Role.ADMIN
    await revoke_key(store, "admin")
    await ensure_admin_key(store, FIRST)
    assert not await _lets_in(store, FIRST)
    await ensure_admin_key(store, SECOND)
    assert (await _lets_in(store, FIRST), await _lets_in(store, SECOND)) == (False, True)
    assert [row.name for row in await list_keys(store)] == ["admin"]
    with pytest.raises(KeyRefused, match="CITYBRAIN_ADMIN_KEY"):
        await rotate_key(store, "admin", NOW)


async def test_the_text_of_another_key_cannot_become_the_admin_key(store: KeyStore) -> None:
    made = await create_key(store, KeyWish("x", Role.VIEWER), NOW)
    with pytest.raises(SettingsError):
        await ensure_admin_key(store, made.key)


async def test_processes_that_start_together_agree_on_the_admin_key(store: KeyStore, pool: Pool) -> None:
    for _ in range(20):
        await pool.execute("delete from api_key")
        await asyncio.gather(*(ensure_admin_key(store, FIRST) for _ in range(8)))
        assert await _lets_in(store, FIRST)


def test_durations_are_minutes_hours_and_days() -> None:
    assert [duration(text) for text in ("90d", "12h", "30m")] == [
        timedelta(days=90),
        timedelta(hours=12),
        timedelta(minutes=30),
    ]
    for text in ("", "90", "0d", "1w", "-1d", "1d ", "٩d", "123456d"):
        with pytest.raises(KeyRefused):
            duration(text)
