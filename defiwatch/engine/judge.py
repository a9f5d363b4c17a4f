"""The judge of one line: facts to features, features to models, both to scoring, and scores to the life of alerts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.alerts import AlertBook
from defiwatch.config import Config, duration
from defiwatch.domain.events import BadDebt, BlockRef, Fact, Liquidated, Swapped
from defiwatch.domain.frames import HealthFrame, InputFrame, QuoteFrame
from defiwatch.domain.ids import MARKET
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Alert, Assessment, Feed, Finality, Pool, Position, Trust
from defiwatch.domain.units import WAD, to_float
from defiwatch.engine.intake import Applied, Intake
from defiwatch.engine.watch import Watch
from defiwatch.features import Features
from defiwatch.models import AlertBudget, Models, Outlook, by_asset, scene
from defiwatch.protocols.spec import Book
from defiwatch.scoring import (
    PER_DECADE,
    PositionJudge,
    Quoted,
    assess,
    assess_deviation,
    position_gone,
    source_gap,
    source_silent,
    source_untrusted,
)
from defiwatch.scoring.positions import far_line
from defiwatch.state.hours import traded
from defiwatch.state.lending.insight import base_usd
from defiwatch.state.lending.paths import Origins
from defiwatch.state.lending.pushes import Rhythm, beat, follow, priced
from defiwatch.state.lending.volatility import PRIOR_WEIGHT_S
from defiwatch.state.prices import Deviation, PriceBook

_UNUSUAL = {"feed": "feed.anomaly", "market": "market.anomaly", "transfer": "flow.whale"}

PositionKey = tuple[str, str, str]
PoolKey = tuple[str, str]


def alert_budget(config: Config) -> AlertBudget:
    """The budget that the configuration asks for; its threshold starts where `anomaly_score` is."""
    return AlertBudget(config.alerts.budget, config.alerts.anomaly_score / PER_DECADE)


class Judge:
    """What one line thinks of what it sees. Everything here follows from frames and configuration alone."""

    def __init__(
        self,
        chain_id: int,
        name: str,
        config: Config,
        *,
        depth: int,
        confirmations: int,
        budget: AlertBudget | None = None,
        models: Models | None = None,
        outlook: Outlook | None = None,
    ) -> None:
        self.chain_id = chain_id
        self.name = name
        self.settings = config.alerts
        self.models = models or Models(config.models)
        self.outlook = outlook or Outlook()
        """Forecasts and P(liquidation)."""
        self.budget = budget or alert_budget(config)
        """What the user wants to see of learned alerts; one for all lines."""
        self.alerts = AlertBook(config.alerts, depth=depth)
        self.positions = PositionJudge(config.alerts)
        self.prices = PriceBook(chain_id)
        self.features = Features(duration(config.alerts.drain_window), self.prices.usd)
        self.watch = Watch(chain_id, config.alerts, self.prices)
        self.rhythms: dict[str, Rhythm] = {}
        """How the price of each asset of each market is pushed, by mark key; as of the last look at the positions."""
        self.watched = frozenset(wallet.lower() for wallet in config.watch.wallets)
        self.finality: Finality = "head" if confirmations else "confirmed"
        self.standing: dict[PositionKey, tuple[Position, Assessment | None]] = {}
        """Every position as it was judged last."""
        self.pools: dict[PoolKey, Assessment] = {}
        """Every pool's last judgement."""
        self.traded: dict[PoolKey, int] = {}
        """Trades seen, by pool."""

    def on_new_block(self, at: BlockRef) -> None:
        """A block begins: what changes from here on rests on it."""
        self.alerts.open_block(at)

    def on_events(
        self, intake: Intake, applied: Iterable[Applied], at: BlockRef, now: float, trust: Trust
    ) -> tuple[tuple[Observation, ...], list[Alert]]:
        """Judge what a block's events show. Returns what the models are to learn once the block is confirmed."""
        observations: list[Observation] = []
        alerts: list[Alert] = []

        def pool_of(protocol: str, pool_id: str) -> Pool | None:
            for instance in intake.instances:
                if instance.protocol == protocol:
                    found = instance.pool(intake.book, pool_id)
                    if found is not None:
                        return found
            return None

        for item in applied:
            for fact in item.facts:
                alerts += self._happened(intake, at, fact, now, trust)
                pool = item.instance.pool(intake.book, fact.pool) if isinstance(fact, Swapped) else None
                if isinstance(fact, Swapped):
                    decimals = pool.decimals[0] if pool and pool.decimals else 0
                    amount = to_float(abs(fact.amount0), decimals)
                    key = (fact.protocol, fact.pool)
                    self.traded[key] = self.traded.get(key, 0) + 1
                    raw = pool is None or pool.raw
                    traded(intake.book, (fact.protocol, fact.pool), at.time, fact.price, amount, raw=raw)
                found = tuple(self.features.on_fact(intake.book, at, fact, pool))
                observations += found
                alerts += self._score(found, at, now, trust)
        found = tuple(self.features.on_block(intake.book, at, pool_of, self.alerts.subjects("pool.")))
        observations += found
        alerts += self._score(found, at, now, trust)
        return tuple(observations), alerts

    def on_positions(
        self, intake: Intake, positions: Sequence[Position], at: BlockRef, now: float, trust: Trust
    ) -> tuple[tuple[Observation, ...], list[Alert]]:
        """Judge every lending position, the prices that they and the pools show, and what feeds and markets did.

        Returns what the models are to learn of feeds and markets once the block is confirmed.
        """
        feeds = [feed for instance in intake.instances for feed in instance.feeds(intake.book)]
        pools = [pool for instance in intake.instances for pool in instance.pools(intake.book)]
        self.prices.refresh(feeds, pools, now, positions)
        self._listen(intake, positions, feeds, at)
        alerts: list[Alert] = []
        judged: dict[PositionKey, tuple[Position, Assessment | None]] = {}
        for position in positions:
            watched = position.account in self.watched
            assessment = self.positions.assess(
                intake.book,
                position,
                watched=watched,
                unit=base_usd(position, self.prices),
                chances=self._chances(position),
            )
            judged[position.protocol, position.market, position.account] = (position, assessment)
            if assessment is not None:
                alerts += self._update(assessment, at, now, trust)
        alerts += self._gone(judged, at, now, trust)
        self.standing = judged
        markets = [market for instance in intake.instances for market in instance.markets(intake.book, at)]
        vaults = [vault for instance in intake.instances for vault in instance.vaults(intake.book)]
        seized = self.features.seized(intake.book, at)
        self.outlook.note(scene(at, positions, markets, pools, self.rhythms, seized))
        for assessment in self.watch.on_block(intake.book, pools, feeds, markets, vaults, float(at.time), at):
            alerts += self._update(assessment, at, now, trust)
        oracles = [(feed, self.watch.away(feed)) for feed in feeds]
        seen = tuple(self.features.on_whole(intake.book, at, oracles, markets, self._looked_at_again()))
        alerts += self._score(seen, at, now, trust)
        return seen, alerts + self._deviations(now, at, trust)

    def _looked_at_again(self) -> dict[str, tuple[PoolKey, ...]]:
        """By kind, what stands as unusual and may have calmed."""
        return {kind: self.alerts.subjects(alert) for kind, alert in _UNUSUAL.items()}

    def _listen(
        self, intake: Intake, positions: Sequence[Position], feeds: Sequence[Feed], at: BlockRef, *, learn: bool = True
    ) -> None:
        """The rhythm of the markets' prices."""
        prices = priced(positions)
        if learn:
            follow(intake.book, prices, at)
        origins = Origins(intake.book, intake.instances, feeds, float(at.time))
        self.rhythms = {":".join(key): origins.rhythm(*key, now.symbol) for key, now in sorted(prices.items())}

    def chances(self, position: Position) -> dict[str, float]:
        """P(crossed, if nothing is done) by horizon, by the rhythm of the position's own prices; {} while its ratio was
        not watched long enough."""
        return self.outlook.chances(position, by=beat(position, by_asset(position, self.rhythms)))

    def recall(self, intake: Intake, positions: Sequence[Position], now: float) -> None:
        """After a restart: how the positions stood at the head, and the prices there. Nothing is judged."""
        feeds = [feed for instance in intake.instances for feed in instance.feeds(intake.book)]
        pools = [pool for instance in intake.instances for pool in instance.pools(intake.book)]
        self.prices.refresh(feeds, pools, now, positions)
        if intake.head is not None:
            self._listen(intake, positions, feeds, intake.head, learn=False)
        self.standing = {(p.protocol, p.market, p.account): (p, None) for p in positions}

    def on_quote(self, book: Book, frame: QuoteFrame, now: float, at: BlockRef | None) -> list[Alert]:
        """A venue's price. A chain that has blocks holds it against its own prices when the next one is whole."""
        left_out = self.prices.bad_ticks
        taken = self.prices.on_quote(frame, now)
        if self.prices.bad_ticks > left_out and self.chain_id == MARKET:
            book.notice(f"{frame.venue}: {frame.base} far off and soon back: such ticks are counted and move nothing")
        if not taken or at is not None:
            return []
        alerts = self._deviations(now, at, "single", frame.base)
        for assessment in self.watch.on_quote(book, frame.base, now):
            alerts += self._update(assessment, at, now, "single")
        return alerts

    def on_silence(self, seconds: float, now: float) -> list[Alert]:
        """No block came for `seconds` of the wall's time."""
        if self.chain_id == MARKET:
            return []
        return self._update(source_silent(self.name, self.chain_id, seconds, self.settings), None, now, "single")

    def on_health(self, frame: HealthFrame, now: float) -> list[Alert]:
        """What became of an endpoint of this chain, or (by the chain's own name) of the chain as a whole."""
        found: list[Assessment] = []
        detail = frame.detail or ""
        if frame.state in ("untrusted", "live"):
            found.append(source_untrusted(frame.source, self.chain_id, detail, wrong=frame.state == "untrusted"))
        if frame.source == self.name and frame.state in ("behind", "live"):
            found.append(source_gap(self.name, self.chain_id, detail, open_=frame.state == "behind"))
        return [alert for assessment in found for alert in self._update(assessment, None, now, "single")]

    def on_input(self, frame: InputFrame, now: float) -> bool:
        """What the user says of an alert."""
        return self.alerts.on_input(frame, now)

    def on_undone(self, block: BlockRef, now: float) -> list[Alert]:
        """A reorg took `block` away."""
        self.standing = {key: item for key, item in self.standing.items() if item[0].block < block.number}
        self.outlook.undo(block.number)
        return list(self.alerts.undo_block(block, now))

    def learn(self, observations: Iterable[Observation]) -> None:
        """The block of these observations is confirmed."""
        for observation in observations:
            self.models.learn(observation)

    def confirm(self, number: int) -> None:
        """The blocks up to `number` are confirmed."""
        self.outlook.confirm(number)

    def _score(self, observations: Iterable[Observation], at: BlockRef, now: float, trust: Trust) -> list[Alert]:
        alerts: list[Alert] = []
        for observation in observations:
            surprise = self.models.score(observation)
            for assessment in assess(observation, surprise, self.settings):
                if assessment.kind == "pool.anomaly":
                    key = (assessment.subject.protocol, assessment.subject.id)
                    last = self.pools.get(key)
                    same_block = last is not None and last.evidence.block == at.number
                    if last is None or not same_block or assessment.score > last.score:
                        self.pools[key] = assessment
                alerts += self._update(self._budgeted(assessment, now), at, now, trust)
        return alerts

    def _budgeted(self, assessment: Assessment, now: float) -> Assessment:
        """A learned judgement as the budget lets it through; what is critical, or stands already, is not its business.

        What the budget has room for is told as info below the user's score; what it has none for is not told.
        """
        severity = assessment.severity
        if not assessment.budgeted or severity == "critical":
            return assessment
        if not self.alerts.would_raise(assessment.key, severity or "info", now):
            return assessment
        if self.budget.admits(assessment.kind, assessment.rarity, now):
            return assessment if severity else msgspec.structs.replace(assessment, severity="info")
        return assessment if severity is None else msgspec.structs.replace(assessment, severity=None)

    def _happened(self, intake: Intake, at: BlockRef, fact: Fact, now: float, trust: Trust) -> list[Alert]:
        if isinstance(fact, BadDebt):
            owed = [market for instance in intake.instances for market in instance.markets(intake.book, at)]
            return self._update(self.watch.written_off(fact, owed, at), at, now, trust)
        if not isinstance(fact, Liquidated):
            return []
        before = self.standing.get((fact.protocol, fact.market, fact.account))
        assessment = self.positions.executed(
            intake.book,
            at,
            fact,
            before[0] if before else None,
            watched=fact.account in self.watched,
            unit=base_usd(before[0], self.prices) if before else 1.0,
        )
        return self._update(assessment, at, now, trust)

    def _chances(self, position: Position) -> dict[str, float] | None:
        """P(liquidated) of a position near enough, once the volatility behind it was watched long enough to count."""
        if not 0 < position.health_factor < far_line(self.settings) * WAD or position.debt_base == 0:
            return None
        known = self.outlook.slow.known(position)
        return self.chances(position) if PRIOR_WEIGHT_S <= known < math.inf else None

    def _gone(
        self, judged: dict[PositionKey, tuple[Position, Assessment | None]], at: BlockRef, now: float, trust: Trust
    ) -> list[Alert]:
        """Standing warnings whose position is no more: closed by its owner or liquidated whole."""
        there = {(protocol, f"{market}:{account}") for protocol, market, account in judged}
        alerts: list[Alert] = []
        for row in self.alerts.standing():
            alert = row.alert
            if alert.kind == "liquidation.warning" and (alert.subject.protocol, alert.subject.id) not in there:
                alerts += self._update(position_gone(alert, at), at, now, trust)
        return alerts

    def _deviations(self, now: float, at: BlockRef | None, trust: Trust, of: str | None = None) -> list[Alert]:
        alerts: list[Alert] = []
        for gap in self.prices.deviations(of):
            if not self._mine(gap):
                continue
            quoted = [
                Quoted(
                    f"{price.kind} {price.source}",
                    "dex" if price.kind == "assumed" else price.kind,
                    price.price,
                    price.time,
                )
                for price in (gap.low, gap.high)
            ]
            assessment = assess_deviation(gap.symbol, quoted, now, self.settings, chain_id=self.chain_id, at=at)
            if assessment is not None:
                alerts += self._update(assessment, at, now, trust)
        return alerts

    def _mine(self, gap: Deviation) -> bool:
        """Two venues apart are the market line's to tell; whatever a chain says is the chain's."""
        venues_only = gap.low.kind == "venue" and gap.high.kind == "venue"
        return venues_only == (self.chain_id == MARKET)

    def _update(self, assessment: Assessment, at: BlockRef | None, now: float, trust: Trust) -> list[Alert]:
        return list(self.alerts.update(assessment, now, at=at, finality=self.finality, trust=trust))
