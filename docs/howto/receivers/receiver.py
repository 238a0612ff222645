"""A receiver of citybrain's webhooks: Python 3.11 or later, nothing to install.

WEBHOOK_SECRETS="whsec_…" PORT=9000 INBOX=inbox python receiver.py
"""

import base64
import hashlib
import hmac
import json
import os
import re
import tempfile
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRETS = [base64.b64decode(one.removeprefix("whsec_")) for one in os.environ["WEBHOOK_SECRETS"].split()]
INBOX = Path(os.environ.get("INBOX", "inbox"))
TOLERANCE_S, MOST_BYTES, KEEP_S = 300, 1 << 20, 7 * 86400
arrived = threading.Event()


def genuine(webhook_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Signed by whoever has one of our secrets, over these very bytes, and not long ago."""
    if not re.fullmatch(r"[\w.-]{1,128}", webhook_id, re.ASCII) or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    right = [b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in SECRETS]
    given = [one.encode("utf-8", "replace") for one in signatures.split()[:10]]  # two while a secret is changed
    return any(hmac.compare_digest(one, ours) for one in given for ours in right)


def keep(webhook_id: str, body: bytes) -> None:
    """On disk under its id before we answer. A repeat finds its file there: link() makes it once, or not at all."""
    with tempfile.NamedTemporaryFile(dir=INBOX, prefix=".") as new:
        new.write(body)
        new.flush()
        os.fsync(new.fileno())
        try:
            os.link(new.name, INBOX / f"{webhook_id}.json")
        except FileExistsError:
            return
    folder = os.open(INBOX, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    arrived.set()


def handle(message: dict) -> None:
    """Your work: ring a bell, open a ticket. It may be called again after a crash in the middle of it."""
    for alert in message["data"].get("alerts", []):
        print(message["type"], alert["severity"], alert["summary"]["en"], flush=True)


def work() -> None:
    """What is in the inbox and not done, in the order of arrival; also what a crash has left. What fails is tried again."""
    while True:
        arrived.clear()
        for path in sorted(INBOX.glob("*.json"), key=lambda one: one.stat().st_mtime):
            try:
                work_on(path)
            except Exception:
                traceback.print_exc()  # the others go on
        arrived.wait(60)


def work_on(path: Path) -> None:
    done = path.with_suffix(".done")
    if not done.exists():
        handle(json.loads(path.read_bytes()))
        done.touch()
        print("done", path.stem, flush=True)
    elif time.time() - done.stat().st_mtime > KEEP_S:
        path.unlink()  # a repeat comes within four days
        done.unlink()


class Receiver(BaseHTTPRequestHandler):
    """Answers at once: 204 taken (now or before), 401 not genuine, 413 too large."""

    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        webhook_id, timestamp, signatures = (self.headers.get(name, "") for name in names)
        if not genuine(webhook_id, timestamp, signatures, body):
            return self.answer(401)
        keep(webhook_id, body)
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.send_header("connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    INBOX.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=work, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
