"""The way out: nothing is sent, and no connection made, to where webhooks may not go. Sockets are watched."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import uuid4

import pytest

from citybrain.deliver.post import MAX_ANSWER_BYTES, Poster, open_poster
from citybrain.deliver.retry import Answer
from citybrain.endpoints.addresses import Policy
from citybrain.store.deliveries import Claimed
from endpoint_targets import REFUSED
from receivers import Behaviour, Receiver, receiver

PUBLIC_ONLY = Policy()
LOOPBACK = Policy((ip_network("127.0.0.0/8"),), plain_http=True)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of a test


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that a socket of this process was to connect to."""
    seen: list[object] = []
    real = socket.socket.connect

    def watched(self: socket.socket, address: object) -> None:
        seen.append(address)
        real(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", watched)
    return seen


@pytest.fixture
def listener() -> Iterator[list[str]]:
    """A socket on every address of this machine; whoever connects is noted. The first entry is the port."""
    noted: list[str] = []
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        listening.setblocking(False)
        noted.append(str(listening.getsockname()[1]))
        yield noted
        with pytest.raises(BlockingIOError):
            listening.accept()


def delivery(url: str, format_: str = "citybrain") -> Claimed:
    return Claimed(
        uuid4(),
        "msg_1",
        uuid4(),
        "endpoint.test",
        b'{"type":"endpoint.test","data":{}}',
        0,
        0,
        timedelta(),
        url,
        format_,
        "zh",
        [SECRET],
        None,
    )


@asynccontextmanager
async def posting(policy: Policy, lookup: Callable[[str, int], list[str]] | None = None) -> AsyncIterator[Poster]:
    def nowhere(host: str, port: int) -> list[str]:
        raise OSError(f"{host}:{port} is not known here")

    async with open_poster(policy, lambda: datetime.now(UTC), 256, lookup or nowhere) as poster:
        yield poster


async def test_no_socket_is_opened_for_any_forbidden_target(connects: list[object], listener: list[str]) -> None:
    assert len(REFUSED) >= 60
    asked: list[str] = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1", "::1"]

    async with posting(PUBLIC_ONLY, lookup) as poster:
        for url in REFUSED:
            answer = await poster.post(delivery(url.replace("{port}", listener[0])))
            assert answer.status is None
            assert answer.error is not None
            assert answer.error.startswith("not sent: "), url
    assert (connects, asked) == ([], [])


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"], ["::1"], ["10.0.0.1", "192.168.1.1"], ["169.254.169.254"], ["64:ff9b::7f00:1"], ["::ffff:127.0.0.1"],
        ["2002:7f00:1::"], ["0.0.0.1"], ["fec0::1"], ["fe80::1%lo"], ["nonsense"], [],
    ],
)  # fmt: skip
async def test_a_name_with_no_allowed_address_is_not_connected_to(
    addresses: list[str], connects: list[object], listener: list[str]
) -> None:
    async with posting(PUBLIC_ONLY, lambda host, port: addresses) as poster:
        answer = await poster.post(delivery(f"https://rebinding.example.org:{listener[0]}/"))
    assert answer.error is not None
    assert "not sent: rebinding.example.org has no address that is allowed" in answer.error
    assert connects == []


async def test_a_rebinding_name_is_looked_up_once_and_the_connection_goes_where_it_was_vetted(connects: list[object]) -> None:
    answers = iter([["127.0.0.2"], ["169.254.169.254"], ["169.254.169.254"]])
    async with (
        receiver() as team,
        posting(Policy((ip_network("127.0.0.2/32"),), plain_http=True), lambda *_: next(answers)) as poster,
    ):
        for _ in range(2):
            await poster.post(delivery(f"http://rebinding.example.org:{team.port}/"))
    assert {address[0] for address in connects if isinstance(address, tuple)} <= {"127.0.0.2"}
    assert connects


async def test_of_a_names_addresses_only_allowed_ones_are_used(connects: list[object]) -> None:
    lookup = lambda *_: ["10.0.0.1", "::1", "169.254.169.254", "127.0.0.1"]  # noqa: E731 - one line says it
    async with receiver() as team, posting(LOOPBACK, lookup) as poster:
        assert await poster.post(delivery(f"http://team.example.org:{team.port}/")) == Answer(
            200, None, b'{"errcode":0,"code":0}'
        )
    assert connects == [("127.0.0.1", team.port)]


async def test_a_socket_is_vetted_even_if_the_resolver_were_fooled(
    connects: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fooled(*_: object, **__: object) -> list[dict[str, object]]:
        return [{"hostname": "x", "host": "127.0.0.1", "port": 9, "family": socket.AF_INET, "proto": 6, "flags": 4}]

    monkeypatch.setattr("citybrain.deliver.guard._Resolver.resolve", fooled)
    async with posting(PUBLIC_ONLY) as poster:
        answer = await poster.post(delivery("https://example.org/"))
    assert answer.error == "not sent: the address 127.0.0.1 is not allowed: it is not public"
    assert connects == []


async def test_a_redirect_is_a_failure_and_is_not_followed(connects: list[object], listener: list[str]) -> None:
    async with receiver() as team, posting(LOOPBACK) as poster:
        for status in (301, 302, 303, 307, 308):
            team.told["/hook"] = Behaviour(status, {"Location": f"http://127.0.0.1:{listener[0]}/stolen"})
            answer = await poster.post(delivery(team.url()))
            assert (answer.status, answer.error) == (status, f"answered {status}: redirects are not followed")
        assert {address[1] for address in connects if isinstance(address, tuple)} == {team.port}


async def test_what_a_receiver_says_becomes_an_answer() -> None:
    async with receiver() as team, posting(LOOPBACK) as poster:
        cases: list[tuple[Behaviour, str, tuple[int | None, str | None]]] = [
            (Behaviour(204, body=b""), "citybrain", (204, None)),
            (Behaviour(500), "citybrain", (500, "answered 500 Internal Server Error")),
            (Behaviour(404), "citybrain", (404, "answered 404 Not Found")),
            (Behaviour(599), "citybrain", (599, "answered 599")),
            (Behaviour(410), "citybrain", (410, "answered 410 Gone")),
            (
                Behaviour(200, body=b'{"errcode":93000,"errmsg":"invalid"}'),
                "wecom",
                (200, "the robot answered errcode 93000: invalid"),
            ),
            (Behaviour(200), "wecom", (200, None)),
        ]
        for how, format_, expected in cases:
            team.told["/hook"] = how
            answer = await poster.post(delivery(team.url(), format_))
            assert (answer.status, answer.error) == expected
        team.told["/hook"] = Behaviour(429, {"Retry-After": "17"})
        assert (await poster.post(delivery(team.url()))).retry_after == timedelta(seconds=17)
        team.told["/hook"] = Behaviour(reset=True)
        reset = await poster.post(delivery(team.url()))
        assert reset.status is None
        assert reset.error is not None
    refused = await _post_once(f"http://127.0.0.1:{team.port}/")
    assert refused == Answer(None, "connection refused")


async def _post_once(url: str) -> Answer:
    async with posting(LOOPBACK) as poster:
        return await poster.post(delivery(url))


async def test_of_an_endless_answer_20_kb_are_read_and_the_connection_is_closed() -> None:
    async with receiver() as team, posting(LOOPBACK) as poster:
        team.told["/hook"] = Behaviour(endless=True)
        answer = await poster.post(delivery(team.url()))
        assert (answer.status, answer.error, len(answer.body)) == (200, None, MAX_ANSWER_BYTES)


async def test_connections_are_used_again(connects: list[object]) -> None:
    async with receiver() as team, posting(LOOPBACK) as poster:
        for _ in range(20):
            assert (await poster.post(delivery(team.url()))).status == 200
        assert len(connects) == 1
        assert _signed(team)


def _signed(team: Receiver) -> bool:
    return all(hook.headers["webhook-signature"].startswith("v1,") for hook in team.hooks)


async def test_a_receiver_that_never_answers_is_left_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citybrain.deliver.post.TIMEOUT_S", 0.2)
    async with receiver() as team, posting(LOOPBACK) as poster:
        team.told["/hook"] = Behaviour(delay_s=30)
        answer = await poster.post(delivery(team.url()))
        assert (answer.status, answer.error) == (None, "no answer within 0 s")


async def test_a_name_that_is_never_found_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citybrain.deliver.guard.LOOKUP_S", 0.3)
    hanging = asyncio.Event()
    loop = asyncio.get_running_loop()

    def lookup(host: str, port: int) -> list[str]:
        if host == "dead.example.org":
            asyncio.run_coroutine_threadsafe(hanging.wait(), loop).result(5)
        return ["127.0.0.1"]

    async with receiver() as team, posting(LOOPBACK, lookup) as poster:
        dead = [asyncio.create_task(poster.post(delivery(f"http://dead.example.org:{team.port}/"))) for _ in range(100)]
        await asyncio.sleep(0.05)
        good = await asyncio.gather(*(poster.post(delivery(f"http://good{n}.example.org:{team.port}/")) for n in range(10)))
        assert {answer.status for answer in good} == {200}
        assert not any(task.done() for task in dead)
        for answer in await asyncio.gather(*dead):
            assert "was not found within" in (answer.error or "")
        hanging.set()
