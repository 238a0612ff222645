"""Backup and restore by the commands of docs/howto/backup.md: an embedded city, stopped and running; the database of a cluster,
dumped, and by a base backup with archived log; and what comes after: a topic that is ahead, a topic that was lost, webhooks.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from places import write_profile
from test_from_post_to_page import occupancy, write_rules

from city import City, eventually
from citybrain.store.embedded_server import Server
from citybrain.store.embedded_settings import settings
from cluster import DATABASE, Cluster, Role, wait_for
from kafka_server import KafkaServer
from pages import in_shell, scene
from receivers import Behaviour, Receiver, receiver

pytestmark = [pytest.mark.long, pytest.mark.timeout(420)]
PAGE = "docs/howto/backup.md"
DELIVERING = {
    "CITYBRAIN_DELIVERY_NETWORKS": "127.0.0.0/8",
    "CITYBRAIN_DELIVERY_HTTP": "true",
    "CITYBRAIN_PUBLIC_URL": "https://city.example.org",  # links are of the city, not of the process that is asked
}
ROLES = ("ingest", "aggregate", "alert", "deliver", "api")
KEPT = ("/v1/alerts", "/v1/deliveries", "/v1/silences", "/v1/endpoints", "/v1/conflicts")
_MIB = 1 << 20


def live(city: City, posts: City, name: str) -> None:
    """Something of everything: two hundred readings, a repeat, a conflict, and a car park that is full."""
    readings = [occupancy(f"{name}-{n % 40}", n % 80) for n in range(200)]
    other = readings[0] | {"data": {"occupied": 81, "capacity": 100}}
    for events in (readings, readings[1:3], [other], [occupancy(f"{name}-full", 99)]):
        assert posts.post_until_answered(events).status == 202
    city.settled()
    assert eventually(lambda: [one for one in city.items("/v1/alerts") if one["subject"] == f"{name}-full"])


def handle(city: City) -> None:
    """What people add."""
    alert = city.items("/v1/alerts")[0]["id"]
    body, head = json.dumps({"comment": "seen", "until": "2099-01-01T00:00:00Z"}).encode(), {"Content-Type": "application/json"}
    assert city.send("POST", f"/v1/alerts/{alert}/acknowledge", body, head).status in {200, 202}
    silence = {"matchers": {"subject": "nothing"}, "from": "2026-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z", "why": "x"}
    assert city.send("POST", "/v1/silences", json.dumps(silence).encode(), head).status == 201
    assert eventually(lambda: city.items("/v1/alerts")[0]["handling"]["state"] == "acknowledged")


def kept(city: City) -> dict[str, list[Any]]:
    """What is no part of the state dump and has to be there, too, without what still moves."""
    moving = ("attempts", "next_attempt_at", "state", "ended_at", "last_error", "health", "lag")
    found = {path: city.items(path) for path in KEPT}
    return {
        path: sorted(json.dumps({k: str(v) for k, v in one.items() if k not in moving}) for one in rows)
        for path, rows in found.items()
    }


def keys(city: City) -> list[tuple[str, str]]:
    listed = json.loads(city.run("keys", "list", "--json", *_data(city)).ok().out)["items"]
    return sorted((one["name"], one["role"]) for one in listed)


def _data(city: City) -> tuple[str, ...]:
    return () if isinstance(city, Role) else ("--data", str(city.data))


def events(text: str) -> set[str]:
    """The events of a dump; windows grow with what comes."""
    return {line for line in text.splitlines() if line.startswith('{"table":"event"')}


def sent(team: Receiver, subject: str) -> list[str]:
    """The webhook-ids under which a receiver was told that this car park is full, one a request."""
    told = [(json.loads(hook.body), hook.id) for hook in team.hooks]
    return [id_ for one, id_ in told if one["type"] == "alert.firing" and one["data"]["alert"]["subject"] == subject]


def test_a_stopped_city_is_its_folder(tmp_path: Path) -> None:
    city = City(tmp_path, write_profile(tmp_path / "city"))
    city.data = tmp_path / "my-city"
    try:
        city.start()
        assert city.post([occupancy(f"lot-{n}", n) for n in range(50)]).status == 202
        city.settled()
        before = city.dump()
        assert city.stop()[0] == 0
        in_shell(scene(PAGE, "embedded-stopped"), tmp_path, {})
        assert city.run("state", "dump", "--data", "my-city.backup").ok().out == before != ""
    finally:
        city.remove()


async def test_a_running_city_is_copied_and_goes_on_from_the_copy(tmp_path: Path) -> None:
    async with receiver() as team:
        await asyncio.to_thread(_copied_while_it_runs, tmp_path, team)


def _copied_while_it_runs(root: Path, team: Receiver) -> None:
    profile = write_profile(root / "city")
    write_rules(profile, team.url())
    team.told["/hook"] = Behaviour(status=500)
    city = City(root, profile, **DELIVERING)
    city.data = root / "my-city"
    try:
        city.start()
        live(city, city, "a")
        handle(city)
        city.on_data("keys", "create", "--name", "gateway", "--role", "ingest", "--source", "/test").ok()
        assert eventually(lambda: sent(team, "a-full"))
        before, things, names = city.dump(), kept(city), keys(city)

        in_shell(scene(PAGE, "embedded-running"), root, {})
        team.told.clear()
        assert city.post([occupancy("later", 1)]).status == 202
        time_passes(city)
        assert eventually(lambda: all(one["state"] == "delivered" for one in city.items("/v1/deliveries")))
        taken = len(sent(team, "a-full"))
        assert city.stop()[0] == 0
        shown = in_shell(scene(PAGE, "embedded-compare"), root, {}).out
        assert shown == in_shell("cksum < before", root, _written(root / "before", before)).out

        copied, started = scene(PAGE, "embedded-restore").splitlines()
        in_shell(copied, root, {})
        assert started == "citybrain up --data restored --port 8000"
        city.data = root / "restored"
        city.start()
        assert (city.dump(), kept(city), keys(city)) == (before, things, names)
        time_passes(city)
        assert eventually(lambda: len(sent(team, "a-full")) > taken)
        assert len(set(sent(team, "a-full"))) == 1
        assert "later" not in city.dump()
        live(city, city, "b")
        assert set() < events(before) < events(city.dump())
        city.on_data("state", "verify").ok()
    finally:
        city.remove()


def time_passes(city: City) -> None:
    """What waits to be tried again is due; it may have been five minutes."""
    statement = "update delivery set next_attempt_at = now() where state = 'waiting'"
    city.run("postgres", "--data", city.data, "psql", "--quiet", "--command", statement).ok()


def _written(path: Path, text: str) -> dict[str, str]:
    path.write_text(text, "utf-8")
    return {}


async def test_a_dumped_cluster_goes_on_with_a_topic_that_is_ahead_and_with_a_new_one(tmp_path: Path, kafka: KafkaServer) -> None:
    async with receiver() as team:
        await asyncio.to_thread(_dumped_and_restored, tmp_path, kafka, team)


def _dumped_and_restored(root: Path, kafka: KafkaServer, team: Receiver) -> None:
    profile = write_profile(root / "city")
    write_rules(profile, team.url())
    values = {"CITYBRAIN_SINGLE_REPLICA": "true", "CITYBRAIN_KAFKA_PARTITIONS": "4", **DELIVERING}
    city = Cluster(root, f"kafka://{kafka.servers}", **values)
    try:
        city.begin(profile)
        ingest, api = started(city)
        live(api, ingest, "a")
        handle(api)
        assert eventually(lambda: sent(team, "a-full"))
        before, things, names = dump(city), kept(api), keys(api)
        places = {"CITYBRAIN_DATABASE_URL": city.server.dsn(DATABASE), "RESTORED": city.server.dsn("restored")}
        in_shell(scene(PAGE, "cluster-dump"), root, places)
        live(api, ingest, "b")
        assert eventually(lambda: sent(team, "b-full"))
        after, figures = dump(city), api.figures()
        stop(city)

        in_shell(scene(PAGE, "cluster-restore"), root, {**city.values, **places})
        city.values["CITYBRAIN_DATABASE_URL"] = places["RESTORED"]
        assert dump(city) == before != after
        [api] = started(city, "api")
        assert (kept(api), keys(api)) == (things, names)
        ingest, api = started(city)
        assert eventually(lambda: api.status()["accepted"] == figures[0], 60)
        assert (api.figures(), dump(city)) == (figures, after), "the topic is read again from where the backup stood"
        assert eventually(lambda: len(set(sent(team, "b-full"))) == 2), "an alert made again is told again, under a new id"
        assert len(sent(team, "a-full")) == 1, "what was delivered before the backup is not sent again"
        stop(city)
        _with_a_new_topic(city, root, after)
    finally:
        city.end()


def _with_a_new_topic(city: Cluster, root: Path, after: str) -> None:
    (root / "kafka-2").mkdir()
    kafka = KafkaServer(root / "kafka-2")
    kafka.start()
    try:
        city.values["CITYBRAIN_BUS"] = f"kafka://{kafka.servers}"
        [ingest] = started(city, "ingest")
        assert ingest.post_until_answered([occupancy("c", 7)]).status == 202
        aggregate = city.start("aggregate")
        assert aggregate.wait_for_log("aggregate_failed")
        assert "the topic was made anew" in aggregate.log
        stop(city)
        in_shell(scene(PAGE, "lost-topic"), root, city.values)
        ingest, api = started(city)
        live(api, ingest, "d")
        assert eventually(lambda: '"c"' in dump(city), 60)
        assert set() < events(after) < events(dump(city))
        city.run("state", "verify").ok()
    finally:
        stop(city)
        kafka.kill()


def test_a_base_backup_and_the_archive_bring_back_what_came_after_it(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    archive.chmod(0o777)
    city = Cluster(tmp_path, "postgres")
    try:
        city.begin(write_profile(tmp_path / "city"))
        in_shell(scene(PAGE, "archive").replace("/archive/", f"{archive}/"), tmp_path, city.values)
        wait_for(city.server.stop())
        wait_for(city.server.start())
        ingest, api = started(city)
        assert ingest.post_until_answered([occupancy(f"lot-{n}", n) for n in range(50)]).status == 202
        (tmp_path / "base").mkdir()
        in_shell(scene(PAGE, "base-backup"), tmp_path, city.values)
        assert ingest.post_until_answered([occupancy(f"later-{n}", n) for n in range(50)]).status == 202
        assert api.settled(100)["accepted"] == 100
        stop(city)
        after = dump(city)
        [[last]] = wait_for(city.execute("select pg_walfile_name(pg_switch_wal())"))
        assert eventually((archive / last).exists)
        wait_for(city.server.stop())

        in_shell(scene(PAGE, "base-restore"), tmp_path, {"ARCHIVE": str(archive)})
        city.server = Server((tmp_path / "restored").resolve(), settings(512 * _MIB))
        wait_for(city.server.start())
        city.values["CITYBRAIN_DATABASE_URL"] = city.server.dsn(DATABASE)
        assert eventually(lambda: wait_for(city.execute("select not pg_is_in_recovery()"))[0][0])
        assert dump(city) == after
        assert "later-49" in after
        city.run("state", "verify").ok()
    finally:
        city.end()


def started(city: Cluster, *roles: str) -> list[Role]:
    """Processes of these roles; of all, the two that are asked."""
    made = {role: city.start(role) for role in roles or ROLES}
    return [made[role] for role in made if role in {"ingest", "api"}]


def stop(city: Cluster) -> None:
    for role in city.roles:
        if role.process is not None:
            assert role.stop()[0] == 0, role.log[-2000:]


def dump(city: Cluster) -> str:
    return city.run("state", "dump").ok().out
