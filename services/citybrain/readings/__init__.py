"""What an event says of each metric, in its own unit. Below the roles: ingest makes readings, aggregate makes them anew."""

from citybrain.readings.of_event import Reading, readings_of
from citybrain.readings.units import warm_up

__all__ = ["Reading", "readings_of", "warm_up"]
