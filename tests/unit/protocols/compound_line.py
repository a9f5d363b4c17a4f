"""A made-up Comet and a line that follows it."""

from __future__ import annotations

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import RawLog
from defiwatch.domain.units import WAD
from defiwatch.protocols.compound_v3 import CompoundV3
from defiwatch.state.journal import JournaledBook
from tests.unit.protocols.comet_model import BASE, BASE_FEED, COMET, Comet, RefusedError

WETH, WBTC, COMP = ("0x" + f"{i:02x}" * 20 for i in (1, 2, 3))
FEEDS = {WETH: "0x" + "f1" * 20, WBTC: "0x" + "f2" * 20, COMP: "0x" + "f3" * 20}
PEOPLE = ["0x" + f"a{i}" * 20 for i in range(5)]
START = 1_700_000_000
PERCENT = 10**16


def comet() -> Comet:
    """Three collaterals, a supplier, prices; the time is START."""
    made = Comet(
        [
            (COMP, FEEDS[COMP], 18, 65 * PERCENT, 70 * PERCENT, 92 * PERCENT, 10**24),
            (WBTC, FEEDS[WBTC], 8, 70 * PERCENT, 77 * PERCENT, 95 * PERCENT, 10**12),
            (WETH, FEEDS[WETH], 18, 825 * PERCENT // 10, 895 * PERCENT // 10, 95 * PERCENT, 10**24),
        ],
        START,
    )
    made.prices |= {FEEDS[COMP]: 50 * 10**8, FEEDS[WBTC]: 60_000 * 10**8, FEEDS[WETH]: 3000 * 10**8}
    made.supply("0x" + "99" * 20, 1_000_000 * 10**6)
    return made


class Line:
    """An instance and a book, fed from a model."""

    def __init__(self, model: Comet) -> None:
        self.model = model
        self.book = JournaledBook(1)
        self.instance = CompoundV3(1, Deployment(chain="x", protocol="compound_v3", address=COMET))
        self.number = 0
        self.at = BlockRef(1, 0, "", 0)
        self.facts: list[object] = []

    def block(self, seconds: int = 12, *, logs: list[RawLog] | None = None) -> None:
        """What the model did since is one block; then every read is answered."""
        self.number += 1
        self.at = BlockRef(1, self.number, f"0x{self.number:064x}", self.model.now)
        self.book.open(self.at)
        specs = {(spec.topic0, spec.topics): spec for spec in self.instance.events}
        self.facts = []
        for log in self.model.take_logs() if logs is None else logs:
            event = specs[log.topics[0], len(log.topics)].decode(log)
            self.facts.extend(self.instance.on_event(self.book, self.at, event))
        self.answer()
        self.model.now += seconds

    def answer(self) -> None:
        for _ in range(8):
            calls = self.instance.wants(self.book, self.at)
            if not calls:
                return
            for call in calls:
                self.instance.on_read(self.book, self.at, self.model.answer(call))
        raise AssertionError(f"still wanted: {self.instance.wants(self.book, self.at)}")

    def scan(self, logs: list[RawLog]) -> None:
        (scan,) = self.instance.scans(self.book)
        wanted = [log for log in logs if log.topics[0] in (scan.topics[0] or ())]
        for call in self.instance.on_scan(self.book, scan, wanted):
            self.instance.on_read(self.book, self.at, self.model.answer(call))
        self.answer()

    def check(self) -> int:
        """Everybody, against the model at the block just fed; returns how many could be liquidated."""
        model, instance, book, at = self.model, self.instance, self.book, self.at
        now, model.now = model.now, at.time
        below = 0
        try:
            for who in PEOPLE:
                position = instance.position(book, at, who)
                owed = model.borrow_balance(who)
                held = {asset[0]: model.collateral.get((who, asset[0]), 0) for asset in model.assets}
                if position is None:
                    assert owed == 0 and not any(held.values())
                    continue
                legs = {leg.asset: leg for leg in position.legs}
                assert {token: legs[token].collateral if token in legs else 0 for token in held} == held
                assert (legs[BASE].debt if BASE in legs else 0) == owed
                for stored in (True, False):
                    try:
                        told = model.is_liquidatable(who) if stored else model.would_absorb(who)
                    except RefusedError:
                        assert instance.liquidatable(book, at, who, stored=stored) is None
                        continue
                    assert instance.liquidatable(book, at, who, stored=stored) is told
                    standing = instance.standing(book, at, who, stored=stored)
                    if standing is not None:
                        assert (standing.health_factor < WAD) is told
                if not position.unknown:
                    assert (position.health_factor < WAD) is model.would_absorb(who)
                    below += position.health_factor < WAD
                    self._crossings(who)
            (market,) = instance.markets(book, at)
            assert (market.borrowed, market.supplied) == (model.total_borrow_now(), model.total_supply_now())
            assert market.cash == model.cash
        finally:
            model.now = now
        return below

    def _crossings(self, who: str) -> None:
        """The contract itself is asked on both sides of each price."""
        position = self.instance.position(self.book, self.at, who)
        assert position is not None
        for token, price in position.liquidation_prices.items():
            feed = BASE_FEED if token == BASE else FEEDS[token]
            kept = self.model.prices[feed]
            try:
                for asked, below in ((price, True), (price + (1 if token != BASE else -1), False)):
                    if asked > 0:
                        self.model.prices[feed] = asked
                        assert self.model.would_absorb(who) is below
            finally:
                self.model.prices[feed] = kept
