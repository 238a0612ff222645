"""What cannot work is told in one clear line and a non-zero exit, never in a traceback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from places import write_profile

from city import COMMAND, City, Ran, clean_environment, free_port, run
from embedded_city import ordinary_user

pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]  # each command is a process of its own


def refused(ran: Ran, *words: str) -> None:
    assert ran.code not in {0, -9, -15}
    assert ran.out == ""
    assert len(ran.complaint) == 1, ran.err
    for word in words:
        assert word in ran.complaint[0], ran.complaint[0]


def test_second_up_on_a_folder_is_refused(shared_city: City) -> None:
    said = shared_city.run("up", "--data", shared_city.data, "--port", str(free_port()))
    refused(said, str(shared_city.data), "in use")
    assert shared_city.is_ready()


def test_a_port_that_is_taken_is_refused(shared_city: City, tmp_path: Path) -> None:
    refused(shared_city.run("up", "--data", tmp_path / "data", "--port", str(shared_city.port)), str(shared_city.port), "in use")
    assert not (tmp_path / "data").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    refused(run("up", "--data", tmp_path / "data", "--port", "0", cwd=tmp_path), str(tmp_path / "data"), "not a folder")


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    done = subprocess.run(
        [*ordinary_user(), COMMAND, "up", "--data", str(folder), "--port", "0"],
        capture_output=True,
        env=clean_environment(),
        cwd=tmp_path,
        timeout=30,
        check=False,
    )
    refused(Ran(done.returncode, done.stdout.decode(), done.stderr.decode()), str(folder), "not writable")


def test_a_bad_profile_is_refused_with_file_line_and_field(tmp_path: Path) -> None:
    profile = write_profile(tmp_path / "city", roster=["lot-1,parking.occupancy,999999,30m,"])
    said = run("up", "--data", tmp_path / "data", "--port", "0", cwd=tmp_path, environment={"CITYBRAIN_CITY": str(profile)})
    refused(said, "assets.csv", "2", "area", "999999")


def test_every_mistake_of_a_profile_is_told_by_city_check(tmp_path: Path) -> None:
    profile = write_profile(tmp_path / "city", "Nowhere/Land", ["lot-1,parking.occupancy,999999,30m,"])
    said = run("city", "check", profile, "--json", cwd=tmp_path)
    assert said.code == 1
    mistakes = [json.loads(line) for line in said.out.splitlines()]
    assert {(mistake["file"], mistake["field"]) for mistake in mistakes} == {("city.yaml", "timezone"), ("assets.csv", "area")}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CITYBRAIN_ADMIN_KEYS", "x" * 30, ("CITYBRAIN_ADMIN_KEYS", "CITYBRAIN_ADMIN_KEY")),
        ("CITYBRAIN_ADMIN_KEY", "short", ("CITYBRAIN_ADMIN_KEY", "24")),
        ("CITYBRAIN_LOG_LEVEL", "loud", ("CITYBRAIN_LOG_LEVEL",)),
        ("CITYBRAIN_CITY", "no-such-folder", ("no-such-folder",)),
    ],
)
def test_a_setting_that_is_unknown_or_wrong_is_refused(tmp_path: Path, name: str, value: str, words: tuple[str, ...]) -> None:
    said = run("up", "--data", tmp_path / "data", "--port", "0", cwd=tmp_path, environment={name: value})
    refused(said, *words)
    assert "x" * 30 not in said.err


@pytest.mark.parametrize("command", ["state dump", "state verify", "dead list", "keys list"])
def test_a_command_about_a_folder_without_a_city_is_refused(tmp_path: Path, command: str) -> None:
    refused(run(*command.split(), "--data", tmp_path, cwd=tmp_path), str(tmp_path), "holds no city")


def test_replay_of_what_is_not_there_is_refused(shared_city: City) -> None:
    refused(shared_city.run("replay", "nothing.csv", "--to", shared_city.url, "--map", "heat_meter"), "nothing.csv")
    file = shared_city.root / "some.csv"
    file.write_text("a,b\n1,2\n")
    refused(shared_city.run("replay", file, "--to", shared_city.url, "--map", "no_such_map"), "no_such_map")
    refused(shared_city.run("replay", file, "--to", shared_city.url, "--map", "heat_meter"), "energy_heat_kwh")


def test_replay_with_a_wrong_key_or_to_nobody_is_refused(shared_city: City) -> None:
    file = shared_city.root / "good.csv"
    file.write_text("customer_id,meter_id,time_rounded,energy_heat_kwh\n1,2,2020-01-01T00:00:00Z,5\n")
    refused(shared_city.run("replay", file, "--to", shared_city.url, "--map", "heat_meter", "--key", "wrong"), "key")
    nobody = f"http://127.0.0.1:{free_port()}"
    said = shared_city.run("replay", file, "--to", nobody, "--map", "heat_meter")
    assert said.code != 0
    assert said.complaint[-1].startswith(f"citybrain: {nobody}")  # before that it tells that it waits
    assert "Traceback" not in said.err
