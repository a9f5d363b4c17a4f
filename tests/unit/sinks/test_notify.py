from __future__ import annotations

import json
import stat
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from defiwatch.config import ExecSink, Sinks, WebhookSink
from defiwatch.errors import DeliveryError, UsageError
from defiwatch.sinks.notify import Channel, Digest, Notifier, channel, channels
from defiwatch.sinks.notify.program import Program
from defiwatch.sinks.notify.webhook import Webhook, retry_after
from tests.unit.sinks.samples import alert

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def at_once(_: float) -> bool:
    return False


# Programs.


def script(folder: Path, body: str) -> tuple[str, ...]:
    path = folder / "hook.py"
    path.write_text(body)
    return (sys.executable, str(path))


def test_a_program_gets_the_alert_on_stdin(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = script(tmp_path, f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())")
    assert Program("exec.p", ExecSink(command=command)).deliver(b'{"a":1}', at_once) == "exit 0"
    assert out.read_text() == '{"a":1}\n'


def test_a_program_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    command = script(tmp_path, "import sys; sys.stderr.write('no route\\x1b[31m to host\\n'); sys.exit(3)")
    with pytest.raises(DeliveryError, match=r"exit 3: no route to host$"):
        Program("exec.p", ExecSink(command=command)).deliver(b"{}", at_once)


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = script(
        tmp_path,
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)",
    )
    with pytest.raises(DeliveryError, match="killed after 2 s"):
        Program("exec.p", ExecSink(command=command, timeout="2s")).deliver(b"{}", at_once)
    child = int(pid.read_text())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _running(child):
        time.sleep(0.01)
    assert not _running(child)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_does_not_read_its_stdin(tmp_path: Path) -> None:
    command = script(tmp_path, "import os; os.close(0)")
    assert Program("exec.p", ExecSink(command=command)).deliver(b"x" * 1_000_000, at_once) == "exit 0"


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match=r"/no/such: cannot be started .No such file"):
        Program("exec.p", ExecSink(command=("/no/such",))).deliver(b"{}", at_once)
    locked = tmp_path / "locked"
    locked.write_text("#!/bin/sh\n")
    locked.chmod(stat.S_IRUSR)
    with pytest.raises(DeliveryError, match=r"cannot be started .Permission denied"):
        Program("exec.p", ExecSink(command=(str(locked),))).deliver(b"{}", at_once)


# Webhooks.


class Server:
    """Answers from a list, then with 200; remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200)
        if isinstance(answer, Exception):
            raise answer
        return answer


def webhook(server: Callable[[httpx.Request], httpx.Response], **settings: Any) -> Webhook:
    section = WebhookSink(url="https://hooks.example/T0/secret-secret-secret?token=hush", **settings)
    return Webhook("webhook.w", section, httpx.MockTransport(server))


def test_a_webhook_posts_json_with_the_users_headers() -> None:
    server = Server()
    opened = webhook(server, headers={"Authorization": "Bearer x"})
    assert opened.deliver(b'{"a":1}', at_once) == "HTTP 200"
    opened.close()
    (request,) = server.requests
    assert (request.method, request.content, str(request.url)) == (
        "POST",
        b'{"a":1}',
        "https://hooks.example/T0/secret-secret-secret?token=hush",
    )
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer x"


def test_it_tries_again_and_obeys_retry_after() -> None:
    server = Server(
        httpx.Response(503),
        httpx.ConnectError("refused"),
        httpx.Response(429, headers={"Retry-After": "17"}),
        httpx.Response(500),
    )
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    opened = webhook(server)
    assert opened.deliver(b"{}", wait) == "HTTP 200"
    assert waited == [1.0, 2.0, 17.0, 8.0]
    assert len(server.requests) == 5
    opened.close()


def test_it_gives_up_and_tells_no_secret() -> None:
    opened = webhook(Server(*[httpx.Response(502)] * 9))
    with pytest.raises(DeliveryError) as caught:
        opened.deliver(b"{}", at_once)
    assert str(caught.value) == "https://hooks.example/T0/***?***: HTTP 502"
    opened.close()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
def test_it_does_not_insist_where_that_cannot_help(status: int) -> None:
    server = Server(httpx.Response(status, headers={"Location": "https://elsewhere.example"}))
    opened = webhook(server)
    with pytest.raises(DeliveryError, match=f"HTTP {status}"):
        opened.deliver(b"{}", at_once)
    assert len(server.requests) == 1
    opened.close()


def test_it_stops_trying_when_there_is_no_time() -> None:
    server = Server(httpx.ReadTimeout("slow"))
    opened = webhook(server)
    with pytest.raises(DeliveryError, match=r"no answer .ReadTimeout"):
        opened.deliver(b"{}", lambda _: True)
    assert len(server.requests) == 1
    opened.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("17", 17.0),
        (" 0 ", 0.0),
        ("soon", None),
        ("-3", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


# The queue in front.


class Fake(Channel):
    """Takes lines; waits at a gate; fails while told to."""

    def __init__(self) -> None:
        super().__init__("exec.fake")
        self.got: list[dict[str, Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.failing = False
        self.closed = False

    def deliver(self, line: bytes, wait: Callable[[float], bool]) -> str:
        self.busy.set()
        self.gate.wait(20)
        if self.failing:
            raise DeliveryError("down")
        self.got.append(json.loads(line))
        return "ok"

    def close(self) -> None:
        self.closed = True


def test_pushes_from_its_severity_on() -> None:
    fake = Fake()
    notifier = Notifier(fake, "warning", print)
    for n, severity in enumerate(("info", "warning", "critical"), start=1):
        notifier.put(alert(n, severity=severity))  # type: ignore[arg-type]
    notifier.close()
    assert [line["id"] for line in fake.got] == ["id-2", "id-3"]
    assert fake.closed


def test_a_burst_becomes_a_digest_and_nothing_is_lost() -> None:
    fake = Fake()
    fake.gate.clear()
    words: list[str] = []
    notifier = Notifier(fake, "info", words.append, size=2)
    notifier.put(alert(0))
    assert fake.busy.wait(20)
    for n in range(1, 103):
        notifier.put(
            alert(n, severity="critical" if n == 50 else "warning", kind="pool.drain" if n % 2 else "price.depeg")
        )
    fake.gate.set()
    notifier.close()
    singles = [line["id"] for line in fake.got if line["schema"] == "defiwatch.alert/1"]
    (digest,) = [line for line in fake.got if line["schema"] == "defiwatch.digest/1"]
    assert singles == ["id-0", "id-1", "id-2"]
    assert digest["count"] == 100
    assert digest["severities"] == {"critical": 1, "warning": 99}
    assert digest["kinds"] == {"pool.drain": 50, "price.depeg": 50}
    assert (digest["from"], digest["to"]) == ("2026-03-10T12:00:03Z", "2026-03-10T12:01:42Z")
    assert [line["id"] for line in digest["alerts"][:2]] == ["id-50", "id-102"]
    assert len(digest["alerts"]) == 20
    assert digest["title"] == "100 alerts that could not be sent one by one: 1 critical, 99 warning"
    assert words == []


def test_what_a_channel_missed_follows_when_it_is_back() -> None:
    fake = Fake()
    fake.failing = True
    words: list[str] = []
    notifier = Notifier(fake, "info", words.append, retry_s=0.02)
    notifier.put(alert(1))
    notifier.put(alert(2))
    deadline = time.monotonic() + 20
    while not words and time.monotonic() < deadline:
        time.sleep(0.005)
    fake.failing = False
    while not fake.got and time.monotonic() < deadline:
        time.sleep(0.005)
    notifier.close()
    told = [line["id"] for line in fake.got if "id" in line]
    digests = [line for line in fake.got if "count" in line]
    assert len(told) + sum(line["count"] for line in digests) == 2
    assert words[0] == "exec.fake: down; what it missed follows in a digest"
    assert words[1] == "exec.fake: takes alerts again"


def test_what_was_not_delivered_at_the_end_is_told() -> None:
    fake = Fake()
    fake.failing = True
    words: list[str] = []
    notifier = Notifier(fake, "info", words.append)
    for n in range(3):
        notifier.put(alert(n))
    notifier.close()
    assert words[-1] == "exec.fake: 3 alerts were not delivered; they are in the history"


def test_putting_never_waits() -> None:
    fake = Fake()
    fake.gate.clear()
    notifier = Notifier(fake, "info", print, size=1)
    done = threading.Event()

    def put() -> None:
        for n in range(1000):
            notifier.put(alert(n))
        done.set()

    threading.Thread(target=put, daemon=True).start()
    assert done.wait(20)
    fake.gate.set()
    notifier.close()
    assert sum(line.get("count", 1) for line in fake.got) == 1000


def test_digests_join() -> None:
    first, second = Digest(), Digest()
    first.add(alert(5))
    second.add(alert(2, severity="critical"))
    second.add(alert(9))
    whole = json.loads(first.joined(second).message())
    assert (whole["count"], whole["from"], whole["to"]) == (3, "2026-03-10T12:00:02Z", "2026-03-10T12:00:09Z")
    assert [line["id"] for line in whole["alerts"]] == ["id-2", "id-9", "id-5"]
    empty = Digest().joined(first)
    assert json.loads(empty.message())["from"] == "2026-03-10T12:00:05Z"


# By name.

SINKS = Sinks(
    exec={"phone": ExecSink(command=("true",)), "both": ExecSink(command=("true",))},
    webhook={"both": WebhookSink(url="https://hooks.example/x")},
)


def test_channels_by_name() -> None:
    assert channels(SINKS) == {"exec.phone": "phone", "exec.both": "both", "webhook.both": "both"}
    assert channel(SINKS, "phone").name == "exec.phone"
    opened = channel(SINKS, "webhook.both")
    assert opened.name == "webhook.both"
    opened.close()


def test_unknown_and_ambiguous_channels() -> None:
    with pytest.raises(UsageError, match=r"'mail' \(configured: exec.both, exec.phone, webhook.both\)"):
        channel(SINKS, "mail")
    with pytest.raises(UsageError, match=r"none is configured under \[sinks\]"):
        channel(Sinks(), "mail")
    with pytest.raises(UsageError, match=r"'both' is both exec.both and webhook.both"):
        channel(SINKS, "both")
