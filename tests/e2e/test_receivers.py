"""The receivers of docs/howto/receivers, each in its language, as real processes: what they take, refuse and do once, also over
a crash; and a city that sends to all of them while a secret is changed.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from places import write_profile

from city import City, eventually
from citybrain.deliver.sign import signature
from kafka_server import leave_out
from pages import ROOT, scene, shell_environment

pytestmark = [pytest.mark.long, pytest.mark.timeout(420)]  # Go compiles its library the first time
FOLDER = ROOT / "docs" / "howto" / "receivers"
OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
EXAMPLE = (ROOT / "schemas" / "examples" / "webhooks" / "alert.firing.json").read_bytes()
LANGUAGES = ("go", "mjs", "py")


class Program:
    """A receiver that runs."""

    def __init__(self, command: list[str], folder: Path, secrets: str) -> None:
        self.command, self.folder, self.secrets = command, folder, secrets
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        with (self.folder / "out.txt").open("ab") as out:
            begun = out.tell()
            values = {"WEBHOOK_SECRETS": self.secrets, "PORT": "0"}
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=shell_environment(values), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        assert eventually(lambda: "listening on" in self.out[begun:] and self.out.endswith("\n")), self.out
        self.port = int(self.out[begun:].partition("listening on http://127.0.0.1:")[2].split()[0])

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    @property
    def out(self) -> str:
        return (self.folder / "out.txt").read_text("utf-8")

    def done(self, webhook_id: str) -> int:
        return self.out.splitlines().count(f"done {webhook_id}")

    def send(self, body: bytes, headers: Mapping[str, str], method: str = "POST") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, "/hook", body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """How each is started; one whose language is not here is not among them."""
    found = {"py": ["python", str(FOLDER / "receiver.py")]}
    if (node := shutil.which("node")) is not None:
        found["mjs"] = [node, str(FOLDER / "receiver.mjs")]
    if (go := shutil.which("go")) is not None:
        made = tmp_path_factory.mktemp("go") / "receiver"
        offline = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        command = [go, "build", "-o", str(made), str(FOLDER / "receiver.go")]
        subprocess.run(command, check=True, env=os.environ | offline, timeout=300)
        found["go"] = [str(made)]
    return found


@contextmanager
def running(language: str, commands: Mapping[str, list[str]], folder: Path, secrets: str) -> Iterator[Program]:
    if language not in commands:
        leave_out(f"the language of receiver.{language} is not here: its receiver is left out")
    folder.mkdir()
    made = Program(commands[language], folder, secrets)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def signed(secret: str, body: bytes = EXAMPLE, age_s: float = 0, webhook_id: str = "", more: str = "") -> dict[str, str]:
    made, sent = webhook_id or f"msg_{uuid4().hex}", str(int(time.time() - age_s))
    return {
        "webhook-id": made,
        "webhook-timestamp": sent,
        "webhook-signature": f"{more} {signature(made, sent, body, secret)}".strip(),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_takes_what_is_genuine_and_refuses_everything_else(
    language: str, commands: Mapping[str, list[str]], tmp_path: Path
) -> None:
    with running(language, commands, tmp_path / language, f"{OLD} {NEW}") as program:
        good = [
            signed(OLD),
            signed(NEW),
            signed(NEW, more="v1,AAAA v1a,other garbage"),
            signed(OLD, age_s=250),
            signed(OLD, age_s=-250),
        ]
        assert [program.send(EXAMPLE, headers) for headers in good] == [204] * 5
        right = signed(OLD)
        refused = [
            signed(OTHER),
            signed(OLD, age_s=400),
            signed(OLD, age_s=-400),
            right | {"webhook-id": "msg_another"},
            right | {"webhook-timestamp": str(int(right["webhook-timestamp"]) + 1)},
            right | {"webhook-timestamp": "99999999999999999999"},
            right | {"webhook-timestamp": "soon"},
            right | {"webhook-signature": right["webhook-signature"].removeprefix("v1,")},
            right | {"webhook-signature": ""},
            right | {"webhook-signature": "v1,é"},
            signed(OLD, webhook_id="../../escaped"),
            {},
        ]
        assert [program.send(EXAMPLE, headers) for headers in refused] == [401] * len(refused)
        assert program.send(EXAMPLE + b" ", right) == 401
        assert program.send(EXAMPLE, right, method="PUT") in {401, 405, 501}
        too_much = b"x" * ((1 << 20) + 1)
        with suppress(ConnectionError):  # it may answer and close before we have sent it all
            assert program.send(too_much, signed(OLD, too_much)) == 413
        assert eventually(lambda: sum(program.done(one["webhook-id"]) for one in good) == 5)
        assert len(list((program.folder / "inbox").glob("*.json"))) == 5
        assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_does_each_once_however_often_it_comes_and_whenever_it_is_killed(
    language: str, commands: Mapping[str, list[str]], tmp_path: Path
) -> None:
    with running(language, commands, tmp_path / language, OLD) as program:
        sent: list[str] = []
        for _ in range(6):
            for _ in range(5):
                headers = signed(OLD)
                sent.append(headers["webhook-id"])
                assert [program.send(EXAMPLE, headers) for _ in range(2)] == [204, 204]
            program.kill()
            program.start()
            assert program.send(EXAMPLE, signed(OLD, webhook_id=sent[0])) == 204
        inbox = program.folder / "inbox"
        assert eventually(lambda: all((inbox / f"{one}.done").exists() for one in sent)), program.out
        handled = program.out.count("alert.firing")
        assert len(sent) <= handled <= len(sent) + 6, "only what a kill met in the middle is done again"
        assert sorted(path.stem for path in (program.folder / "inbox").glob("*.json")) == sorted(sent)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_it_cannot_work_on_holds_up_nothing_else(language: str, commands: Mapping[str, list[str]], tmp_path: Path) -> None:
    with running(language, commands, tmp_path / language, OLD) as program:
        bad, good = signed(OLD, b"not JSON"), signed(OLD)
        assert (program.send(b"not JSON", bad), program.send(EXAMPLE, good)) == (204, 204)
        assert eventually(lambda: program.done(good["webhook-id"]) == 1), program.out
        assert program.done(bad["webhook-id"]) == 0
        assert program.send(EXAMPLE, signed(OLD)) == 204


def test_a_city_is_taken_by_all_of_them_while_its_secret_is_changed(commands: Mapping[str, list[str]], tmp_path: Path) -> None:
    values = {"CITYBRAIN_DELIVERY_NETWORKS": "127.0.0.0/8", "CITYBRAIN_DELIVERY_HTTP": "true"}
    with City(tmp_path, write_profile(tmp_path / "city"), **values) as city:
        for language in LANGUAGES:
            with running(language, commands, tmp_path / language, OLD) as program:
                wish = {"name": language, "url": f"http://127.0.0.1:{program.port}/hook", "secret": OLD}
                assert _ask(city, "POST", "/v1/endpoints", wish)[0] == 201
                ids = [_ask(city, "POST", f"/v1/endpoints/{language}/test")[1]["webhook_id"]]
                assert _ask(city, "PATCH", f"/v1/endpoints/{language}", {"secret": NEW})[0] == 200
                ids.append(_ask(city, "POST", f"/v1/endpoints/{language}/test")[1]["webhook_id"])
                assert eventually(lambda program=program, ids=ids: [program.done(one) for one in ids] == [1, 1]), program.out


def _ask(city: City, method: str, path: str, body: object = None) -> tuple[int, dict[str, str]]:
    answer = city.send(method, path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    return answer.status, answer.json


def test_the_receiver_is_started_as_the_page_says(tmp_path: Path) -> None:
    code = scene("docs/howto/receive-a-webhook.md", "receive").replace("PORT=9000", "PORT=0").strip()
    program = Program(
        ["bash", "-c", f"cd {ROOT}; SECRET={OLD} INBOX={tmp_path}/inbox; export INBOX; {_in_place(code)}"], tmp_path, ""
    )
    try:
        program.start()
        headers = signed(OLD)
        assert program.send(EXAMPLE, headers) == 204
        assert eventually(lambda: program.done(headers["webhook-id"]) == 1)
    finally:
        program.kill()


def _in_place(code: str) -> str:
    """The command in place of its shell, so that it can be killed."""
    values, command = code.rsplit(" python ", 1)
    return f"export {values}; exec python {command}"
