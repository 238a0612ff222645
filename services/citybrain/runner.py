"""The composition root: the only place that knows which adapters there are. Starts roles, owns readiness and shutdown.

`up` runs the whole city in one process; `run_role` runs one role of a cluster. Both use the same roles. Cancellation is the
only way a role stops; SIGTERM first lets the HTTP server finish what it has begun.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Request

from citybrain import serving, vitals
from citybrain.access import Access, Principal, Role
from citybrain.access.keys import ensure_admin_key
from citybrain.aggregate.drain import Consumed, consume
from citybrain.aggregate.modes import metric_rows
from citybrain.aggregate.rollup import Rollup
from citybrain.aggregate.shards import ALL
from citybrain.aggregate.upkeep import Keep, Upkeep
from citybrain.aggregate.worker import AggregateWorker
from citybrain.alert.notify.flush import Flusher
from citybrain.alert.publish import Publisher
from citybrain.alert.worker import AlertWorker
from citybrain.api.examples import EXAMPLES
from citybrain.api.gauges import keep_measuring
from citybrain.api.parts import ApiParts
from citybrain.api.router import create_api
from citybrain.bus.kafka import open_kafka_bus
from citybrain.bus.members import PostgresMembership
from citybrain.bus.port import Bus
from citybrain.bus.postgres import open_postgres_bus
from citybrain.city import default_city_folder
from citybrain.deliver.worker import Deliverer
from citybrain.endpoints.addresses import Policy
from citybrain.errors import SettingsError
from citybrain.ingest import IngestParts, beat, create_ingest
from citybrain.profiles import CurrentCity, CurrentRules, current_city, current_rules, load, read_city
from citybrain.settings import Settings
from citybrain.store.dictionary import put_metrics
from citybrain.store.embedded import embedded_postgres
from citybrain.store.hung import Hung
from citybrain.store.keys import KeyStore
from citybrain.store.migrate import migrate, require_this_version
from citybrain.store.pool import HUNG_AFTER_S, Pool, open_pool
from citybrain.telemetry import Metrics
from citybrain.web.app import Described, WebParts, create_app, metrics_app
from citybrain.web.front import Front
from citybrain_schemas.topics import EVENTS_TOPIC

_log = logging.getLogger(__name__)
VERSION = version("citybrain")
READING_CONNECTIONS = 6
WORKERS = 2  # of aggregate in a process: while the database works for one, the other reads (tests/bench)
NEED_THE_BUS = ("ingest", "aggregate")  # a process that cannot accept or read does not start
LOOPBACK = IPv4Network("127.0.0.1/32")
EMBEDDED_OWNER = UUID(int=1)  # a city that starts again is the same owner: it need not wait for its own lease


@dataclass(frozen=True, slots=True)
class Demo:
    """What `--demo` adds: what plays into the city and receives its pages on 127.0.0.1, and rule files besides the profile's."""

    play: Callable[[str, str, Path], Awaitable[None]]
    rules: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`citybrain up`."""

    data: Path
    host: str
    port: int
    demo: Demo | None = None


@dataclass(slots=True)
class Process:
    """What every role is given."""

    settings: Settings
    pool: Pool
    reading_pool: Pool  # of its own, so that slow readers never hold up what is written
    bus: Bus
    city: CurrentCity
    metrics: Metrics
    mode: str
    access: Access
    policy: Policy
    public_url: str
    member: str
    readiness: serving.Readiness = field(default_factory=serving.Readiness)

    def clock(self) -> datetime:
        """The wall clock, asked at edges only."""
        return datetime.now(UTC)


async def up(options: UpOptions, settings: Settings) -> None:
    """The embedded city, until SIGTERM or SIGINT."""
    with serving.listen(options.host, options.port, settings.metrics_port) as listener:
        folder = settings.city or default_city_folder()
        more_rules: Mapping[str, bytes] = {}
        if options.demo is not None:
            more_rules, settings = options.demo.rules, _with_own_receiver(settings)
        files, city = await asyncio.to_thread(read_city, folder, more_rules)
        async with AsyncExitStack() as stack:
            postgres = await stack.enter_async_context(embedded_postgres(options.data))
            await migrate(postgres.dsn, settings.storage_chunk)
            place = _Place(postgres.dsn, "embedded", listener.url, "up")
            process = await stack.enter_async_context(_process(place, settings, CurrentCity(city)))
            await process.bus.partitions(EVENTS_TOPIC)
            await load(process.pool, files, city, policy=process.policy)
            rules = await current_rules(process.pool, process.metrics, folder, process.policy, more_rules)
            tasks = [
                postgres.keep_running(),
                *_ingest_tasks(process),
                *_aggregate_tasks(process, EMBEDDED_OWNER, wakes := _Wakes()),
                *_alert_tasks(process, EMBEDDED_OWNER, rules, wakes),
                *_deliver_tasks(process, EMBEDDED_OWNER, wakes),
                *_api_tasks(process, options.data),
            ]
            if options.demo is not None and settings.admin_key is not None:
                tasks.append(_demo(options, settings.admin_key, folder, process.readiness))
            await _serve(process, listener, _front(process, ("ingest", "api")), tasks)


def _with_own_receiver(settings: Settings) -> Settings:
    """Webhooks may go to the demo's receiver, too: for this process alone."""
    return replace(settings, delivery_networks=(*settings.delivery_networks, LOOPBACK), delivery_http=True)


async def run_role(role: str, host: str, port: int, settings: Settings) -> None:
    """One role of a cluster, until SIGTERM or SIGINT; every role answers /healthz, /readyz and /metrics."""
    if settings.database_url is None:
        raise SettingsError(f"`citybrain {role}` needs CITYBRAIN_DATABASE_URL")
    with serving.listen(host, port, settings.metrics_port) as listener:
        async with AsyncExitStack() as stack:
            place = _Place(settings.database_url, "cluster", listener.url, _member(listener.url))
            process = await stack.enter_async_context(_process(place, settings, None))
            if role in NEED_THE_BUS:
                await process.bus.partitions(EVENTS_TOPIC)
            tasks = await _tasks_of(role, process)
            await _serve(process, listener, _front(process, (role,)), tasks)


async def aggregate_until_end(settings: Settings) -> Consumed:
    """Store what the topic has now, roll it up, and end. Others may work beside it: what one has made the other leaves alone."""
    if settings.database_url is None:
        raise SettingsError("`citybrain aggregate` needs CITYBRAIN_DATABASE_URL")
    place = _Place(settings.database_url, "cluster", "", "")
    async with _process(place, settings, None) as process:
        workers = partial(AggregateWorker, process.pool, process.bus, EVENTS_TOPIC, process.city, process.metrics, stops=True)
        rollup = Rollup(process.pool, process.city, process.metrics)
        freeing = asyncio.create_task(vitals.free_what_hangs(process.pool, process.metrics, Hung()))
        try:
            return await consume(process.bus, EVENTS_TOPIC, workers, WORKERS, rollup)
        finally:
            freeing.cancel()


def _member(url: str) -> str:
    """A name that a process has again when it is started again at its place: host (a pod's name) and port."""
    return f"{socket.gethostname()}:{url.rpartition(':')[2]}"


async def _tasks_of(role: str, process: Process) -> list[Coroutine[Any, Any, None]]:
    """The loops of one role that runs alone: it hears of nobody's work but its own, and looks several times a second."""
    match role:
        case "ingest":
            return _ingest_tasks(process)
        case "aggregate":
            return _aggregate_tasks(process, uuid4(), _Wakes())
        case "alert":
            return _alert_tasks(process, uuid4(), await current_rules(process.pool, process.metrics), _Wakes())
        case "deliver":
            return _deliver_tasks(process, uuid4(), _Wakes())
        case _:
            return _api_tasks(process, None)


@dataclass(slots=True)
class _Wakes:
    """Who is woken by whom inside one process: what is stored wakes alert, an intent wakes notification, a page deliver."""

    alert: asyncio.Event = field(default_factory=asyncio.Event)
    notify: asyncio.Event = field(default_factory=asyncio.Event)
    deliver: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a process works: its database, the mode, and the address it answers on."""

    dsn: str
    mode: str
    url: str
    member: str  # of those that share the topic: the same after a restart


@asynccontextmanager
async def open_bus(pool: Pool, settings: Settings, metrics: Metrics) -> AsyncIterator[Bus]:
    """The bus that CITYBRAIN_BUS names. Kafka is reached when it is first used."""
    if settings.bus == "postgres":
        async with open_postgres_bus(pool, metrics, settings.bus_partitions) as bus:
            yield bus
        return
    async with open_kafka_bus(settings.bus.removeprefix("kafka://"), settings.kafka, metrics) as kafka:
        yield kafka


@asynccontextmanager
async def _process(place: _Place, settings: Settings, city: CurrentCity | None) -> AsyncIterator[Process]:
    metrics = Metrics()
    async with (
        open_pool(place.dsn, hung_after_s=HUNG_AFTER_S) as pool,
        open_pool(place.dsn, max_size=READING_CONNECTIONS) as reading_pool,
        AsyncExitStack() as rest,
    ):
        await require_this_version(pool)
        metrics.of_process(VERSION, place.mode)
        vitals.show_pools({"working": pool, "reading": reading_pool}, metrics)
        bus = await rest.enter_async_context(open_bus(pool, settings, metrics))
        keys = KeyStore(pool)
        if settings.admin_key is not None:
            await ensure_admin_key(keys, settings.admin_key)
        await put_metrics(pool, metric_rows())
        yield Process(
            settings,
            pool,
            reading_pool,
            bus,
            city or await current_city(pool),
            metrics,
            place.mode,
            Access(keys),
            Policy(settings.delivery_networks, settings.delivery_http),
            settings.public_url or place.url,
            place.member,
        )


def _ingest_tasks(process: Process) -> list[Coroutine[Any, Any, None]]:
    process.readiness.needs(serving.beating(process.metrics.loops), process.access.why_not)
    return [beat(process.bus, process.clock, str(uuid4()), process.metrics)]


def _aggregate_tasks(process: Process, owner: UUID, wakes: _Wakes) -> list[Coroutine[Any, Any, None]]:
    workers: list[AggregateWorker] = []

    def is_behind() -> bool:
        return any(worker.is_behind for worker in workers)

    rollup = Rollup(process.pool, process.city, process.metrics, wakes.alert.set, is_behind, owner=owner)

    def stored() -> None:
        rollup.wake.set()
        wakes.alert.set()

    async def work(name: str) -> None:
        membership = await process.bus.join(EVENTS_TOPIC, "aggregate", name)
        process.readiness.needs(membership.why_not)
        stops = process.mode == "cluster"
        parts = (process.pool, process.bus, EVENTS_TOPIC, process.city, process.metrics)
        workers.append(AggregateWorker(*parts, stored, name, membership, stops))
        await workers[-1].run()

    async def roll_up() -> None:
        if process.mode == "cluster":
            rollup.membership = sharing = PostgresMembership(process.pool, ("rollup", "aggregate", process.member), len(ALL))
            await sharing.begin()
        await rollup.run()

    said = process.settings
    keep = Keep(said.bus_retention, said.storage_keep_deliveries, said.storage_compress_after)
    upkeep = Upkeep(process.pool, process.bus, EVENTS_TOPIC, keep, process.city, process.clock, process.metrics)
    process.readiness.needs(serving.working(process.metrics.loops, "aggregate", "rollup"))
    return [*(work(f"{process.member}-{n}") for n in range(WORKERS)), roll_up(), upkeep.run()]


def _alert_tasks(process: Process, owner: UUID, rules: CurrentRules, wakes: _Wakes) -> list[Coroutine[Any, Any, None]]:
    pool, city, metrics, clock = process.pool, process.city, process.metrics, process.clock
    worker = AlertWorker(pool, rules, city, metrics, clock, owner, wakes.notify.set, wakes.alert)
    flusher = Flusher(pool, rules, city, metrics, clock, process.public_url, wakes.deliver.set, owner, wakes.notify)
    process.readiness.needs(serving.working(metrics.loops, "alert", "notify", "publish"), rules.why_not)
    return [worker.run(), flusher.run(), Publisher(pool, metrics, clock).run(), rules.follow(pool)]


def _deliver_tasks(process: Process, owner: UUID, wakes: _Wakes) -> list[Coroutine[Any, Any, None]]:
    process.readiness.needs(serving.working(process.metrics.loops, "deliver"))
    return [Deliverer(process.pool, process.policy, process.metrics, process.clock, owner, wakes.deliver).run()]


def _api_tasks(process: Process, data: Path | None) -> list[Coroutine[Any, Any, None]]:
    process.readiness.needs(process.readiness.database)
    return [keep_measuring(_api_parts(process), data)]


def _api_parts(process: Process) -> ApiParts:
    return ApiParts(
        process.reading_pool,
        process.bus,
        process.city,
        process.access,
        VERSION,
        process.mode,
        process.clock,
        process.policy,
        process.public_url,
        process.readiness.is_draining,
        process.metrics,
    )


def web_parts(process: Process, roles: tuple[str, ...]) -> WebParts:
    """What the HTTP application of these roles is made of."""
    described: list[Described] = []
    routers: list[APIRouter] = []
    if "ingest" in roles:
        draining = process.readiness.is_draining
        parts = IngestParts(process.bus, process.city, process.access, process.metrics, process.clock, draining)
        described.append(create_ingest(parts))
    if "api" in roles:
        routers.append(create_api(_api_parts(process)))

    async def reading(request: Request) -> Principal:
        return (await process.access.authenticate(request.headers.get("authorization"))).must_be(Role.VIEWER)

    return WebParts(
        VERSION, process.metrics, process.readiness.why_not, reading, routers, described, EXAMPLES if "api" in roles else {}
    )


def _front(process: Process, roles: tuple[str, ...]) -> Front:
    parts = web_parts(process, roles)
    return Front(create_app(parts), parts.described, process.metrics)


async def _serve(process: Process, listener: serving.Listener, app: Front, tasks: list[Coroutine[Any, Any, None]]) -> None:
    """Run everything until a signal: then let requests finish, cancel the rest."""
    servers = [serving.Server(app, listener.socket)]
    if listener.metrics is not None:
        servers.append(serving.Server(metrics_app(process.metrics), listener.metrics))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    vitals.calm_collector()
    vitals.take_turns()
    _log.info("starting", extra={"mode": process.mode, "version": VERSION, "city": process.city().settings.name.en})
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one) for one in (*tasks, *_own_tasks(process), _announce(process, listener))]
        serves = [group.create_task(one.run()) for one in servers]
        await stopping.wait()
        _log.info("stopping")
        process.readiness.draining = True
        for server in servers:
            server.stop()
        await asyncio.wait(serves)
        for task in running:
            task.cancel()
    _log.info("stopped")


def _own_tasks(process: Process) -> list[Coroutine[Any, Any, None]]:
    """What every process does besides its roles' work."""
    watch = vitals.watch_database(process.pool, process.readiness, process.metrics, process.clock)
    free = vitals.free_what_hangs(process.pool, process.metrics, Hung())
    return [process.city.follow(process.pool), process.access.keep_fresh(), vitals.feel_the_loop(process.metrics), watch, free]


async def _announce(process: Process, listener: serving.Listener) -> None:
    await process.readiness.reached()
    _log.info("ready", extra={"url": listener.url})


async def _demo(options: UpOptions, key: str, folder: Path, readiness: serving.Readiness) -> None:
    await readiness.reached()
    if options.demo is not None:
        await options.demo.play(f"http://{options.host}:{options.port}", key, folder)
