"""The alert book: judgements in, alerts out. One alert stands under a key, and what is told is told once.

* raised: nothing stood under the key. Within the cool-down after it cleared only something worse is raised again, or
  something critical, a few times at most: what flaps is told once.
* worsened: more severe than what was told last; or, a cool-down after that, its score rose by `STEP`. eased: less
  severe for a whole cool-down, and its score fell by `STEP`, or made so by somebody (`Assessment.relieved`). What goes
  up and down in between is not told again.
* cleared: not worth standing, and clearly so: the score fell to `CALM` of the lowest at which it stood, or it was quiet
  for a whole cool-down, or somebody ended it. An incident (`Assessment.incident`) stands for `LINGER_S` after it is
  over; a new critical one in a later block ends it and is raised anew, if what was looked at (`Assessment.aspect`) had
  been calm in between.
* retracted: a reorg removed the block in which it was raised. What such a block worsened, eased or cleared is told
  again as it was.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from defiwatch.alerts.entry import (
    VERSION,
    Change,
    Chapter,
    Judgement,
    Kept,
    Past,
    Slot,
    Stamp,
    Standing,
    made,
    rank,
    retold,
    undone,
)
from defiwatch.config import Alerts, duration
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert, Assessment, Finality, Severity, State, Trust
from defiwatch.domain.units import from_iso
from defiwatch.domain.view import AlertRow
from defiwatch.errors import StoreError

STEP = 10.0
"""Points by which a score must rise to be told as worse, or fall to be told as eased."""

CALM = 0.8
"""The share of the lowest standing score at which an alert is over."""

LINGER_S = 60.0
"""Seconds that an incident stands after it is over."""

RAISES = 5
"""How often something critical is raised under one key within a cool-down."""

ONCE_KEPT_S = 86_400.0
"""Seconds that something that happened once stands as history."""

FEED = 200
"""How many changes the feed holds."""

_EMPTY = Slot()


class AlertBook:
    """The alerts of one line. Pure and deterministic: time comes with every call.

    `depth` is how many blocks can be undone: as many as the state's journal keeps.
    """

    def __init__(self, settings: Alerts, *, depth: int = 256) -> None:
        self.settings = settings
        self._cool_down = duration(settings.cool_down)
        self._slots: dict[str, Slot] = {}
        self._journal: deque[Chapter] = deque(maxlen=max(depth, 1))
        self._feed: deque[Alert] = deque(maxlen=FEED)
        self._acked: dict[str, float] = {}
        self._snoozed: dict[str, tuple[float, int]] = {}
        self._judgements: list[Judgement] = []

    def update(
        self,
        assessment: Assessment,
        now: float,
        *,
        at: BlockRef | None = None,
        finality: Finality = "head",
        trust: Trust = "single",
    ) -> tuple[Alert, ...]:
        """Take one judgement; returns what is to be told: nothing, one alert, or the end of an old incident and the
        beginning of a new one. `now` in Unix seconds by the frames' clock; `at` None where no block is behind it."""
        stamp = Stamp(now, at.number if at is not None else -1, finality, trust)
        slot = self._slots.get(assessment.key, _EMPTY)
        severity = assessment.severity
        if severity is None or rank(severity) < rank(self.settings.min_severity):
            return self._quiet(assessment, slot, stamp)
        standing = slot.standing
        if standing is None:
            free = self._free(slot, severity, now, once=assessment.once)
            return self._raise(assessment, slot, severity, stamp) if free else ()
        if standing.once:
            return ()
        anew = standing.calm and stamp.block > standing.hot_block and assessment.aspect not in standing.hot
        if assessment.incident and severity == "critical" and anew:
            ended = Slot(None, self._ended(slot, standing, now))
            if self._free(ended, severity, now):
                over = () if standing.silent else (retold(standing.alert, "cleared", now, "over"),)
                self._write(assessment.key, ended, over)
                return over + self._raise(assessment, ended, severity, stamp)
        return self._hot(assessment, slot, standing, severity, stamp)

    def would_raise(self, key: str, severity: Severity, now: float) -> bool:
        """Whether a judgement of this severity would raise an alert: nothing stands under the key or holds it back."""
        slot = self._slots.get(key, _EMPTY)
        if slot.standing is not None or rank(severity) < rank(self.settings.min_severity):
            return False
        return self._free(slot, severity, now)

    def _free(self, slot: Slot, severity: Severity, now: float, *, once: bool = False) -> bool:
        """Whether nothing holds back an alert under a key where none stands."""
        past = slot.past
        if once or past is None or now - past.cleared >= self._cool_down or rank(severity) > rank(past.severity):
            return True
        recent = sum(1 for time in past.raises if now - time < self._cool_down)
        return severity == "critical" and recent < RAISES

    def _raise(self, assessment: Assessment, slot: Slot, severity: Severity, stamp: Stamp) -> tuple[Alert, ...]:
        if assessment.once:
            self._forget_once(stamp.now)
        alert = made(assessment, "raised", severity, stamp)
        silent = self._snoozed_now(assessment.key, severity, stamp.now)
        standing = Standing(
            alert=alert,
            since=stamp.now,
            told=stamp.now,
            peak=severity,
            lowest=assessment.score,
            hot_block=stamp.block,
            silent=silent,
            once=assessment.once,
            hot=(assessment.aspect,),
        )
        told = () if silent else (alert,)
        self._write(assessment.key, Slot(standing, slot.past), told)
        return told

    def _hot(
        self, assessment: Assessment, slot: Slot, standing: Standing, severity: Severity, stamp: Stamp
    ) -> tuple[Alert, ...]:
        """A judgement that keeps a standing alert standing."""
        snoozed = self._snoozed_now(assessment.key, severity, stamp.now)
        lower = rank(severity) < rank(standing.alert.severity)
        since = None if not lower else stamp.now if standing.lower_since is None else standing.lower_since
        state = self._change(standing, severity, assessment.score, stamp.now, since)
        if lower and assessment.relieved:
            state = "eased"
        if standing.silent and not snoozed:
            state = "raised"
        stays = msgspec.structs.replace(
            standing,
            peak=severity if rank(severity) > rank(standing.peak) else standing.peak,
            lowest=min(standing.lowest, assessment.score),
            hot_block=max(stamp.block, standing.hot_block),
            quiet_since=None,
            calm=False,
            lower_since=since,
            hot=tuple(sorted({*standing.hot, assessment.aspect})),
        )
        told: tuple[Alert, ...] = ()
        if state is not None:
            alert = made(assessment, state, severity, stamp)
            stays = msgspec.structs.replace(
                stays, alert=alert, told=stamp.now, silent=standing.silent and snoozed, lower_since=None
            )
            told = () if snoozed else (alert,)
        if stays != standing:
            self._write(assessment.key, Slot(stays, slot.past), told)
        return told

    def _change(
        self, standing: Standing, severity: Severity, score: float, now: float, lower_since: float | None
    ) -> State | None:
        """What has to be told of a standing alert; the measure is what was told last."""
        before = standing.alert
        if rank(severity) > rank(before.severity):
            return "worsened"
        if lower_since is None:
            risen = score - before.score >= STEP and now - standing.told >= self._cool_down
            return "worsened" if risen else None
        return "eased" if before.score - score >= STEP and now - lower_since >= self._cool_down else None

    def _quiet(self, assessment: Assessment, slot: Slot, stamp: Stamp) -> tuple[Alert, ...]:
        """A judgement that is not worth an alert: what stands may be over."""
        standing = slot.standing
        if standing is None or standing.once:
            return ()
        since = stamp.now if standing.quiet_since is None else standing.quiet_since
        calm = standing.calm or assessment.score <= CALM * standing.lowest
        later = stamp.block < 0 or stamp.block > standing.hot_block
        over = calm and (not assessment.incident or stamp.now - since >= LINGER_S)
        if later and (over or assessment.relieved or stamp.now - since >= self._cool_down):
            alert = made(assessment, "cleared", standing.alert.severity, stamp)
            told = () if standing.silent else (alert,)
            self._write(assessment.key, Slot(None, self._ended(slot, standing, stamp.now)), told)
            return told
        hot = standing.hot
        if assessment.score <= CALM * standing.lowest:
            hot = tuple(aspect for aspect in hot if assessment.aspect not in ("", aspect))
        lower = stamp.now if standing.lower_since is None else standing.lower_since
        quiet = msgspec.structs.replace(standing, quiet_since=since, calm=calm, hot=hot, lower_since=lower)
        if quiet != standing:
            self._write(assessment.key, Slot(quiet, slot.past))
        return ()

    def _ended(self, slot: Slot, standing: Standing, now: float) -> Past:
        earlier = slot.past.raises if slot.past is not None else ()
        recent = tuple(time for time in earlier if now - time < self._cool_down)
        return Past(now, standing.peak, (*recent, standing.since))

    def _forget_once(self, now: float) -> None:
        """What happened more than a day ago is history for the files, not for the screen."""
        old = [
            key
            for key, slot in self._slots.items()
            if slot.standing is not None and slot.standing.once and now - slot.standing.since >= ONCE_KEPT_S
        ]
        for key in old:
            del self._slots[key]

    def _write(self, key: str, slot: Slot, told: tuple[Alert, ...] = ()) -> None:
        if self._journal:
            changes = self._journal[-1].changes
            change = changes.get(key) or Change(self._slots.get(key, _EMPTY))
            for alert in told:
                raised = alert if alert.state == "raised" else change.raised
                change = Change(change.before, alert, raised)
            changes[key] = change
        self._slots[key] = slot
        self._feed.extend(told)

    # Blocks and reorgs.

    def open_block(self, at: BlockRef) -> None:
        """Begin the block `at`: what changes from here on rests on it."""
        self._journal.append(Chapter(at, {}))

    def undo_block(self, at: BlockRef, now: float) -> tuple[Alert, ...]:
        """A reorg removed the block `at`: everything is as it was before it, and what it had told is told otherwise.

        Blocks are undone newest first. A block that the journal does not hold any more changes nothing.
        """
        told: list[Alert] = []
        while self._journal and self._journal[-1].at.number >= at.number:
            chapter = self._journal.pop()
            for key in sorted(chapter.changes):
                change = chapter.changes[key]
                told += undone(change.before, self._slots.get(key, _EMPTY), change, chapter.at, now)
                if change.before == _EMPTY:
                    self._slots.pop(key, None)
                else:
                    self._slots[key] = change.before
        self._feed.extend(told)
        return tuple(told)

    # The user.

    def on_input(self, frame: InputFrame, now: float) -> bool:
        """Take an ack, a snooze (`until`: a time, or a duration from now) or a judgement (noise, real).

        False if the frame is none of these, names no alert of this book, or its `until` cannot be read.
        """
        slot = self._slots.get(frame.key)
        if slot is None or frame.action not in ("ack", "snooze", "noise", "real"):
            return False
        standing = slot.standing
        if frame.action == "snooze":
            until = _until(frame.until or "", now)
            if until is None:
                return False
            self._snoozed[frame.key] = (until, rank(standing.alert.severity) if standing is not None else 0)
            return True
        if frame.action == "ack":
            if standing is not None:
                self._acked[frame.key] = standing.since
            return standing is not None
        alert_id = standing.alert.id if standing is not None else ""
        self._judgements.append(Judgement(frame.key, frame.action, now, alert_id))
        return True

    def _snoozed_now(self, key: str, severity: Severity, now: float) -> bool:
        """Whether a snooze holds this back: it does not hold back what became more severe."""
        snooze = self._snoozed.get(key)
        return snooze is not None and now < snooze[0] and rank(severity) <= snooze[1]

    # What stands.

    def standing(self) -> tuple[AlertRow, ...]:
        """The standing alerts, most severe first, the newest change first among equals."""
        found = [(key, slot.standing) for key, slot in self._slots.items() if slot.standing is not None]
        found.sort(key=lambda item: (-rank(item[1].alert.severity), -item[1].told, item[0]))
        return tuple(
            AlertRow(
                alert=standing.alert,
                since=standing.since,
                acked=self._acked.get(key) == standing.since,
                snoozed_until=self._snoozed[key][0] if key in self._snoozed else None,
            )
            for key, standing in found
        )

    def subjects(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """(protocol, subject id) of every standing alert whose kind begins with `prefix`, sorted: what has to be looked
        at again, although nothing happened to it, so that it can clear."""
        found = {
            (slot.standing.alert.subject.protocol, slot.standing.alert.subject.id)
            for slot in self._slots.values()
            if slot.standing is not None and not slot.standing.once and slot.standing.alert.kind.startswith(prefix)
        }
        return tuple(sorted(found))

    def feed(self) -> tuple[Alert, ...]:
        """The last changes that were told, newest first."""
        return tuple(reversed(self._feed))

    def judgements(self) -> tuple[Judgement, ...]:
        """What the user said of alerts, in order."""
        return tuple(self._judgements)

    # To disk and back.

    def dump(self) -> dict[str, Any]:
        """The whole book in plain types: dictionaries, lists, strings, numbers."""
        kept = Kept(
            slots=self._slots,
            journal=list(self._journal),
            feed=list(self._feed),
            acked=self._acked,
            snoozed=self._snoozed,
            judgements=self._judgements,
        )
        plain: dict[str, Any] = msgspec.to_builtins(kept)
        return plain

    def load(self, plain: Any) -> None:
        """Take up what `dump` gave. StoreError if it is nothing that `dump` gives; the book is unchanged then."""
        try:
            kept = msgspec.convert(plain, Kept)
        except msgspec.ValidationError as error:
            raise StoreError(f"the alert book on disk cannot be read: {error}") from error
        if kept.version != VERSION:
            raise StoreError(f"the alert book on disk has version {kept.version}, this one reads {VERSION}")
        self._slots = dict(kept.slots)
        self._journal = deque(kept.journal, maxlen=self._journal.maxlen)
        self._feed = deque(kept.feed, maxlen=FEED)
        self._acked = dict(kept.acked)
        self._snoozed = dict(kept.snoozed)
        self._judgements = list(kept.judgements)


def _until(text: str, now: float) -> float | None:
    """A time as ISO 8601 or a duration from `now`, in Unix seconds; None if it is neither."""
    try:
        return from_iso(text)
    except ValueError:
        pass
    try:
        return now + duration(text)
    except ValueError:
        return None
