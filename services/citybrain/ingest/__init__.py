"""The front door for events: posts in, decided one by one, appended to the bus. Readers of the topic are elsewhere."""

from citybrain.ingest.heartbeat import beat
from citybrain.ingest.http import IngestParts, create_ingest

__all__ = ["IngestParts", "beat", "create_ingest"]
