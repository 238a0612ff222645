"""A cluster whose roles are killed one by one: each time exactly one stage of the heartbeat stands still, then goes on."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import write_profile

from city import eventually
from cluster import Cluster, Role, wait_for
from receivers import receiver

pytestmark = [pytest.mark.long, pytest.mark.timeout(480)]
STAGES = ("accepted", "stored", "areas", "ticks", "delivered")
MINUTE_S = 100  # for a minute of event time to be final, whatever the machine does besides
HOLD = (
    "update lease set owner = gen_random_uuid(), until = now() + interval '1 hour', fence = fence + 1 where name like 'rollup%'"
)
LET_GO = "update lease set until = now() - interval '1 s' where name like 'rollup%'"


@dataclass
class Watched:
    """The stages as Prometheus would see them, over all processes."""

    cluster: Cluster
    tellers: tuple[Role, ...]

    def stages(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for role in self.tellers:
            told = role.get("/metrics").body.decode()
            for stage, value in re.findall(r'citybrain_stage_through_seconds\{stage="(\w+)"\} (\S+)', told):
                found[stage] = max(found.get(stage, 0.0), float(value))
        return found

    def goes_on(self, stage: str, after: float) -> None:
        """Wait until a stage has passed a moment."""
        assert eventually(lambda: self.stages().get(stage, 0) > after, MINUTE_S, 0.5), (stage, after, self.stages())

    def only_stands_still(self, stage: str, for_s: float) -> None:
        """Those before it go on for so long in event time; it and what follows from it do not."""
        self.goes_on("accepted", self.stages()["accepted"] + 10)  # what was under way is done, and was measured
        place, begun = STAGES.index(stage), self.stages()
        before = STAGES[place - 1]
        self.goes_on(before, begun[before] + for_s)
        after = self.stages()
        assert [one for one in STAGES if after[one] > begun[one]] == list(STAGES[:place]), (stage, begun, after)


async def test_the_stage_of_a_role_that_is_gone_stands_still_and_no_other(tmp_path: Path) -> None:
    async with receiver() as switch:
        profile = write_profile(tmp_path / "city")
        line = {"name": "dead man's switch", "url": switch.url(), "heartbeat": True}
        (profile / "endpoints.yaml").write_text(json.dumps({"endpoints": [line]}))
        values = {"CITYBRAIN_DELIVERY_NETWORKS": "127.0.0.0/8", "CITYBRAIN_DELIVERY_HTTP": "true"}
        made = Cluster(tmp_path, "postgres", **values)
        try:
            await asyncio.to_thread(made.begin, profile)
            await asyncio.to_thread(stall_each, made)
        finally:
            await asyncio.to_thread(made.end)
        told = [json.loads(hook.body) for hook in switch.hooks]
    assert {one["type"] for one in told} == {"heartbeat"}
    through = [one["data"]["through"] for one in told]
    assert len(through) >= 4
    assert through == sorted(set(through))


def stall_each(made: Cluster) -> None:
    ingest, aggregate, alert, deliver, api = [made.start(role) for role in ("ingest", "aggregate", "alert", "deliver", "api")]
    city = Watched(made, (ingest, api))
    assert eventually(lambda: city.stages().keys() == set(STAGES), MINUTE_S), city.stages()
    for role, stage, for_s in ((deliver, "delivered", 0), (alert, "ticks", 0), (aggregate, "stored", 8)):
        role.kill()
        city.only_stands_still(stage, for_s)
        stood = city.stages()
        role.start()
        city.goes_on(stage, stood[stage])
    wait_for(made.execute(HOLD))  # rollup is a loop of aggregate: only it is kept from working
    city.only_stands_still("areas", 65)
    stood = city.stages()
    wait_for(made.execute(LET_GO))
    for stage in ("areas", "ticks", "delivered"):
        city.goes_on(stage, stood[stage])
    assert api.get("/v1/deliveries").json["items"] == []
    assert {one["endpoint"]["name"] for one in api.get("/v1/deliveries", type="heartbeat").json["items"]} == {"dead man's switch"}
    assert all(role["lag"] == 0 for role in api.settled()["roles"].values())
