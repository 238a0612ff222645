"""The life of a key, by the command line, and what it means over HTTP within a second."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from places import occupancy

from city import City, eventually

EFFECT_S = 1.0
pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]  # each command is a process of its own


def _status_of(city: City, key: str) -> int:
    return city.get("/v1/areas", key=key).status


def _create(city: City, name: str, role: str, *more: str) -> str:
    return city.on_data("keys", "create", "--name", name, "--role", role, *more).ok().out.strip()


def _listed(city: City, name: str) -> dict[str, Any]:
    (found,) = [row for row in json.loads(city.on_data("keys", "list", "--json").ok().out)["items"] if row["name"] == name]
    return dict(found)


def _refused_within_a_second(city: City, key: str) -> None:
    """The command has returned: from here on it may take a second."""
    end = time.monotonic() + EFFECT_S
    assert eventually(lambda: _status_of(city, key) == 401, EFFECT_S + 1)
    assert time.monotonic() <= end


def test_a_key_lives_from_create_over_rotate_to_revoke(shared_city: City) -> None:
    first = _create(shared_city, "life", "viewer", "--expires", "90d")
    assert _status_of(shared_city, first) == 200
    row = _listed(shared_city, "life")
    assert (row["role"], row["revoked_at"]) == ("viewer", None)
    assert row["expires_at"]
    assert first not in shared_city.on_data("keys", "list").ok().out
    second = shared_city.on_data("keys", "rotate", "life").ok().out.strip()
    assert second != first
    assert _status_of(shared_city, second) == 200
    _refused_within_a_second(shared_city, first)
    shared_city.on_data("keys", "revoke", str(row["key_id"])).ok()
    _refused_within_a_second(shared_city, second)
    assert _listed(shared_city, "life")["revoked_at"]
    assert shared_city.on_data("keys", "rotate", "life").code != 0
    assert first not in shared_city.log
    assert second not in shared_city.log


def test_a_key_with_a_source_prefix_posts_for_that_source_alone_and_reads_nothing(shared_city: City) -> None:
    key = _create(shared_city, "gateway", "ingest", "--source", "/parking/gateway-7")
    mine, other = occupancy(), occupancy(source="/parking/gateway-8")
    answer = shared_city.post([mine, other], key=key)
    assert answer.status == 207
    assert [(item["index"], item["code"]) for item in answer.json["rejected"]] == [(1, "forbidden_source")]
    assert shared_city.post([other], key=key).status == 422
    assert _status_of(shared_city, key) == 403


def test_only_ingest_and_admin_post_and_everybody_else_reads(shared_city: City) -> None:
    for role, posting, reading in (("viewer", 403, 200), ("operator", 403, 200), ("ingest", 202, 403), ("admin", 202, 200)):
        key = _create(shared_city, f"one {role}", role)
        assert shared_city.post(occupancy(), key=key).status == posting, role
        assert _status_of(shared_city, key) == reading, role


def test_without_a_key_or_with_a_wrong_one_nothing_is_told(shared_city: City) -> None:
    for path in ("/v1/areas", "/v1/status", "/v1/events", "/metrics"):
        for key in ("", "wrong", "x" * 5000):
            assert shared_city.get(path, key=key).status == 401, (path, key[:9])
    assert shared_city.post(occupancy(), key="wrong").status == 401
    assert shared_city.get("/healthz", key="").status == 200


def test_the_command_line_refuses_what_makes_no_sense(shared_city: City) -> None:
    _create(shared_city, "taken", "viewer")
    for more in (
        ("create", "--name", "taken", "--role", "viewer"),
        ("create", "--name", "admin", "--role", "admin"),
        ("create", "--name", "prefixed", "--role", "viewer", "--source", "/x"),
        ("create", "--name", "soon", "--role", "viewer", "--expires", "soon"),
        ("create", "--name", "king", "--role", "king"),
        ("revoke", "nobody"),
        ("rotate", "admin"),
    ):
        said = shared_city.on_data("keys", *more)
        assert said.code != 0
        assert len(said.complaint) == 1, said.err
