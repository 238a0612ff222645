"""While the database is away posters are told to come back, nobody's key is called wrong, and all goes on by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from front_door import FrontDoor, front_door
from postgres import TEMPLATE, running_server
from small_city import occupancy, small_city


async def _first_accepted(door: FrontDoor, event: object) -> None:
    async with asyncio.timeout(10):
        while (await door.post(event)).status == 503:
            await asyncio.sleep(0.05)


async def test_posts_during_an_outage_get_503_and_work_again_after_it(tmp_path: Path) -> None:
    server_of = running_server(tmp_path)
    server = await asyncio.to_thread(server_of.__enter__)
    try:
        async with front_door(server.dsn(TEMPLATE), small_city()) as door:
            before, after = occupancy(), occupancy()
            assert (await door.post(before)).status == 202
            await server.stop()
            for _ in range(3):
                for key in (door.key, "cbk_" + "x" * 40):
                    answer = await door.post(after, key=key)
                    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
            assert (await door.post(after, key="")).status == 401
            await server.start()
            await _first_accepted(door, after)
            assert [event["id"] for event in await door.events()].count(after["id"]) == 1
            assert {event["id"] for event in await door.events()} == {before["id"], after["id"]}
            assert (await door.post(after, key="cbk_" + "x" * 40)).status == 401
    finally:
        await asyncio.to_thread(server_of.__exit__, None, None, None)
