"""Every Prometheus metric of citybrain, typed and explained, and the JSON form of log lines.

`Metrics` is made once by runner with a registry of its own and handed to whoever counts. Labels have few, fixed values:
never an area, an asset, a key or an endpoint.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector

from citybrain.loops import Pulses

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000)


class Metrics:
    """One object a process; a field a metric."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._http()
        self._pipeline()
        self._rules()
        self._alert()
        self._notify()
        self._deliver()
        self._stream()
        self._process()

    def of_process(self, version: str, mode: str) -> None:
        """Add what is true of the whole process: its memory, processor, files, garbage collector, and what it runs."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.build.labels(version, mode).set(1)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...] = (), buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def _http(self) -> None:
        self.http_requests = self._counter(
            "citybrain_http_requests", "Requests answered, by route and class of status.", ("method", "route", "status")
        )
        self.http_seconds = self._histogram("citybrain_http_request_seconds", "Seconds from request to answer.", ("route",))
        self.ingest_accepted = self._counter("citybrain_ingest_accepted", "Events answered as accepted: the bus has them.")
        self.ingest_rejected = self._counter("citybrain_ingest_rejected", "Events refused, by code.", ("code",))
        self.ingest_bytes = self._counter("citybrain_ingest_bytes", "Bytes of posted bodies after inflating.")
        self.ingest_pressure = self._counter(
            "citybrain_ingest_pressure", "Posts answered 429 or 503 with Retry-After, by status.", ("status",)
        )
        self.ingest_heartbeats = self._counter("citybrain_ingest_heartbeats", "Heartbeats appended to every partition.")
        self.ingest_heartbeat_seconds = self._histogram(
            "citybrain_ingest_heartbeat_seconds", "Seconds until every partition had a heartbeat: the way in, as a post takes it."
        )

    def _pipeline(self) -> None:
        self.bus_append_seconds = self._histogram("citybrain_bus_append_seconds", "Seconds of one shared commit of appends.")
        self.bus_append_records = self._histogram("citybrain_bus_append_records", "Records in one shared commit.", buckets=_SIZES)
        self.bus_lost_records = self._counter(
            "citybrain_bus_lost_records", "Records that Kafka forgot before a reader came to them: its retention is too short."
        )
        self.aggregate_batch_seconds = self._histogram(
            "citybrain_aggregate_batch_seconds", "Seconds from fetch to commit of a batch."
        )
        self.aggregate_batch_records = self._histogram("citybrain_aggregate_batch_records", "Records in a batch.", buckets=_SIZES)
        self.aggregate_events = self._counter(
            "citybrain_aggregate_events", "Event records read, by what became of them.", ("outcome",)
        )
        self.aggregate_fenced = self._counter("citybrain_aggregate_fenced", "Batches dropped because another owner was ahead.")
        self.aggregate_errors = self._counter("citybrain_aggregate_errors", "Batches that failed and are tried again.", ("kind",))
        self.aggregate_watermark = self._gauge("citybrain_aggregate_watermark_seconds", "Minimum watermark, as a Unix time.")
        self.rollup_pass_seconds = self._histogram("citybrain_rollup_pass_seconds", "Seconds of one pass of the rollup.")
        self.rollup_shards = self._gauge("citybrain_rollup_shards", "Shards of the rollup that this process works on, of 16.")
        self.rollup_rows = self._counter(
            "citybrain_rollup_rows", "Rows of areas and longer windows that changed, by step.", ("step",)
        )
        self.role_lag = self._gauge("citybrain_role_lag", "Records or rows that a role could work on now.", ("role",))
        self.stage_through = self._gauge(
            "citybrain_stage_through_seconds",
            "Up to when heartbeats have passed a stage, as a Unix time: accepted, stored, areas, ticks, delivered.",
            ("stage",),
        )
        self.dead_letters = self._gauge("citybrain_dead_letters", "Dead letters that were never put back.")
        self.endpoints = self._gauge(
            "citybrain_endpoints", "Receivers of webhooks: those that work, fail and are left alone, are disabled.", ("state",)
        )
        self.database_bytes = self._gauge("citybrain_database_bytes", "Bytes of the database.")
        self.disk_free = self._gauge(
            "citybrain_disk_free_bytes", "Free bytes where an embedded city keeps its database.", ("place",)
        )
        self.watermark_delay = self._gauge(
            "citybrain_watermark_delay_seconds", "How far the watermark stays behind time, as the profile says."
        )

    def _rules(self) -> None:
        self.rules_version = self._gauge("citybrain_rules_version", "The rule set that this process works with.")
        self.rules_refused = self._counter(
            "citybrain_rules_refused", "Changed rules or endpoints that were not taken up: they are wrong, see the log."
        )

    def _alert(self) -> None:
        self.alert_pass_seconds = self._histogram("citybrain_alert_pass_seconds", "Seconds of one pass of alert.")
        self.alert_opened = self._counter("citybrain_alert_opened", "Alerts opened, those included that are pending.")
        self.alert_intents = self._counter("citybrain_alert_intents", "Transitions that somebody may want to hear of.")
        self.alert_final = self._gauge("citybrain_alert_final_seconds", "The last final tick that was evaluated, as a Unix time.")
        self.alert_errors = self._counter("citybrain_alert_errors", "Passes that failed and are tried again.", ("kind",))

    def _notify(self) -> None:
        self.notify_intents = self._counter(
            "citybrain_notify_intents", "Transitions that somebody may want to hear of, by what became of them.", ("outcome",)
        )
        self.notify_webhooks = self._counter("citybrain_notify_webhooks", "Webhooks made, one an endpoint, by type.", ("type",))
        self.notify_step_seconds = self._histogram("citybrain_notify_step_seconds", "Seconds of a step that made webhooks.")
        self.notify_errors = self._counter("citybrain_notify_errors", "Steps that failed and are tried again.", ("kind",))

    def _deliver(self) -> None:
        self.deliver_attempts = self._counter(
            "citybrain_deliver_attempts", "Attempts to send a webhook, by outcome.", ("outcome",)
        )
        self.deliver_attempt_seconds = self._histogram("citybrain_deliver_attempt_seconds", "Seconds of one attempt.")
        self.deliver_waited_seconds = self._histogram(
            "citybrain_deliver_waited_seconds", "Seconds from when a delivery was due to when it was begun."
        )
        self.deliver_gave_up = self._counter(
            "citybrain_deliver_gave_up", "Deliveries given up: `endpoints resend` sends them again."
        )
        self.deliver_breakers_opened = self._counter(
            "citybrain_deliver_breakers_opened", "Times that a failing endpoint was left alone for a while."
        )
        self.deliver_heartbeats = self._counter(
            "citybrain_deliver_heartbeats",
            "Heartbeats that were sent, or taken where none is marked for them, by outcome.",
            ("outcome",),
        )
        self.deliver_errors = self._counter("citybrain_deliver_errors", "Steps that failed and are tried again.", ("kind",))

    def _stream(self) -> None:
        self.stream_listeners = self._gauge("citybrain_stream_listeners", "Listeners to `/v1/stream` now.")
        self.stream_messages = self._counter("citybrain_stream_messages", "Messages sent to listeners, by event.", ("event",))
        self.stream_dropped = self._counter("citybrain_stream_dropped", "Listeners that were dropped, by reason.", ("reason",))

    def _process(self) -> None:
        self.build = self._gauge(
            "citybrain_build_info", "Always 1: the version, and the mode, embedded or cluster.", ("version", "mode")
        )
        self.event_loop_lag_seconds = self._histogram(
            "citybrain_event_loop_lag_seconds", "Seconds that a task which was due waited for its turn."
        )
        self.database_answer_seconds = self._histogram(
            "citybrain_database_answer_seconds", "Seconds until a connection was free and the database told its time."
        )
        self.hung_sessions_ended = self._counter(
            "citybrain_hung_sessions_ended", "Sessions that hung in a statement and were ended; several processes may count one."
        )
        self.clock_skew = self._gauge("citybrain_clock_skew_seconds", "How far this machine's clock is ahead of the database's.")
        self.pool_connections = self._gauge(
            "citybrain_pool_connections", "Connections to the database that are in use or idle now.", ("pool", "state")
        )
        self.pool_limit = self._gauge("citybrain_pool_limit", "Connections to the database that a pool may have.", ("pool",))
        self.loops = Pulses(
            self._gauge("citybrain_loop_done_seconds", "When a step of a loop last ended well, as a Unix time.", ("loop",)),
            self._counter("citybrain_loop_failures", "Steps of a loop that failed and are tried again.", ("loop",)),
        )


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, event, and the fields given as `extra`."""

    _standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in self._standard}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of the process to standard error as JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("asyncpg.pool").setLevel("CRITICAL")  # our roles say themselves that the database is gone
