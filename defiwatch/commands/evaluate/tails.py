"""Whether tail probabilities are what they say: of all that were told, the share below α should be α.

Counted by episode: the highest score of one subject within ten minutes, with the tail probability that was told for it
then, before it was learnt. The first hundred episodes of a kind are not counted, as on the report card. Episodes lie
close together in calm and in storm, so the interval around a share is drawn in blocks of as many episodes in a row as
the root of their number (moving block bootstrap: Künsch, Ann. Statist. 17 (1989) 1217).

Quotes, which the models may not be asked about, are taken as plain series (kind `series`), each sample an episode.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence

from defiwatch.commands.evaluate.altered import Step
from defiwatch.commands.evaluate.results import TailShare
from defiwatch.config import Models as Settings
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import Frame, QuoteFrame
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Subject
from defiwatch.domain.units import from_iso
from defiwatch.features.catalogue import SERIES
from defiwatch.features.series import SeriesTrace, begun, followed, series_values
from defiwatch.models.calibration import EPISODE_S
from defiwatch.models.stage import Models

ALPHAS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
LEAST = 100.0
"""An α is told of from so many tails below it on that are due."""
UNCOUNTED = 100
"""Episodes of a kind before its calibration counts."""
_DRAWS = 500


def calibration(steps: Iterable[Step], settings: Settings) -> dict[str, tuple[TailShare, ...]]:
    """The models, fresh, over the steps: by kind, the share of episodes whose tail was told to be below each α."""
    models = Models(settings)
    open_: dict[tuple[str, str, str], tuple[int, float, float]] = {}
    tails: dict[str, list[float]] = {}
    for step in steps:
        obs = step.obs
        if step.learn:
            models.learn(obs)
            continue
        surprise = models.score(obs)
        key = (obs.kind, obs.subject.protocol, obs.subject.id)
        number = obs.at.time // EPISODE_S
        before = open_.get(key)
        if before is not None and before[0] != number:
            tails.setdefault(obs.kind, []).append(before[2])
            before = None
        if before is None or surprise.rarity > before[1]:
            open_[key] = (number, surprise.rarity, surprise.tail)
    return {f"{kind} episodes": shares(told[UNCOUNTED:]) for kind, told in sorted(tails.items())}


def shares(tails: Sequence[float], alphas: Sequence[float] = ALPHAS) -> tuple[TailShare, ...]:
    """Each α that has at least `LEAST` tails due below it; none where there is too little."""
    n = len(tails)
    block = max(1, math.isqrt(n))
    found = []
    for alpha in alphas:
        if n * alpha < LEAST:
            continue
        hits = [tail < alpha for tail in tails]
        low, high = interval(hits, block)
        found.append(TailShare(alpha, n, sum(hits), sum(hits) / n, low, high, block))
    return tuple(found)


def interval(hits: Sequence[bool], block: int) -> tuple[float, float]:
    """Between what the share of hits lies 95 % of the time, drawn anew in blocks of so many in a row."""
    n = len(hits)
    sums = [0, *itertools.accumulate(hits)]
    draw = random.Random(n)  # noqa: S311 - seeded on purpose: the same run prints the same
    count = -(-n // block)
    drawn = []
    for _ in range(_DRAWS):
        starts = (draw.randrange(n - block + 1) for _ in range(count))
        drawn.append(sum(sums[start + block] - sums[start] for start in starts) / (count * block))
    drawn.sort()
    return drawn[int(0.025 * _DRAWS)], drawn[int(0.975 * _DRAWS) - 1]


def series_steps(frames: Iterable[Frame]) -> Iterator[Step]:
    """The quotes among the frames as plain series, by venue and pair: each to be scored, then learnt."""
    traces: dict[tuple[str, str, str], SeriesTrace] = {}
    for frame in frames:
        if not isinstance(frame, QuoteFrame):
            continue
        try:
            price, time = float(frame.price), from_iso(frame.time)
        except ValueError:
            continue
        if not 0.0 < price < math.inf:
            continue
        key = (frame.venue, frame.base, frame.quote)
        trace = traces.get(key)
        if trace is None:
            traces[key] = begun(math.log(price))
            continue
        values = series_values(trace, time, math.log(price))
        traces[key] = followed(trace, time, math.log(price))
        subject = Subject("feed", 0, frame.venue, f"{frame.base}/{frame.quote}", frame.base)
        obs = Observation(subject, SERIES, values, BlockRef(0, 0, "", int(time)))
        yield Step(obs, learn=False)
        yield Step(obs, learn=True)
