"""The built wheel holds everything: in an empty environment, from another folder, the city comes up and plays its samples."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from city import City

PROJECT = Path(__file__).parents[2]
SAMPLES = (("heat", "heat_meter", "heat.consumption"), ("parking", "parking_birmingham", "parking.occupied"))


def _do(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, cwd=cwd, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the built wheel; the libraries that it needs are seen in our own."""
    folder = tmp_path_factory.mktemp("wheel")
    _do(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "dist", PROJECT, cwd=folder)
    (wheel,) = (folder / "dist").glob("citybrain-*.whl")
    _do(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    _do(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    packages = Path(_do(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder))
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env"


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_installed_wheel_brings_a_city_up_from_another_folder_and_plays_a_shipped_sample(
    environment: Path, tmp_path: Path
) -> None:
    python = environment / "bin" / "python"
    package = Path(_do(python, "-c", "import citybrain; print(citybrain.__file__)", cwd=tmp_path)).parent
    assert package.is_relative_to(environment)
    with City(tmp_path, command=str(environment / "bin" / "citybrain")) as city:
        for sample, map_name, metric in SAMPLES:
            (file,) = package.rglob(f"samples/{sample}.csv.gz")
            said = city.run("replay", file, "--map", map_name, "--to", city.url, "--json").ok().out
            city.settled(json.loads(said)["accepted"])
            days = city.points(metric, "610600", ("2016-01-01T00:00:00Z", "2021-06-01T00:00:00Z"), "1d")
            assert sum(point["count"] for point in days) > 1_000
        assert city.on_data("state", "verify").ok().out
        assert city.run("city", "check", next(package.rglob("areas.geojson")).parent).ok().out
        assert city.stop()[0] == 0
