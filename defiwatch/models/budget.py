"""The alert budget: how many learned alerts a user wants to see, as a rate, and the threshold that gives it.

The threshold follows the stream by online quantile tracking (Gibbs and Candès, arXiv:2106.00170; Angelopoulos, Candès
and Tibshirani, arXiv:2307.16895): it rises by a step with every alert and falls by rate times step with time, so the
long run's rate is the budget whatever the scores are. What is counted are block maxima: within one slot of time a kind
is told once, unless something clearly rarer comes. So that a crash does not silence what comes after it, alerts beyond
`BURST` more than are due raise the threshold by a fifth of a step only; the time that they were due in lowers it as
little. While there is nothing rarer than one in ten to tell, the threshold is at its end and falls no further: up to
`CREDIT` alerts of what was due then are made up for, else unusual times that come in clusters would never be told as
often as was asked for. A rate is held where a span has many such clusters; where what is unusual lasts longer than the
mean time between two alerts, how many come in a short span is chance, and no rule that sees only the past evens it out.
"""

from __future__ import annotations

import msgspec

from defiwatch.config.durations import rate
from defiwatch.domain.view import ModelRow

_LONGEST_SLOT_S = 600.0
_SLOTS = 10.0
"""Into how many slots the mean time between two alerts is cut at least."""
_FIRST_STEP = 0.6
_STEP = 0.12
_DAMPED = 0.2
_LEAST, _MOST = 0.0, 11.0

BURST = 4.0
"""How many alerts more than are due raise the threshold by whole steps."""

CREDIT = 8.0
"""How many alerts that were due while there was nothing to tell are made up for later, at most."""

CLEARLY = 1.0
"""By how many powers of ten something must be rarer than what was told in its slot to be told too."""


class KeptTracker(msgspec.Struct, frozen=True):
    """One kind's tracker as a checkpoint holds it."""

    threshold: float
    begun: float
    time: float
    spent: int
    excess: float
    slot: int
    peak: float
    credit: float = 0.0


class KeptBudget(msgspec.Struct, frozen=True):
    """The budget as a checkpoint holds it."""

    text: str
    kinds: dict[str, KeptTracker]


class Tracker:
    """One kind's threshold: `admits` says whether a score is told, and counts it if it is. Scores in powers of ten."""

    def __init__(self, per_s: float, start: float) -> None:
        self.per_s = per_s
        self.slot_s = min(_LONGEST_SLOT_S, 1.0 / (_SLOTS * per_s)) if per_s > 0.0 else _LONGEST_SLOT_S
        self.threshold = start
        self.begun: float | None = None
        self.time = 0.0
        self.spent = 0
        self._excess = 0.0
        self._credit = 0.0
        self._slot = -1
        self._peak = 0.0

    @property
    def due(self) -> float:
        """How many alerts the budget allowed up to now."""
        return 0.0 if self.begun is None else (self.time - self.begun) * self.per_s

    @property
    def step(self) -> float:
        """How far one alert moves the threshold: far at first, so that a start that is off is soon forgotten."""
        return _STEP + _FIRST_STEP / (1.0 + max(self.due, float(self.spent)))

    def pass_time(self, time: float) -> None:
        """Time went on to `time` (Unix seconds): the threshold falls."""
        time = float(time)
        if self.begun is None:
            self.begun = self.time = time
        elapsed = (time - self.time) * self.per_s
        if elapsed > 0.0:
            damped = min(elapsed, max(0.0, self._excess - BURST))
            fall = self.step * (elapsed - damped + _DAMPED * damped)
            lower = self.threshold - fall
            self._credit = min(CREDIT, self._credit + max(0.0, _LEAST - lower) / self.step)
            self.threshold = max(_LEAST, lower)
            self._excess = max(0.0, self._excess - elapsed)
            self.time = time

    def admits(self, score: float, time: float) -> bool:
        """Whether this is worth one of the budget's alerts."""
        if self.per_s <= 0.0:
            return False
        self.pass_time(time)
        slot = int(time // self.slot_s)
        told_here = slot == self._slot
        if score <= self.threshold or (told_here and score < self._peak + CLEARLY):
            return False
        self._slot, self._peak = slot, score
        rise = self.step * (1.0 if self._excess < BURST else _DAMPED)
        made_up = min(1.0, self._credit)
        self._credit -= made_up
        self.threshold = min(_MOST, self.threshold + rise * (1.0 - made_up))
        self._excess += 1.0
        self.spent += 1
        return True


class AlertBudget:
    """The budget of one kind after the other, after the lines were merged. `start`: where thresholds begin.

    Only learned scores are asked for (`Assessment.budgeted`); what is exact or critical never is.
    """

    def __init__(self, text: str, start: float) -> None:
        self.text = text
        self.start = start
        self._per_s = rate(text)
        self._kinds: dict[str, Tracker] = {}

    def tracker(self, kind: str) -> Tracker:
        """The tracker of a kind."""
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = Tracker(self._per_s, self.start)
        return found

    def admits(self, kind: str, score: float, time: float) -> bool:
        """Whether an alert of `kind` whose rarity is `score` (powers of ten) is told at `time` (Unix seconds)."""
        return self.tracker(kind).admits(score, time)

    def pass_time(self, time: float) -> None:
        """Time went on."""
        for kind in sorted(self._kinds):
            self._kinds[kind].pass_time(time)

    def report(self) -> tuple[ModelRow, ...]:
        """What was spent of what was due, a row a kind."""
        return tuple(
            ModelRow(
                name=f"{kind} budget",
                kind=kind,
                events=tracker.spent,
                metric=f"alerts told of those due at {self.text}",
                value=tracker.spent / tracker.due if tracker.due > 0.0 else None,
                note=f"{tracker.spent} told, {tracker.due:.1f} due; told from 10^{-1.0 - tracker.threshold:.1f} on",
            )
            for kind, tracker in sorted(self._kinds.items())
        )

    def dump(self) -> KeptBudget:
        """Everything that was learnt."""
        kinds = {
            kind: KeptTracker(t.threshold, t.begun or 0.0, t.time, t.spent, t._excess, t._slot, t._peak, t._credit)
            for kind, t in sorted(self._kinds.items())
            if t.begun is not None
        }
        return KeptBudget(self.text, kinds)

    def load(self, kept: KeptBudget) -> None:
        """Take up what `dump` gave; after the user changed the budget, what was spent of the old one counts no more."""
        same = kept.text == self.text
        for kind, k in kept.kinds.items():
            tracker = Tracker(self._per_s, k.threshold)
            if same:
                tracker.begun, tracker.time, tracker.spent = k.begun, k.time, k.spent
                tracker._excess, tracker._slot, tracker._peak = k.excess, k.slot, k.peak
                tracker._credit = k.credit
            self._kinds[kind] = tracker
