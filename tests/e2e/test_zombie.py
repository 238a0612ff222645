"""A worker that hangs through a rebalance, and wakes up in the middle of its batch: it commits nothing once another has begun."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from places import minutes_ago, occupancy, stamp, write_profile

from city import eventually
from cluster import Cluster, Role, cluster, wait_for
from kafka_server import KafkaServer

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(240)]
SESSION_S, POST, LOTS = 6, 400, 40
WATCH = (
    """create table moved (at timestamptz not null default clock_timestamp(), begun timestamptz not null default now(),
                    who text not null default current_setting('application_name'), partition smallint not null)""",
    """create function note_move() returns trigger language plpgsql as
  $$ begin insert into moved (partition) values (new.partition); return new; end $$""",
    """create trigger note_move after update of next_offset on bus_position for each row
  when (new.role = 'aggregate' and new.next_offset > old.next_offset) execute function note_move()""",
)
# Moves of the one who hung that belong to a transaction from before another's first move since then.
LATE = """
select count(*) from moved z
 where z.who = $${zombie}$$ and z.at > $${since}$$
   and z.begun < (select min(o.at) from moved o where o.partition = z.partition and o.who <> z.who and o.at > $${since}$$)
   and z.at > (select min(o.at) from moved o where o.partition = z.partition and o.who <> z.who and o.at > $${since}$$)
"""


class Poster(threading.Thread):
    """Posts until it is told to end."""

    def __init__(self, ingest: Role) -> None:
        super().__init__(daemon=True)
        self.posted, self.over, self.failure = 0, threading.Event(), ""
        self._ingest = ingest

    def run(self) -> None:
        while not self.over.is_set():
            time_ = stamp(minutes_ago(30))
            events = [occupancy(subject=f"lot-{n % LOTS}", time=time_) for n in range(POST)]
            try:
                answer = self._ingest.post_until_answered(events)
            except AssertionError as error:
                self.failure = str(error)
                return
            if answer.status != 202:
                self.failure = answer.body.decode()
                return
            self.posted += POST


def test_who_hung_through_a_rebalance_commits_nothing_after_its_successor_began(tmp_path: Path, kafka: KafkaServer) -> None:
    values = {
        "CITYBRAIN_KAFKA_SESSION_TIMEOUT": f"{SESSION_S}s",
        "CITYBRAIN_SINGLE_REPLICA": "true",
        "CITYBRAIN_KAFKA_PARTITIONS": "4",
    }
    with cluster(tmp_path, f"kafka://{kafka.servers}", write_profile(tmp_path / "city"), **values) as city:
        for statement in WATCH:
            wait_for(city.execute(statement))
        ingest, api = city.start("ingest"), city.start("api")
        workers = {name: city.start("aggregate", CITYBRAIN_DATABASE_URL=_named(city, name)) for name in ("first", "second")}
        poster = Poster(ingest)
        poster.start()
        assert eventually(lambda: _who(city) == {"first", "second"}, 60, 0.5), _who(city)
        for zombie, other in (("first", "second"), ("second", "first")):
            workers[zombie].pause()
            since = wait_for(city.execute("select clock_timestamp()::text as at"))[0]["at"]
            assert eventually(lambda: _partitions(city, other, since) == {0, 1, 2, 3}, 60, 0.5), (other, since)  # noqa: B023
            workers[zombie].go_on()
            assert eventually(lambda: len(_partitions(city, zombie, since)) > 0, 60, 0.5), (zombie, since)  # noqa: B023
            late = LATE.replace("$${zombie}$$", f"'{zombie}'").replace("$${since}$$", f"'{since}'")
            assert wait_for(city.execute(late))[0]["count"] == 0
        poster.over.set()
        poster.join(60)
        assert not poster.failure, poster.failure
        city.start("alert")
        status = api.settled(poster.posted)
        assert (status["accepted"], status["stored"], status["dead"]) == (poster.posted, poster.posted, 0)
        assert city.run("state", "verify").ok()


def _named(city: Cluster, name: str) -> str:
    dsn = city.values["CITYBRAIN_DATABASE_URL"]
    return f"{dsn}{'&' if '?' in dsn else '?'}application_name={name}"


def _who(city: Cluster) -> set[Any]:
    return {row["who"] for row in wait_for(city.execute("select distinct who from moved"))}


def _partitions(city: Cluster, who: str, since: str) -> set[int]:
    query = f"select distinct partition from moved where who = '{who}' and at > '{since}'"
    return {row["partition"] for row in wait_for(city.execute(query))}
