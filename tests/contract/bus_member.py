"""A member of a topic in a process of its own, which tests kill and stop: prints its partitions at every change.

python bus_member.py SERVERS TOPIC MEMBER SESSION_TIMEOUT_S
"""

from __future__ import annotations

import asyncio
import json
import sys

from citybrain.bus.kafka import open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.telemetry import Metrics


async def main(servers: str, topic: str, member: str, session_timeout_s: int) -> None:
    settings = KafkaSettings(single_replica=True, session_timeout_s=session_timeout_s)
    async with open_kafka_bus(servers, settings, Metrics()) as bus:
        place, told = await bus.join(topic, "reader", member), None
        while True:
            if place.current() != told:
                told = place.current()
                sys.stdout.write(json.dumps(sorted(told.partitions)) + "\n")
                sys.stdout.flush()
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
