"""Names of things as types of their own, so that a subject is never passed for a source. Used everywhere; no logic."""

from __future__ import annotations

from typing import NewType

EventId = NewType("EventId", str)  # unique within its source
Source = NewType("Source", str)  # who posts: a gateway, an app
TypeName = NewType("TypeName", str)  # parking.occupancy
Subject = NewType("Subject", str)  # an asset (lot, meter, bin), or a case
AreaCode = NewType("AreaCode", str)  # any level, from the city to the unit grid
MetricName = NewType("MetricName", str)  # parking.occupied
