"""The first line: what runs, how far, on which chains, how old, how fast."""

from __future__ import annotations

from textual.strip import Strip

from defiwatch.domain.view import ChainRow
from defiwatch.tui import figures
from defiwatch.tui.lines import Line, Piece, plain, width_of
from defiwatch.tui.picture import Picture
from defiwatch.tui.widgets.painted import Painted

CHAIN_STALE_AFTER = 60.0
"""Seconds after which a chain's head is marked as old."""

_MODES = {"live": ("● LIVE", "good"), "replay": ("▶ REPLAY", "link"), "demo": ("▶ DEMO", "link")}


class Topline(Painted):
    """One line; what matters less is left out where it is narrow."""

    def watch_picture(self) -> None:
        """All of it may have changed; it is one line."""
        self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - one line
        """The line."""
        return self.paint(self._line(self.picture, self.size.width), self.size.width)

    def _line(self, picture: Picture, width: int) -> Line:
        snapshot = picture.snapshot
        left: list[Piece] = [(" defiwatch ", "title"), *_mode(picture)]
        right: list[Piece] = []
        if picture.started:
            right = [
                (figures.day_clock(snapshot.time) if width >= 110 else figures.clock(snapshot.time), "strong"),
                (" UTC ", "faint"),
            ]
        if snapshot.progress is not None and not picture.ended:
            length = 20 if width >= 120 else 6
            left += [(" ", "text"), *_progress(snapshot.progress, length), (f" {snapshot.progress * 100:.0f} %", "dim")]
        room = width - width_of(left) - width_of(right) - 1
        rest = len(snapshot.chains)
        for chain in snapshot.chains:
            told = _chain(chain, snapshot.time, full=width >= 110)
            if width_of(told) + (4 if rest > 1 else 0) > room:
                break
            left += told
            room -= width_of(told)
            rest -= 1
        if rest and room >= 4:
            left.append((f" +{rest}", "dim"))
            room -= 4
        rate = (f"{figures.rate(snapshot.events_per_s)} ev/s  ", "dim")
        if picture.started and not picture.error and width_of((rate,)) <= room:
            right = [rate, *right]
        gap = max(1, width - width_of(left) - width_of(right))
        return (*left, (" " * gap, "text"), *right)


def _mode(picture: Picture) -> list[Piece]:
    if picture.error:
        return [(" ENGINE STOPPED ", "chip-critical"), ("  ", "text"), (plain(picture.error), "bad")]
    if not picture.started:
        return [("recording ended" if picture.ended else "starting …", "dim")]
    sign, ink = _MODES.get(picture.snapshot.mode, (plain(picture.snapshot.mode), "text"))
    pieces: list[Piece] = [(sign, ink)]
    if picture.paused:
        told = f" PAUSED, {picture.missed} new " if picture.missed else " PAUSED "
        pieces += [(" ", "text"), (told, "chip-warning")]
    if picture.ended:
        pieces += [(" ", "text"), (" recording ended ", "chip-info")]
    return pieces


def _progress(part: float, width: int) -> Line:
    halves = round(min(1.0, max(0.0, part)) * width * 2)
    full, half = divmod(halves, 2)
    return ("━" * full + ("╸" if half else ""), "link"), ("─" * (width - full - half), "track")


def _chain(chain: ChainRow, now: float, full: bool) -> list[Piece]:
    age = now - chain.time
    stale = age > CHAIN_STALE_AFTER
    pieces: list[Piece] = [
        ("   " if full else "  ", "text"),
        (f"{plain(chain.name)} ", "text"),
        (f"{chain.head:,}" if full else str(chain.head), "strong"),
        (f" {figures.age(age)}{'!' if stale else ''}", "warn" if stale else "dim"),
        (f" {plain(chain.trust)}", "dim"),
    ]
    if chain.gap > 0:
        pieces.append((f" {chain.gap:,} behind it missing", "warn") if full else (f" gap {chain.gap}", "warn"))
    elif chain.warming is not None:
        pieces.append((f" warming {chain.warming * 100:.0f} %", "warn"))
    elif full and chain.reorgs:
        pieces.append((f" {chain.reorgs} {'reorg' if chain.reorgs == 1 else 'reorgs'}", "faint"))
    return pieces
