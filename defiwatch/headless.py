"""The face without a screen: alerts as JSON lines on stdout, words on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from defiwatch.config import Config
from defiwatch.domain.risk import SEVERITIES, Alert, Severity
from defiwatch.domain.units import iso
from defiwatch.domain.view import Snapshot
from defiwatch.errors import ExitCode, UsageError
from defiwatch.session import Parts, Session, Stop
from defiwatch.sinks.jsonl import ByteStream, Format, JsonLines, alert_line, snapshot_line
from defiwatch.sinks.outlets import Outlets

PROGRESS_S = 2.0


class Options(msgspec.Struct, frozen=True):
    """What the command line asks of a run without a screen. Times in seconds.

    `lookback` counts blocks and `once` stops at the head: live only. `speed` None is as fast as it goes: replay only.
    """

    form: Format = "jsonl"
    min_severity: Severity = "info"
    fail_on: Severity | None = None
    snapshot_every: float | None = None
    once: bool = False
    duration: float | None = None
    lookback: int = 300
    speed: float | None = None
    verbosity: int = 0
    """-1 errors only, 0 notices and progress, 1 and more: also what was done."""


class Places(msgspec.Struct, frozen=True):
    """Where alerts and frames go: `data_dir` None keeps no history, `record` None no recording; `notify`: push."""

    data_dir: Path | None = None
    record: Path | None = None
    force: bool = False
    notify: bool = False


class Printer:
    """Listens to a session and writes: lines to `lines`, words to `words`."""

    def __init__(self, options: Options, lines: JsonLines, words: TextIO, *, live: bool) -> None:
        self.failed = False
        """Whether an alert of at least `fail_on` was raised."""
        self.printed = 0
        self._options = options
        self._lines = lines
        self._words = words
        self._live = live
        self._least = SEVERITIES.index(options.min_severity)
        self._next_line: float | None = None
        self._next_progress = 0.0
        self._warming = live and options.verbosity >= 0
        self._progress: dict[str, int] = {}
        self._line_due = False

    def on_alert(self, alert: Alert) -> None:
        """Print it, unless only what stands at the end counts."""
        if not self._options.once:
            self._print(alert)

    def on_notice(self, text: str) -> None:
        """Say it."""
        self.say(text)

    def due(self, wall: float, frames: float) -> bool:
        """For a line every so often (live by the wall clock, else the frames'), and for progress while warming up."""
        every = self._options.snapshot_every
        if every is not None and (self._live or frames > 0):
            now = wall if self._live else frames
            if self._next_line is None or now < self._next_line - every:
                self._next_line = now + every
            elif now >= self._next_line:
                self._next_line += every * (1 + (now - self._next_line) // every)
                self._line_due = True
        if self._warming and wall >= self._next_progress:
            self._next_progress = wall + PROGRESS_S
            return True
        return self._line_due

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Print it as a line if one is due; tell how far the warm-up is."""
        if self._line_due:
            self._line_due = False
            self._print_snapshot(snapshot)
        if self._warming:
            self._tell_progress(snapshot)

    def on_end(self, snapshot: Snapshot) -> None:
        """Print what stands (`once`), and a last snapshot line where such lines were asked for."""
        if self._options.once:
            for row in snapshot.alerts:
                self._print(row.alert)
        if self._options.snapshot_every is not None:
            self._print_snapshot(snapshot)

    def say(self, text: str, *, at: int = 0) -> None:
        """A line on stderr, if the verbosity is at least `at`."""
        if self._options.verbosity >= at:
            self._words.write(f"defiwatch: {text}\n")
            self._words.flush()

    def _print(self, alert: Alert) -> None:
        severity = SEVERITIES.index(alert.severity)
        least = self._options.fail_on
        if least is not None and alert.state in ("raised", "worsened", "eased") and severity >= SEVERITIES.index(least):
            self.failed = True
        if severity >= self._least:
            self.printed += 1
            self._lines.put(alert_line(alert, self._options.form))

    def _print_snapshot(self, snapshot: Snapshot) -> None:
        self._lines.put(snapshot_line(snapshot, iso(snapshot.time), self._options.form))

    def _tell_progress(self, snapshot: Snapshot) -> None:
        warming = [chain for chain in snapshot.chains if chain.warming is not None]
        for chain in warming:
            tenth = int(10 * (chain.warming or 0.0))
            if self._progress.get(chain.name) != tenth:
                self._progress[chain.name] = tenth
                self.say(f"{chain.name}: warming up, {tenth}0 %, at block {chain.head:,}")
        if self._progress and not warming:
            self._warming = False
            for name in self._progress:
                self.say(f"{name}: warm")


def run(
    config: Config,
    options: Options,
    places: Places,
    *,
    stop: Stop,
    files: Sequence[Path] | None = None,
    mode: str = "live",
    stdout: ByteStream | None = None,
    stderr: TextIO | None = None,
    parts: Parts | None = None,
) -> ExitCode:
    """Run live, or through `files`, and print. FOUND if `fail_on` was met, else OK.

    Raises what a session raises; stdout, the history and a recording are drained first.
    """
    if sys.stdout is None and stdout is None:
        raise UsageError("standard output is closed, and alerts go there")
    started = time.monotonic()
    lines = JsonLines(sys.stdout.buffer if stdout is None else stdout, on_gone=stop.set)
    printer = Printer(options, lines, sys.stderr if stderr is None else stderr, live=files is None)
    try:
        outlets = Outlets.open(
            data_dir=places.data_dir,
            sinks=config.sinks if places.notify else None,
            record=places.record,
            force=places.force,
            tell=printer.say,
        )
        try:
            session = Session(
                config, mode=mode, listener=printer, outlets=outlets, stop=stop, picture=places.data_dir, parts=parts
            )
            if files is None:
                session.live(lookback=options.lookback, duration=options.duration, once=options.once)
            else:
                session.replay(files, speed=options.speed, duration=options.duration)
        finally:
            outlets.close()
    finally:
        lines.close(hurried=stop.is_set)
    printer.say(
        f"{session.frames:,} frames, {session.alerts:,} alerts, {printer.printed:,} printed,"
        f" in {time.monotonic() - started:.1f} s",
        at=0 if files is not None or options.once else 1,
    )
    return ExitCode.FOUND if printer.failed else ExitCode.OK
