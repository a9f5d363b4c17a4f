"""`alerts`: the history, and handling what is in it."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from defiwatch.config import Sinks
from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert, Evidence, Reason, Severity, Subject
from defiwatch.domain.units import iso
from defiwatch.errors import UsageError
from defiwatch.sinks.history import FILE_NAME, Store

ORIGIN = "command"
COLOURS: dict[Severity, str] = {"info": "blue", "warning": "yellow", "critical": "red"}


def show(data_dir: Path, *, since: float | None, severity: Severity | None, as_json: bool) -> int:
    """Print the alerts kept, oldest first; returns how many. `since` in Unix seconds."""
    store = Store.existing(data_dir / FILE_NAME)
    count = 0
    if store is None:
        return count
    with store:
        if as_json:
            for line in store.lines(since=since, severity=severity):
                click.echo(line)
                count += 1
        else:
            for alert in store.alerts(since=since, severity=severity):
                click.echo(readable(alert))
                count += 1
    return count


def readable(alert: Alert) -> str:
    """An alert for people: two lines, the second with what a command needs to name it."""
    severity = click.style(f"{alert.severity:<8}", fg=COLOURS[alert.severity], bold=alert.severity == "critical")
    moment = alert.time.replace("T", " ").removesuffix("Z")
    return f"{moment}  {severity}  {alert.state:<9}  {alert.title}\n  {alert.kind}, score {alert.score:g}, {alert.key}"


def ack(data_dir: Path, key: str) -> str:
    """Keep that the alert was seen, for the engine that runs or starts later; returns its whole key."""
    return _say(data_dir, key, "ack", None)


def snooze(data_dir: Path, key: str, seconds: float) -> tuple[str, str]:
    """Keep that the alert shall be silent for so long; returns its whole key and until when (ISO 8601)."""
    until = iso(int(time.time() + seconds))
    return _say(data_dir, key, "snooze", until), until


def push_test(sinks: Sinks, name: str) -> tuple[str, str, float]:
    """Push a marked test alert through one channel, once: the channel's name, what it answered, seconds it took.

    UsageError for an unknown channel, DeliveryError where it was not taken.
    """
    from defiwatch.sinks.notify import channel

    opened = channel(sinks, name)
    started = time.monotonic()
    try:
        answer = opened.deliver(msgspec.json.encode(sample_alert(opened.name)), lambda _: True)
    finally:
        opened.close()
    return opened.name, answer, time.monotonic() - started


def sample_alert(channel: str) -> Alert:
    """The alert that `alerts test` sends: its kind is "test", and its words say so."""
    now = iso(int(time.time()))
    title = f"TEST, nothing has happened: defiwatch reaches the channel {channel}"
    return Alert(
        id=f"test:{channel}:{now}",
        key=f"0:defiwatch:{channel}:test",
        state="raised",
        kind="test",
        severity="info",
        score=0.0,
        time=now,
        title=title,
        subject=Subject(type="source", chain_id=0, protocol="defiwatch", id=channel, label=channel),
        reasons=(Reason(name="test", value=0.0, points=0.0, text="sent by `defiwatch alerts test`"),),
        evidence=Evidence(),
        finality="head",
        trust="single",
    )


def _say(data_dir: Path, key: str, action: str, until: str | None) -> str:
    path = data_dir / FILE_NAME
    store = Store.existing(path)
    if store is None:
        raise UsageError(f"no alert was kept yet in {data_dir}")
    with store:
        whole = _whole_key(store, key)
        store.add_input(InputFrame(action=action, key=whole, time=iso(time.time()), until=until), ORIGIN)
    return whole


def _whole_key(store: Store, text: str) -> str:
    """The one key that `text` names: a whole key, an alert's id, or a part that only one key has."""
    named = store.latest(text)
    exact = [alert.key for alert in named if text in (alert.key, alert.id)]
    keys = exact or store.keys(text)
    if len(keys) == 1:
        return keys[0]
    if not keys:
        raise UsageError(f"no alert has the key {text!r}; `defiwatch alerts` lists them")
    listed = "".join(f"\n  {key}" for key in keys[:10])
    raise UsageError(f"{text!r} may be any of {len(keys)} alerts:{listed}")
