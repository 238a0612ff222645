"""All roles as processes of their own over a real Kafka: from the post to the page, while one of each kind is killed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import standardwebhooks
from places import write_profile
from test_from_post_to_page import WHSEC, occupancy, write_rules

from cluster import Cluster
from kafka_server import KafkaServer
from receivers import Receiver, receiver

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(240)]
SCALED = ("aggregate", "alert", "deliver")


def paged(team: Receiver) -> dict[str, set[str]]:
    """By lot, the webhook-ids that told that it is full."""
    found: dict[str, set[str]] = {}
    for hook in team.hooks:
        told = json.loads(hook.body)
        if told["type"] == "alert.firing":
            found.setdefault(told["data"]["alert"]["subject"], set()).add(hook.headers["webhook-id"])
    return found


async def test_every_full_lot_is_one_page_while_one_process_of_each_kind_is_killed(tmp_path: Path, kafka: KafkaServer) -> None:
    async with receiver() as team:
        profile = write_profile(tmp_path / "city")
        write_rules(profile, team.url())
        values = {"CITYBRAIN_DELIVERY_NETWORKS": "127.0.0.0/8", "CITYBRAIN_DELIVERY_HTTP": "true"}
        city = Cluster(tmp_path, f"kafka://{kafka.servers}", CITYBRAIN_SINGLE_REPLICA="true", **values)
        try:
            await asyncio.to_thread(city.begin, profile)
            ingest, api = [await asyncio.to_thread(city.start, role) for role in ("ingest", "api")]
            victims = [await asyncio.to_thread(city.start, role) for role in SCALED]
            for role in SCALED:
                await asyncio.to_thread(city.start, role)
            for n in range(60):
                answer = await asyncio.to_thread(ingest.post_until_answered, [occupancy(f"lot-{n}", 99), occupancy("calm", n)])
                assert answer.status == 202, answer.body
                if n % 20 == 10:
                    victims[n // 20].kill()
            async with asyncio.timeout(60):
                while len(paged(team)) < 60:
                    await asyncio.sleep(0.1)
            figures = await asyncio.to_thread(api.figures)
        finally:
            await asyncio.to_thread(city.end)
    assert figures == (120, 120, 0, 0, 0)
    assert {lot: len(ids) for lot, ids in paged(team).items()} == {f"lot-{n}": 1 for n in range(60)}
    standardwebhooks.Webhook(WHSEC).verify(team.hooks[-1].body.decode(), team.hooks[-1].headers)
