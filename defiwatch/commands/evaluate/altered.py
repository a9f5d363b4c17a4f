"""The engine with one part removed, and the engine heard while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from defiwatch.config import Config
from defiwatch.config import Models as Settings
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import Frame, QuoteFrame
from defiwatch.domain.learning import Observation, Surprise
from defiwatch.domain.risk import Alert, Assessment, Position, Subject
from defiwatch.domain.units import WAD, from_iso
from defiwatch.domain.view import ModelRow
from defiwatch.engine.core import Engine
from defiwatch.engine.judge import Judge
from defiwatch.engine.line import LineSettings
from defiwatch.engine.watch import Watch
from defiwatch.models import AlertBudget, Outlook
from defiwatch.models.stage import PARTS, Models
from defiwatch.protocols.spec import Book
from defiwatch.state.pegs import PEGS
from defiwatch.state.prices import PEGGED, Consensus, PriceBook, base_of

Alter = Callable[[Judge], None]


class Altered(Engine):
    """An engine whose judges are altered before they see anything."""

    def __init__(self, config: Config, alter: Alter) -> None:
        self._alter = alter
        super().__init__(config, mode="replay")

    def _judge(self, settings: LineSettings, budget: AlertBudget | None = None) -> Judge:
        judge = super()._judge(settings, budget)
        self._alter(judge)
        return judge


def played(engine: Engine, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Sequence[Alert]]]:
    """Each frame with the alerts that it leads to; what their end leads to comes with a last header."""
    for frame in frames:
        yield frame, engine.feed(frame)
    yield engine.header(), engine.finish()


# Parts removed.


class _FixedBand(Watch):
    """Pegs held to the configured band, whatever is usual of an asset."""

    def _peg(
        self,
        book: Book,
        agreed: Consensus,
        now: float,
        at: BlockRef | None,
        shares: dict[str, tuple[float, str]],
    ) -> list[Assessment]:
        before = book.get(PEGS, agreed.asset)
        if before is not None and before.usual:
            book.put(PEGS, agreed.asset, msgspec.structs.replace(before, usual=0.0))
        return super()._peg(book, agreed, now, at, shares)


class _Hasty(Watch):
    """Pegs told of at the first sample outside the band."""

    def _peg(
        self,
        book: Book,
        agreed: Consensus,
        now: float,
        at: BlockRef | None,
        shares: dict[str, tuple[float, str]],
    ) -> list[Assessment]:
        found = super()._peg(book, agreed, now, at, shares)
        peg = book.get(PEGS, agreed.asset)
        if peg is None or not peg.count:
            return found
        return [item if item.severity else msgspec.structs.replace(item, severity="info") for item in found]


class _Credulous(PriceBook):
    """Believes every quote at once, however far off."""

    def _believed(self, key: tuple[str, str, str], rate: float, before: Any) -> bool:  # noqa: ARG002 - as `PriceBook`
        return True


class _Mute(Outlook):
    """Gives no chances of a liquidation."""

    def chances(self, position: Position, **_: Any) -> dict[str, float]:  # noqa: ARG002 - as `Outlook`
        """None."""
        return {}


def _believe(judge: Judge) -> None:
    judge.prices = judge.watch.prices = _Credulous(judge.chain_id)


def _fix(judge: Judge) -> None:
    judge.watch = _FixedBand(judge.chain_id, judge.settings, judge.prices)


def _hasten(judge: Judge) -> None:
    judge.watch = _Hasty(judge.chain_id, judge.settings, judge.prices)


def _mute(judge: Judge) -> None:
    judge.outlook = _Mute()


def _less(part: str) -> Alter:
    def alter(judge: Judge) -> None:
        judge.models = Models(judge.models.settings, without=frozenset({part}))

    return alter


REMOVED: dict[str, Alter] = {
    **{part: _less(part) for part in PARTS},
    "band": _fix,
    "lasting": _hasten,
    "glitches": _believe,
    "chances": _mute,
}
"""What can be removed. Of the models: a subject's own history, the forest, the hours of the day, looking for a change
of regime. Of the rules: the band that is usual for a pegged asset, waiting until it lasts, holding back bad ticks, and
P(liquidation)."""


OF_QUOTES = frozenset({"band", "lasting", "glitches"})
"""The parts that quotes alone meet; the others need a chain."""


# Heard while it runs.


class Step(msgspec.Struct, frozen=True):
    """One step of the record: an observation that was to be scored, or learnt."""

    obs: Observation
    learn: bool


class _Heard(Models):
    """The models, noting what they are asked; those that are `mute` learn nothing and find nothing unusual."""

    def __init__(self, settings: Settings, steps: list[Step], *, mute: bool = False) -> None:
        super().__init__(settings)
        self.steps = steps
        self.mute = mute

    def score(self, obs: Observation) -> Surprise:
        self.steps.append(Step(obs, learn=False))
        return Surprise((), 0.0, 0, young=True) if self.mute else super().score(obs)

    def learn(self, obs: Observation) -> None:
        self.steps.append(Step(obs, learn=True))
        if not self.mute:
            super().learn(obs)

    def report(self, cost_us: Mapping[str, float] | None = None) -> tuple[ModelRow, ...]:
        return () if self.mute else super().report(cost_us)


def observations(frames: Iterable[Frame], config: Config) -> list[Step]:
    """What the engine would have its models score and learn, in order, over these frames."""
    steps: list[Step] = []

    def alter(judge: Judge) -> None:
        judge.models = _Heard(judge.models.settings, steps, mute=True)

    for _ in played(Altered(config, alter), frames):
        pass
    return steps


_ALERTS = {
    "pool": "pool.anomaly",
    "flow": "pool.anomaly",
    "drain": "pool.drain",
    "feed": "feed.anomaly",
    "market": "market.anomaly",
    "transfer": "flow.whale",
}


def alert_of(obs: Observation) -> str:
    """The kind of alert that an observation can lead to; its own kind where that is not known."""
    return _ALERTS.get(obs.kind, obs.kind)


class Ears:
    """An engine as it is, and beside it what a baseline could have been given: what its models were asked (`models`),
    and by family of alert kinds (`pool`, `feed`, `price`, `liquidation`, …) the steps of every series."""

    def __init__(self, config: Config) -> None:
        self.models: list[Step] = []
        self.plain: dict[str, list[Step]] = {"price": [], "liquidation": []}
        self.engine = Altered(config, self._open)
        self._standing: dict[int, object] = {}
        self._last: dict[tuple[str, str], float] = {}

    def _open(self, judge: Judge) -> None:
        judge.models = _Heard(judge.models.settings, self.models)

    def play(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Sequence[Alert]]]:
        """As `played`."""
        for frame, alerts in played(self.engine, frames):
            if isinstance(frame, QuoteFrame):
                self._quote(frame)
            self._positions()
            yield frame, alerts

    @property
    def steps(self) -> dict[str, list[Step]]:
        """All series by family of alert kinds."""
        found = {name: list(steps) for name, steps in self.plain.items()}
        for step in self.models:
            found.setdefault(alert_of(step.obs).split(".")[0], []).append(step)
        return found

    def _quote(self, frame: QuoteFrame) -> None:
        obs = quoted(frame, self._last)
        if obs is not None:
            self.plain["price"] += (Step(obs, learn=False), Step(obs, learn=True))

    def _positions(self) -> None:
        """The health factors, whenever they were looked at anew."""
        for chain_id, line in sorted(self.engine.lines.items()):
            standing, head = line.judge.standing, line.intake.head
            if head is None or self._standing.get(chain_id) is standing:
                continue
            self._standing[chain_id] = standing
            for (protocol, market, account), (position, _) in sorted(standing.items()):
                if position.debt_base <= 0 or position.health_factor <= 0:
                    continue
                subject = Subject("position", chain_id, protocol, f"{market}:{account}", account)
                factor = position.health_factor / WAD
                obs = Observation(subject, "health", {"near": 1.0 / factor}, head)
                self.plain["liquidation"] += (Step(obs, learn=False), Step(obs, learn=True))


def quoted(frame: QuoteFrame, last: dict[tuple[str, str], float]) -> Observation | None:
    """A quote as a plain observation: how far from 1 (of an asset pegged to the dollar), and how far from the quote
    before. None for what is no price. `last` remembers the quotes before, by venue and asset."""
    try:
        price, time = float(frame.price), from_iso(frame.time)
    except ValueError:
        return None
    if not 0.0 < price < math.inf:
        return None
    key = (frame.venue, frame.base)
    values = {"move": abs(math.log(price / last.get(key, price)))}
    if PEGGED.get(base_of(frame.base)) == "USD":
        values["away"] = abs(math.log(price))
    last[key] = price
    subject = Subject("asset", 0, frame.venue, base_of(frame.base), frame.base)
    return Observation(subject, "quote", values, BlockRef(0, 0, "", int(time)))
