"""/metrics of a running city: on its own port without a key, on the main one with a key, and as Prometheus wants it."""

from __future__ import annotations

import http.client
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import write_profile
from test_promtool import promtool

from city import Answer, City, eventually, free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(120), pytest.mark.filterwarnings("default::pytest.PytestWarning")]

OF_ROLES = (
    "citybrain_http_requests_total", "citybrain_http_request_seconds", "citybrain_bus_append_seconds",
    "citybrain_aggregate_batch_seconds", "citybrain_rollup_pass_seconds", "citybrain_alert_pass_seconds",
    "citybrain_deliver_waited_seconds", "citybrain_loop_failures_total",
)  # fmt: skip
OF_PROCESSES = (
    "citybrain_pool_connections", "citybrain_pool_limit", "citybrain_event_loop_lag_seconds",
    "citybrain_database_answer_seconds", "citybrain_build_info", "process_resident_memory_bytes", "process_cpu_seconds_total",
    "process_open_fds", "python_gc_collections_total",
)  # fmt: skip


class Metered(City):
    """A city with a port for metrics."""

    metrics_port: int

    def scrape(self, path: str = "/metrics") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metered]:
    root, port = tmp_path_factory.mktemp("metered"), free_port()
    with Metered(root, write_profile(root / "city"), CITYBRAIN_METRICS_PORT=str(port)) as made:
        made.metrics_port = port
        yield made


def test_its_own_port_needs_no_key_and_answers_nothing_else(city: Metered) -> None:
    answer = city.scrape()
    assert answer.status == 200
    assert answer.headers.get_content_type() == "text/plain"
    assert city.send("GET", "/metrics", key="").status == 401
    assert city.get("/metrics").status == 200
    for path in ("/", "/v1/status", "/v1/events", "/readyz", "/docs", "/metrics/more"):
        assert city.scrape(path).status == 404


def test_promtool_finds_nothing_to_say_of_a_city_at_work(city: Metered) -> None:
    assert city.post([]).status == 202
    assert eventually(lambda: 'stage="accepted"' in city.scrape().body.decode())
    done = subprocess.run([promtool(), "check", "metrics"], input=city.scrape().body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_each_role_tells_rate_errors_and_duration_and_the_process_its_use(city: Metered) -> None:
    told = city.scrape().body.decode()
    for name in (*OF_ROLES, *OF_PROCESSES):
        assert re.search(rf"^# TYPE {name} ", told, re.MULTILINE), name
    loops = {"heartbeat", "aggregate", "rollup", "upkeep", "alert", "notify", "publish", "deliver", "measure"}
    assert eventually(
        lambda: set(re.findall(r'citybrain_loop_done_seconds\{loop="(\w+)"\} [1-9]', city.scrape().body.decode())) == loops
    )


def test_a_port_for_metrics_that_is_taken_is_told_in_one_clear_line(city: Metered, tmp_path: Path) -> None:
    for port in (city.metrics_port, city.port):
        other = City(tmp_path, CITYBRAIN_METRICS_PORT=str(port))
        said = other.run("up", "--data", tmp_path / "data", "--port", str(free_port()))
        assert said.code == 1
        [line] = said.complaint
        assert "CITYBRAIN_METRICS_PORT: cannot listen on 127.0.0.1" in line
        assert str(port) in line
        assert not (tmp_path / "data").exists()
    both = free_port()
    said = City(tmp_path, CITYBRAIN_METRICS_PORT=str(both)).run("up", "--data", tmp_path / "data", "--port", str(both))
    assert (said.code, len(said.complaint)) == (1, 1)


def test_a_city_that_stops_closes_both_ports_and_ends_well(tmp_path: Path) -> None:
    port = free_port()
    with Metered(tmp_path, write_profile(tmp_path / "city"), CITYBRAIN_METRICS_PORT=str(port)) as one:
        one.metrics_port = port
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)  # as Prometheus keeps it
        kept.request("GET", "/metrics")
        assert kept.getresponse().read()
        code, seconds = one.stop()
        kept.close()
    assert code == 0
    assert seconds < 10
    with pytest.raises(ConnectionRefusedError):
        one.scrape()
