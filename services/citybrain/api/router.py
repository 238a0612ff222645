"""The routes of the reading API. Called by runner and tests. Every one needs a key of role viewer or more."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from citybrain.api.alerts import add_alerts
from citybrain.api.areas import add_areas
from citybrain.api.assets import add_assets
from citybrain.api.deliveries import add_deliveries
from citybrain.api.endpoints import add_endpoints
from citybrain.api.events import add_event, add_events
from citybrain.api.parts import ApiParts
from citybrain.api.series_route import add_series
from citybrain.api.silences import add_silences
from citybrain.api.status import add_status
from citybrain.api.stream import add_stream
from citybrain.api.strict import only_known_names
from citybrain.web import answers


def create_api(parts: ApiParts) -> APIRouter:
    """All reading routes."""
    before = [Depends(parts.reader), Depends(only_known_names)]
    router = APIRouter(tags=["reading"], dependencies=before, responses=answers(401, 403, 422, 503))
    add_status(router, parts)
    add_areas(router, parts)
    add_series(router, parts)
    add_events(router, parts)
    add_event(router, parts)
    add_assets(router, parts)
    add_alerts(router, parts)
    add_silences(router, parts)
    add_endpoints(router, parts)
    add_deliveries(router, parts)
    add_stream(router, parts)
    return router
