"""Post events from a field app: kept on disk until the city has them, posted in batches, counted once. docs/howto/field-app.md

    async with field_app("https://city.example", key, Path("spool.db"), source="/patrol/7") as app:
        await app.post("bin.level", {"level_percent": 80}, subject="bin-12")

`post` returns when the event is on disk here; it reaches the city as soon as there is one to reach, after a crash, too. The same
without asyncio: `BlockingFieldApp`.
"""

from citybrain.client.blocking import BlockingFieldApp
from citybrain.client.errors import BodyTooLarge, CityUnreachable, ClientError, PostRefused, SpoolFull
from citybrain.client.field_app import FieldApp, field_app
from citybrain.client.spool import Refused, Spool

__all__ = [
    "BlockingFieldApp", "BodyTooLarge", "CityUnreachable", "ClientError", "FieldApp", "PostRefused", "Refused", "Spool",
    "SpoolFull", "field_app",
]  # fmt: skip
