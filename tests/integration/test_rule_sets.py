"""Rule sets as rows: loaded with the profile, taken up by others, changed while the city runs, refused when they are wrong."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from citybrain.city import ProfileError
from citybrain.endpoints.addresses import Policy
from citybrain.endpoints.manage import EndpointRefused
from citybrain.profiles import CurrentRules, current_rules, load, read_city
from citybrain.store import endpoints, rule_sets
from citybrain.store.pool import Pool, open_pool
from citybrain.telemetry import Metrics
from small_city import small_city_files

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RULE = "rules:\n- {{rule: {name}, metric: water.flow, per: subject, window: 1m, when: avg > {limit}}}\n"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in small_city_files().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "rules").mkdir()
    return tmp_path


def write(folder: Path, name: str = "a", limit: str = "1", file: str = "rules/book.yaml") -> None:
    (folder / file).write_text(RULE.format(name=name, limit=limit))


def endpoint(folder: Path, secret: str = SECRET, url: str = "https://example.org/hook") -> None:
    (folder / "endpoints.yaml").write_text(f'endpoints:\n- {{name: duty, url: "{url}", secret: "{secret}"}}\n')


async def take_up(pool: Pool, folder: Path) -> bool:
    files, city = read_city(folder)
    return await load(pool, files, city)


async def looks(rules: CurrentRules, pool: Pool, times: int = 2) -> list[str]:
    """Look that often, and tell which rules there are then."""
    for _ in range(times):
        await rules.look(pool)
    return [f"{one.name} {getattr(one, 'when').text}" for one in rules().book.rules]  # noqa: B009 - thresholds alone are here


def refusals(caplog: pytest.LogCaptureFixture) -> list[list[str]]:
    return [record.mistakes for record in caplog.records if record.getMessage() == "rules_refused"]  # type: ignore[attr-defined]


async def test_the_rules_of_a_profile_are_a_rule_set_and_the_same_ones_are_that_one(pool: Pool, folder: Path) -> None:
    write(folder)
    assert await take_up(pool, folder)
    assert not await take_up(pool, folder)
    first = await current_rules(pool, Metrics())
    assert [one.name for one in first().book.rules] == ["a"]
    write(folder, limit="2")
    assert await take_up(pool, folder)
    write(folder, limit="1")
    assert await take_up(pool, folder)
    async with pool.acquire() as connection:
        versions = [await rule_sets.of_version(connection, number) for number in (1, 2, 3)]
        assert await rule_sets.current_version(connection) == 3
        assert await rule_sets.current(connection) == versions[2]
        assert await rule_sets.of_version(connection, 4) is None
    texts = [one.files["rules/book.yaml"].decode() for one in versions if one is not None]
    assert texts == [RULE.format(name="a", limit=limit) for limit in (1, 2, 1)]
    assert versions[0] is not None
    assert versions[2] is not None
    assert versions[0].sha256 == versions[2].sha256


async def test_two_who_load_the_same_rules_at_once_make_one_rule_set(pool: Pool, folder: Path) -> None:
    write(folder)
    await asyncio.gather(*(take_up(pool, folder) for _ in range(8)))
    async with pool.acquire() as connection:
        assert await connection.fetchval("select count(*) from rule_set") == 1


async def test_before_a_profile_is_loaded_there_are_no_rules(pool: Pool, folder: Path) -> None:
    rules = await current_rules(pool, Metrics())
    assert (rules().version, rules().book.rules) == (0, ())
    assert await looks(rules, pool) == []
    write(folder)
    await take_up(pool, folder)
    assert await looks(rules, pool, 1) == ["a avg > 1"]


async def test_a_role_takes_up_what_others_load(pool: Pool, folder: Path) -> None:
    write(folder)
    await take_up(pool, folder)
    metrics = Metrics()
    rules = await current_rules(pool, metrics)
    before = rules().version
    write(folder, "b")
    await take_up(pool, folder)
    assert await looks(rules, pool, 1) == ["b avg > 1"]
    assert rules().version == before + 1
    assert metrics.registry.get_sample_value("citybrain_rules_version") == before + 1


async def test_a_changed_file_becomes_a_rule_set_while_the_city_runs(pool: Pool, folder: Path) -> None:
    write(folder)
    await take_up(pool, folder)
    rules = await current_rules(pool, Metrics(), folder)
    assert await looks(rules, pool) == ["a avg > 1"]
    write(folder, limit="22")
    assert await looks(rules, pool) == ["a avg > 22"]
    write(folder, "b", file="rules/more.yaml")
    assert await looks(rules, pool) == ["a avg > 22", "b avg > 1"]
    (folder / "rules/book.yaml").unlink()
    assert await looks(rules, pool) == ["b avg > 1"]
    assert rules().version == 4
    async with pool.acquire() as connection:
        stored = await rule_sets.current(connection)
    assert stored is not None
    assert stored.made_by == "profile folder"


async def test_a_file_that_is_still_being_written_is_left_alone(pool: Pool, folder: Path) -> None:
    write(folder)
    await take_up(pool, folder)
    rules = await current_rules(pool, Metrics(), folder)
    await looks(rules, pool)
    for limit in range(100, 105):
        write(folder, limit=str(limit))
        os.utime(folder / "rules/book.yaml", ns=(limit, limit))
        assert await looks(rules, pool, 1) == ["a avg > 1"]
    assert await looks(rules, pool, 1) == ["a avg > 104"]


async def test_a_wrong_file_is_refused_once_with_its_place_and_the_old_rules_go_on(
    pool: Pool, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder)
    await take_up(pool, folder)
    metrics = Metrics()
    rules = await current_rules(pool, metrics, folder)
    with caplog.at_level(logging.ERROR):
        write(folder, limit="agv")
        assert await looks(rules, pool, 5) == ["a avg > 1"]
        os.utime(folder / "rules/book.yaml")  # touched, with the same content
        assert await looks(rules, pool, 3) == ["a avg > 1"]
    told = "rules/book.yaml:2:71: rules[0].when: unknown column 'agv', did you mean 'avg'?"
    assert refusals(caplog) == [[told]]
    assert metrics.registry.get_sample_value("citybrain_rules_refused_total") == 1
    assert rules().version == 1
    write(folder, limit="3")
    assert await looks(rules, pool) == ["a avg > 3"]
    with caplog.at_level(logging.ERROR):
        write(folder, limit="agv")
        await looks(rules, pool, 3)
    assert refusals(caplog) == [[told], [told]]


async def test_an_empty_file_is_no_reason_to_end_every_alert(pool: Pool, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder)
    await take_up(pool, folder)
    rules = await current_rules(pool, Metrics(), folder)
    (folder / "rules/book.yaml").write_text("")
    assert await looks(rules, pool, 3) == ["a avg > 1"]
    assert refusals(caplog) == [["rules/book.yaml:1:1: is empty"]]


async def test_a_folder_that_is_no_profile_any_more_changes_nothing(pool: Pool, folder: Path) -> None:
    write(folder)
    await take_up(pool, folder)
    rules = await current_rules(pool, Metrics(), folder)
    await looks(rules, pool)
    (folder / "city.yaml").unlink()
    (folder / "rules/book.yaml").unlink()
    assert await looks(rules, pool, 3) == ["a avg > 1"]


async def test_endpoints_are_loaded_with_the_rules_and_their_secrets_are_in_no_other_row(
    pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DUTY_SECRET", SECRET)
    write(folder)
    endpoint(folder, "${DUTY_SECRET}")
    await take_up(pool, folder)
    async with pool.acquire() as connection:
        row = await endpoints.find(connection, "duty")
        assert row is not None
        assert (row.url, row.made_by) == ("https://example.org/hook", "profile")
        assert await endpoints.live_secrets(connection, row.endpoint_id) == [SECRET]
        stored = await connection.fetch("select name from profile_file")
        assert "endpoints.yaml" not in {one["name"] for one in stored}
        assert "duty" not in await connection.fetchval("select files::text from rule_set")
    assert SECRET not in caplog.text
    rules = await current_rules(pool, Metrics(), folder)
    endpoint(folder, url="https://example.org/other")
    await looks(rules, pool)
    async with pool.acquire() as connection:
        row = await endpoints.find(connection, "duty")
    assert row is not None
    assert row.url == "https://example.org/other"
    assert rules().version == 1


async def test_an_endpoint_that_may_not_be_reached_refuses_the_whole_load(pool: Pool, folder: Path) -> None:
    write(folder)
    endpoint(folder, url="https://127.0.0.1/hook")
    files, city = read_city(folder)
    with pytest.raises(EndpointRefused, match="endpoint 'duty'"):
        await load(pool, files, city, policy=Policy())
    async with pool.acquire() as connection:
        assert await connection.fetchval("select count(*) from profile") == 0
        assert await rule_sets.current(connection) is None


async def test_an_endpoint_that_may_not_be_reached_is_refused_while_the_city_runs(
    pool: Pool, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder)
    await take_up(pool, folder)
    rules = await current_rules(pool, Metrics(), folder)
    write(folder, limit="2")
    endpoint(folder, url="https://127.0.0.1/hook")
    assert await looks(rules, pool, 4) == ["a avg > 1"]
    assert len(refusals(caplog)) == 1
    assert "endpoint 'duty'" in refusals(caplog)[0][0]


async def test_a_variable_that_is_not_set_is_named_at_the_load(pool: Pool, folder: Path) -> None:
    write(folder)
    endpoint(folder, "${NO_SUCH_VARIABLE}")
    with pytest.raises(ProfileError, match="the variable NO_SUCH_VARIABLE is not set"):
        await take_up(pool, folder)


async def test_a_profile_tells_mistakes_of_areas_rules_and_endpoints_together(folder: Path) -> None:
    write(folder, limit="agv")
    endpoint(folder, "hunter2")
    (folder / "city.yaml").write_text((folder / "city.yaml").read_text().replace("Asia/Shanghai", "Mars/Phobos"))
    with pytest.raises(ProfileError) as raised:
        read_city(folder)
    assert [one.file for one in raised.value.mistakes] == ["city.yaml", "endpoints.yaml", "rules/book.yaml"]


async def test_routes_may_only_name_the_endpoints_of_an_endpoints_file(folder: Path) -> None:
    (folder / "rules/book.yaml").write_text("routes:\n- to: [dutty]\n")
    read_city(folder)
    endpoint(folder)
    with pytest.raises(
        ProfileError, match=r"rules/book.yaml:2:8: routes\[0\].to\[0\]: unknown endpoint 'dutty', did you mean 'duty'"
    ):
        read_city(folder)


async def test_a_lost_database_is_told_and_followed_again(
    database: str, pool: Pool, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder)
    await take_up(pool, folder)
    rules = await current_rules(pool, Metrics(), folder)
    async with open_pool(database) as lost:
        pass
    for _ in range(2):
        await rules.look(lost)
    assert {record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING} == {"rules_not_followed"}
    write(folder, limit="7")
    assert await looks(rules, pool) == ["a avg > 7"]
