"""An example of every answer, for the OpenAPI document. Used by runner; a test compares each with the form that is declared."""

from __future__ import annotations

from typing import Any

_ALERT_ID, _SILENCE_ID = "3f6f2a0e-7a44-4c3e-9a37-6f1c2d5b8e10", "8c0b7f4e-2f2b-4a53-8a0c-5d0f7b1c9e22"
_ENDPOINT_ID, _DELIVERY_ID = "5b1c3c7e-90f4-4a8e-8a53-0b6d7e2f4a11", "0d9f4f1c-4b1e-4c5f-9a3a-2d6c8b7e1f33"
_WEBHOOK_ID = "msg_0d9f4f1c4b1e4c5f9a3a2d6c8b7e1f33"
_PATH = ["610602001001001", "610602001001", "610602001", "610602", "610600"]
_AREA = {
    "code": "610602001001001", "level": "grid", "name": {"en": "Grid 001", "zh": "第一网格"}, "parent": "610602001001",
    "valid_from": None, "valid_to": None,
}  # fmt: skip
_POINT = {
    "start": "2026-11-23T00:15:00Z", "count": 2, "sum": 823, "min": 411, "max": 412, "avg": 411.5, "last": 412, "value": 411.5,
    "subjects": 1, "expected": None, "final": True, "revision": 1,
}  # fmt: skip
_EVENT = {
    "source": "/parking/gateway-7", "id": "01JD0001", "type": "parking.occupancy", "time": "2026-11-23T00:15:02.000000Z",
    "subject": "BHMBCCMKT01", "area": _PATH[0], "data": {"occupied": 412, "capacity": 577}, "flags": [],
    "accepted_at": "2026-11-23T00:15:02.417031Z",
}  # fmt: skip
_CONFLICT = {name: value for name, value in _EVENT.items() if name != "flags"} | {"seen": "2026-11-23T00:20:00.000000Z"}
_ASSET = {
    "subject": "BHMBCCMKT01", "type": "parking.occupancy", "area": _PATH[0], "last_seen": "2026-11-23T00:15:02.000000Z",
    "silent": False, "data": {"occupied": 412, "capacity": 577}, "every_s": 1800, "name": {"en": "Market", "zh": "市场"},
    "location": [109.4897, 36.5853], "capacity": 577,
}  # fmt: skip
_HOLE = {
    "start": "2026-11-22T18:00:00.000000Z", "end": "2026-11-22T21:30:00.000000Z", "before": "2026-11-22T18:00:00.000000Z",
    "after": "2026-11-22T21:30:00.000000Z", "type": "utility.reading",
}  # fmt: skip
_ALERT = {
    "id": _ALERT_ID, "rule": "lot_full", "severity": "warning", "state": "firing", "sequence": 2, "provisional": True,
    "area": {"code": _PATH[0], "path": _PATH}, "subject": "BHMBCCMKT01", "source": None, "labels": {"team": "traffic"},
    "title": {"en": "Car park full", "zh": "停车场已满"},
    "value": {"avg": 0.97, "count": 15}, "threshold": "avg >= 0.95 and count >= 3",
    "peak": 0.98, "started_at": "2026-11-23T00:15:00.000000Z", "fired_at": "2026-11-23T00:15:00.000000Z",
    "ended_at": None, "late_by_s": None,
    "summary": {"en": "BHMBCCMKT01 is 97% full", "zh": "BHMBCCMKT01 已满 97%"},
    "evidence": {
        "window": {"start": "2026-11-23T00:00:00.000000Z", "end": "2026-11-23T00:15:00.000000Z"}, "events": ["01JD0001"],
        "sources": ["/parking/gateway-7"],
    },
    "handling": {"state": "open", "by": None, "until": None},
    "links": {
        "self": f"https://city.example/v1/alerts/{_ALERT_ID}",
        "acknowledge": f"https://city.example/v1/alerts/{_ALERT_ID}/acknowledge",
        "console": f"https://city.example/console#/alerts/{_ALERT_ID}",
    },
}  # fmt: skip
_LOG = {
    "entry": 1, "at": "2026-11-23T00:15:01.000000Z", "kind": "firing", "tick": "2026-11-23T00:15:00.000000Z",
    "provisional": True, "by": None,
    "comment": None, "detail": {},
}  # fmt: skip
_SILENCE = {
    "id": _SILENCE_ID, "state": "active", "matchers": {"rule": "lot_full", "area": "610602001"},
    "from": "2026-11-23T00:00:00.000000Z",
    "until": "2026-11-23T08:00:00.000000Z", "by": "ann", "why": "street festival", "until_resolved": False,
    "made_at": "2026-11-23T00:00:00.000000Z", "ended_at": None,
}  # fmt: skip
_ENDPOINT = {
    "id": _ENDPOINT_ID, "name": "traffic-duty", "url": "https://duty.example/hook", "format": "citybrain", "default": False,
    "language": "zh", "heartbeat": False, "made_by": "api", "made_at": "2026-11-01T00:00:00.000000Z", "state": "enabled",
    "disabled_at": None, "disabled_why": None, "health": None,
}  # fmt: skip
_DELIVERY = {
    "id": _DELIVERY_ID, "webhook_id": _WEBHOOK_ID, "endpoint": {"id": _ENDPOINT_ID, "name": "traffic-duty"},
    "type": "alert.firing", "state": "delivered", "alerts": [_ALERT_ID], "group": "lot_full/610602001",
    "made_at": "2026-11-23T00:15:11.000000Z", "next_attempt_at": None, "ended_at": "2026-11-23T00:15:11.204000Z",
    "last_error": None,
    "attempts": [
        {"attempt": 1, "at": "2026-11-23T00:15:11.020000Z", "took_ms": 184, "status": 200, "error": None, "answer": "ok"}
    ],
}  # fmt: skip
_ASKED = {"id": _ALERT_ID, "command": 17}
_STARTS = {"1m": "2026-11-23T00:15:00.000000Z", "1h": "2026-11-23T00:00:00.000000Z", "1d": "2026-11-22T16:00:00.000000Z"}


def _page(item: object) -> dict[str, object]:
    return {"items": [item], "next": None}


EXAMPLES: dict[str, Any] = {
    "GET /v1/status": {
        "version": "0.1.0", "mode": "embedded", "accepted": 33910, "stored": 33900, "repeated": 10, "conflicts": 0, "dead": 0,
        "roles": {
            "aggregate": {"lag": 0, "watermark": "2026-11-23T00:15:00.000000Z"},
            "rollup": {"lag": 0, "final_through": "2026-11-23T00:15:00.000000Z"},
            "alert": {"lag": 0, "final_through": "2026-11-23T00:15:00.000000Z"}, "notify": {"lag": 0}, "deliver": {"lag": 0},
        },
    },
    "GET /v1/areas": _page(_AREA),
    "GET /v1/areas/{code}": _AREA | {"path": _PATH, "children": [], "versions": [_AREA]},
    "GET /v1/areas.geojson": {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature", "properties": {"code": _PATH[0], "level": "grid", "name": _AREA["name"], "parent": _PATH[1]},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[109.48, 36.58], [109.49, 36.58], [109.49, 36.59], [109.48, 36.58]]],
                },
            }
        ],
    },
    "GET /v1/series": {
        "metric": "parking.occupied", "unit": "spaces", "area": _PATH[0], "subject": "BHMBCCMKT01", "step": "1m", "next": None,
        "points": [_POINT],
    },
    "GET /v1/events": _page(_EVENT),
    "GET /v1/event": _EVENT | {
        "windows": [
            {"metric": "parking.occupied", "area": _PATH[0], "subject": "BHMBCCMKT01", "source": None, "start": _STARTS}
        ],
        "alerts": [
            {"id": _ALERT_ID, "rule": "lot_full", "state": "firing", "severity": "warning",
             "started_at": "2026-11-23T00:15:00.000000Z", "named": True}
        ],
        "deliveries": [
            {"id": _DELIVERY_ID, "webhook_id": _WEBHOOK_ID, "endpoint": "traffic-duty", "type": "alert.firing",
             "state": "delivered", "made_at": "2026-11-23T00:15:11.000000Z"}
        ],
        "conflicts": [],
    },
    "GET /v1/conflicts": _page(_CONFLICT),
    "GET /v1/assets": _page(_ASSET),
    "GET /v1/assets/{subject}/holes": _page(_HOLE),
    "GET /v1/alerts": _page(_ALERT),
    "GET /v1/alerts/{id}": _ALERT | {"log": [_LOG]},
    "POST /v1/alerts/{id}/acknowledge": _ASKED,
    "POST /v1/alerts/{id}/unacknowledge": _ASKED,
    "POST /v1/alerts/{id}/comment": _ASKED,
    "POST /v1/alerts/{id}/close": _ASKED,
    "GET /v1/silences": _page(_SILENCE),
    "POST /v1/silences": _SILENCE,
    "GET /v1/silences/{id}": _SILENCE,
    "GET /v1/endpoints": _page(_ENDPOINT),
    "POST /v1/endpoints": _ENDPOINT | {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "GET /v1/endpoints/{id}": _ENDPOINT,
    "PATCH /v1/endpoints/{id}": _ENDPOINT,
    "POST /v1/endpoints/{id}/test": {"id": _DELIVERY_ID, "webhook_id": _WEBHOOK_ID},
    "GET /v1/deliveries": _page(_DELIVERY),
    "GET /v1/deliveries/{id}": _DELIVERY | {"body": {"type": "alert.firing", "timestamp": "2026-11-23T00:15:11Z", "data": {}}},
    "POST /v1/deliveries/{id}/resend": {"id": _DELIVERY_ID},
}  # fmt: skip
