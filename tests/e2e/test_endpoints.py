"""Endpoints by the command line: added, listed, tested and sent to again, in a running city."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import standardwebhooks

from city import City, eventually
from deliver_processes import receiving

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]  # each command is a process of its own


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with City(tmp_path, CITYBRAIN_DELIVERY_NETWORKS="127.0.0.0/8", CITYBRAIN_DELIVERY_HTTP="true") as running:
        yield running


def _on_data(city: City, *arguments: str) -> Any:
    return city.on_data("endpoints", *arguments)


def test_an_endpoint_is_added_tested_and_sent_to_again_by_commands(city: City, tmp_path: Path) -> None:
    with receiving(tmp_path / "team") as (port, noted):
        url = f"http://127.0.0.1:{port}/good"
        secret = _on_data(city, "add", "--name", "duty", "--url", url, "--default").ok().out.strip()
        standardwebhooks.Webhook(secret)
        listed = json.loads(_on_data(city, "list", "--json").ok().out)["items"]
        assert [(one["name"], one["url"], one["state"]) for one in listed] == [("duty", url, "enabled")]
        assert secret not in _on_data(city, "list").ok().out
        told = json.loads(_on_data(city, "test", "duty", "--json").ok().out)
        assert eventually(lambda: noted.read_text().count(told["webhook_id"]) == 1)
        _on_data(city, "resend", told["id"]).ok()
        assert eventually(lambda: noted.read_text().count(told["webhook_id"]) == 2)
        delivery = next(one for one in city.get("/v1/deliveries").json["items"] if one["id"] == told["id"])
        assert eventually(lambda: len(city.get(f"/v1/deliveries/{told['id']}").json["attempts"]) == 2)
        assert delivery["webhook_id"] == told["webhook_id"]
        assert secret not in city.log


def test_what_cannot_be_done_is_told_in_one_line(city: City) -> None:
    refused = [
        ("add", "--name", "x", "--url", "https://10.0.0.1/"),
        ("add", "--name", "x", "--url", "https://example.org", "--secret", "whsec_short"),
        ("add", "--name", "", "--url", "https://example.org"),
        ("test", "nobody"),
        ("resend", str(uuid4())),
        ("resend", "no-uuid"),
    ]
    for arguments in refused:
        ran = _on_data(city, *arguments)
        assert ran.code != 0, arguments
        assert len(ran.complaint) == 1, ran.err
        assert "whsec_short" not in ran.err
