"""What is read, in which order, and what answers mean: a contract of our own that answers like a pool."""

from __future__ import annotations

from typing import Any

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.units import RAY
from defiwatch.errors import ReadError
from defiwatch.protocols.aave_v3 import AaveV3, views
from defiwatch.protocols.aave_v3 import state as s
from defiwatch.protocols.aave_v3.answers import reason
from defiwatch.protocols.aave_v3.events import TRANSFER_TOPIC
from defiwatch.protocols.abi import Call, Function, encode
from defiwatch.state.journal import JournaledBook
from tests.unit.protocols.aave_v3_market import (
    ALICE,
    BOB,
    CONFIGURATOR,
    ETH,
    ORACLE,
    POOL,
    PROVIDER,
    START,
    USD,
    a_token,
    debt_token,
    stable_token,
    word,
)

TOKEN = 10**18
ZERO = "0x" + "0" * 40


class Pool:
    """Answers calls as a pool of `revision` with two reserves does. `broken` calls revert."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.asked: list[str] = []
        self.broken: set[str] = set()
        self.categories = {1: (9300, 9500, 10100), 2: (9000, 9200, 10300)}
        self.held: dict[tuple[str, str], int] = {}
        self.words: dict[str, int] = {}
        self.words_of: dict[str, int] = {}
        self.strategy = ZERO
        self.rates = (80 * RAY // 100, RAY // 100, 4 * RAY // 100, 60 * RAY // 100)
        self.supply = dict.fromkeys((make(asset) for asset in (ETH, USD) for make in (a_token, debt_token)), 0)

    def answer(self, call: Call) -> CallResult:
        name, result = self._result(call)
        self.asked.append(name)
        if name in self.broken:
            return CallResult(call.to, call.data, error={"code": 3, "message": "execution reverted", "data": "0x"})
        return CallResult(call.to, call.data, result="0x" + result)

    def _result(self, call: Call) -> tuple[str, str]:
        known: list[Function] = [value for value in vars(views).values() if isinstance(value, Function)]
        asked = next(one for one in known if one.selector == call.data[:10])
        name = asked.signature.partition("(")[0]
        arguments = asked.arguments(CallResult(call.to, call.data))
        first: Any = arguments[0] if arguments else None
        plain: dict[str, Any] = {
            "getPool": POOL,
            "getPoolConfigurator": CONFIGURATOR,
            "getPriceOracle": ORACLE,
            "getPriceOracleSentinel": ZERO,
            "POOL_REVISION": self.revision,
            "getReservesList": (ETH, USD),
            "FLASHLOAN_PREMIUM_TO_PROTOCOL": 4,
            "getReserveDeficit": 5,
            "getVirtualUnderlyingBalance": 6,
            "getLiquidationGracePeriod": 7,
            "getUserConfiguration": self.words.get(str(first), 0),
            "getUserEMode": 1 if first == ALICE else 0,
            "getEModeCategoryLabel": "a category",
            "getEModeCategoryCollateralBitmap": 3,
            "getEModeCategoryBorrowableBitmap": 1,
            "getEModeCategoryLtvzeroBitmap": 0,
            "getIsEModeCategoryIsolated": False,
            "balanceOf": 8,
            "scaledTotalSupply": self.supply.get(call.to, 0),
            "scaledBalanceOf": self.held.get((call.to, str(first)), 0),
            "principalBalanceOf": self.held.get((call.to, str(first)), 0),
            "getUserStableRate": 10**26,
            "getUserLastUpdated": START,
            "getAssetPrice": 2_000 * 10**8 if first == ETH else 10**8,
            "getSourceOfAsset": BOB,
            "BASE_CURRENCY_UNIT": 10**8,
            "OPTIMAL_USAGE_RATIO": self.rates[0],
            "getBaseVariableBorrowRate": self.rates[1],
            "getVariableRateSlope1": self.rates[2],
            "getVariableRateSlope2": self.rates[3],
        }
        if name == "getInterestRateData":
            return name, encode(asked.outputs, self.rates)
        if name == "symbol":
            return name, encode(["string"], ["ETH" if call.to == ETH else "US[D"])
        if name == "getSupplyData":
            return name, encode(["uint256"] * 4, [100, 100, 10**26, START])
        if name == "getReserveData":
            return name, self._reserve(str(first))
        if name == "getEModeCategoryData":
            return name, encode([asked.outputs[0]], [(*self.categories.get(first, (0, 0, 0)), ZERO, "old")])
        if name == "getEModeCategoryCollateralConfig":
            return name, encode(asked.outputs, self.categories.get(first, (0, 0, 0)))
        if name == "getEModeCategoryLabel" and first not in self.categories:
            return name, encode(["string"], [""])
        if name.startswith(("getEMode", "getIsEMode")) and first not in self.categories:
            return name, encode(asked.outputs, [0])
        return name, encode(asked.outputs, [plain[name]])

    def _reserve(self, asset: str) -> str:
        category = 1 if asset == ETH and self.revision < 5 else 0
        stable = stable_token(asset) if self.revision < 5 else ZERO
        flags = word(8000, 8250, 10500, category=category) | self.words_of.get(asset, 0)
        values = [flags, RAY, 0, RAY, 0, 0, START, int(asset == USD)]
        values += [int(token, 16) for token in (a_token(asset), stable, debt_token(asset), self.strategy)]
        return "".join(f"{value:064x}" for value in (*values, 0, 0, 0))


class Live:
    """An instance, a book and a pool; `settle` answers until nothing is wanted."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.instance = AaveV3(1, Deployment(chain="x", protocol="aave_v3", address=PROVIDER, from_block=99))
        self.book = JournaledBook(1)
        self.at = BlockRef(1, 0, "0x0", START)
        self.block()

    def block(self) -> None:
        self.at = BlockRef(1, self.at.number + 1, f"0x{self.at.number + 1:x}", self.at.time + 12)
        self.book.open(self.at)
        list(self.instance.on_block(self.book, self.at))

    def take(self, call: Call) -> bool:
        return self.instance.on_read(self.book, self.at, self.pool.answer(call))

    def settle(self) -> list[int]:
        """The number of calls of each round."""
        rounds: list[int] = []
        for _ in range(10):
            calls = self.instance.wants(self.book, self.at)
            if not calls:
                return rounds
            assert len(set(calls)) == len(calls)
            rounds.append(len(calls))
            for call in calls:
                assert self.take(call)
        raise AssertionError(f"still wanted: {[call.data[:10] for call in calls]}")


@pytest.mark.parametrize("revision", range(1, 12))
def test_a_start_ends(revision: int) -> None:
    live = Live(Pool(revision))
    rounds = live.settle()
    assert rounds[0] == 4
    assert len(rounds) <= 6
    market = live.instance.market(live.book)
    assert (market.pool, market.oracle, market.revision, market.base_unit) == (POOL, ORACLE, revision, 10**8)
    first, second = live.instance.reserves(live.book)
    assert (first.id, first.symbol, second.id, second.symbol) == (0, "ETH", 1, "US(D")
    assert (first.source, first.cash) == (BOB, 8 if revision < 4 else 6)
    assert (first.deficit, first.grace_until) == (5 if revision >= 7 else 0, 7 if revision >= 4 else 0)
    names = set(live.pool.asked)
    assert ("getEModeCategoryData" in names) is (revision < 5)
    assert ("getEModeCategoryCollateralBitmap" in names) is (revision >= 5)
    assert ("getEModeCategoryLtvzeroBitmap" in names) is (revision >= 10)
    assert ("getIsEModeCategoryIsolated" in names) is (revision == 11)
    assert ("getSupplyData" in names) is (revision < 5)
    assert market.categories == ((1,) if revision < 5 else (1, 2))
    assert live.book.notices == {}
    live.block()
    # Where nobody has anything no price is needed; up to 3.1 somebody has stable debt here.
    assert len(live.instance.wants(live.book, live.at)) == (2 if revision < 5 else 0)


def test_prices_are_wanted_at_every_block_one_by_one() -> None:
    pool = Pool(11)
    pool.supply[a_token(ETH)] = pool.supply[debt_token(USD)] = TOKEN
    live = Live(pool)
    live.settle()
    live.block()
    prices = [views.ASSET_PRICE.call(ORACLE, ETH), views.ASSET_PRICE.call(ORACLE, USD)]
    assert live.instance.wants(live.book, live.at) == prices
    failed = CallResult(ORACLE, prices[0].data, error={"data": "0x08c379a0" + encode(["string"], ["feed down"])})
    assert live.instance.on_read(live.book, live.at, failed)
    assert live.instance.wants(live.book, live.at) == prices[1:]  # an error is an answer
    assert live.book.get(s.PRICES, (PROVIDER, ETH)) == s.Price(None, live.at.number, "feed down")
    live.take(prices[1])
    assert live.instance.wants(live.book, live.at) == []
    live.block()
    assert live.instance.wants(live.book, live.at) == prices


def test_refusals_are_asked_again_a_block_later() -> None:
    pool = Pool(11)
    pool.broken = {"getReserveData"}
    live = Live(pool)
    live.settle()
    assert list(live.instance.positions(live.book, live.at)) == []
    live.block()
    pool.broken = set()
    assert {call.data[:10] for call in live.instance.wants(live.book, live.at)} == {views.RESERVE_DATA.selector}
    live.settle()
    assert [reserve.id for reserve in live.instance.reserves(live.book)] == [0, 1]


def test_what_a_fork_may_lack_is_asked_once() -> None:
    pool = Pool(11)
    pool.broken = {
        *("symbol", "getReserveDeficit", "getVirtualUnderlyingBalance", "getLiquidationGracePeriod"),
        *("getSourceOfAsset", "getPriceOracleSentinel", "BASE_CURRENCY_UNIT"),
    }
    live = Live(pool)
    live.settle()
    live.block()
    assert live.instance.wants(live.book, live.at) == []
    first, _ = live.instance.reserves(live.book)
    assert (first.symbol, first.deficit, first.cash) == ("", 0, 0)


@pytest.mark.parametrize("revision", [12, 99, 0])
def test_an_unknown_revision_is_said_once_and_read_as_the_newest(revision: int) -> None:
    live = Live(Pool(revision))
    if revision:
        live.settle()
    else:
        for call in (views.GET_POOL.call(PROVIDER), views.POOL_REVISION.call(POOL)):
            live.take(call)
    assert live.book.notices == {
        f"aave_v3 pool {POOL}: revision {revision} is not known; the rules of 11 (3.7) are used": 1
    }
    assert live.instance.ledger(live.book, live.at).form.name == "3.7"


def scan_logs(*pairs: tuple[str, str]) -> list[RawLog]:
    return [
        RawLog(token, (TRANSFER_TOPIC, "0x" + "0" * 64, "0x" + account[2:].rjust(64, "0")), "0x" + "0" * 64)
        for token, account in pairs
    ]


def test_a_scan_finds_accounts_and_ends_when_all_is_known() -> None:
    pool = Pool(11)
    pool.supply |= {a_token(ETH): 10, debt_token(USD): 7}
    pool.held = {(a_token(ETH), ALICE): 6, (a_token(ETH), BOB): 4, (debt_token(USD), ALICE): 7}
    pool.words = {ALICE: 0b0110, BOB: 0b0000}
    live = Live(pool)
    live.settle()
    debt, supply = live.instance.scans(live.book)
    assert (debt.addresses, supply.addresses, debt.from_block) == ((debt_token(USD),), (a_token(ETH),), 99)
    assert debt.topics == ((TRANSFER_TOPIC,),)
    digest = live.book.digest()
    calls = live.instance.on_scan(live.book, debt, scan_logs((debt_token(USD), ALICE), (debt_token(USD), ZERO)))
    assert live.book.digest() == digest  # a scan writes nothing
    assert [call.data[:10] for call in calls] == [
        views.SCALED_BALANCE.selector,
        views.USER_CONFIGURATION.selector,
        views.USER_EMODE.selector,
    ]
    for call in calls:
        live.take(call)
    live.settle()  # her collateral, which the scan of debt tokens did not name
    alice = live.book.get(s.ACCOUNTS, (PROVIDER, ALICE))
    assert alice is not None
    assert (alice.holdings, alice.collateral, alice.emode) == (
        (s.Holding(0, supplied=6), s.Holding(1, borrowed=7)),
        1,
        1,
    )
    assert [scan.key for scan in live.instance.scans(live.book)] == [supply.key]
    assert live.instance.completeness(live.book)[a_token(ETH)] == (6, 10)
    logs = scan_logs((a_token(ETH), ALICE), (a_token(ETH), BOB), (a_token(ETH), CAROL_GONE))
    for call in live.instance.on_scan(live.book, supply, logs):
        live.take(call)
    assert live.instance.scans(live.book) == []
    assert live.instance.wants(live.book, live.at) == []
    assert live.book.get(s.ACCOUNTS, (PROVIDER, CAROL_GONE)) is None  # who has nothing left is not kept
    assert [position.unknown for position in live.instance.positions(live.book, live.at)] == ["", ""]


CAROL_GONE = "0x" + "9" * 40


def test_a_total_that_differs_opens_the_scan_again() -> None:
    pool = Pool(11)
    live = Live(pool)
    live.settle()
    assert live.instance.scans(live.book) == []
    assert len(live.instance.checks(live.book, live.at)) == 4
    pool.supply[a_token(ETH)] = 5
    for call in live.instance.checks(live.book, live.at):
        live.take(call)
    (again,) = live.instance.scans(live.book)
    assert again.addresses == (a_token(ETH),)
    (notice,) = live.book.notices
    assert "the supply of ETH differs from its contract's" in notice


def test_stable_debt_of_an_account() -> None:
    pool = Pool(2)
    pool.supply[debt_token(USD)] = 0
    pool.held = {(stable_token(USD), ALICE): 100}
    pool.words = {ALICE: 0b0100}
    live = Live(pool)
    live.settle()
    (debt,) = live.instance.scans(live.book)
    assert set(debt.addresses) == {stable_token(ETH), stable_token(USD)}
    for call in live.instance.on_scan(live.book, debt, scan_logs((stable_token(USD), ALICE))):
        live.take(call)
    live.settle()
    account = live.book.get(s.ACCOUNTS, (PROVIDER, ALICE))
    assert account is not None
    assert account.holdings == (s.Holding(1, stable=100, stable_rate=10**26, stable_updated=START),)
    assert [scan.addresses for scan in live.instance.scans(live.book)] == [(stable_token(ETH),)]


def test_answers_of_older_blocks_come_too_late() -> None:
    live = Live(Pool(11))
    live.settle()
    older = live.at
    live.block()
    late = live.pool.answer(views.ASSET_PRICE.call(ORACLE, ETH))
    assert not live.instance.on_read(live.book, older, late)
    assert live.instance.on_read(live.book, live.at, late)


def test_what_is_not_ours_is_left() -> None:
    live = Live(Pool(11))
    live.settle()
    digest = live.book.digest()
    for call in (Call(BOB, views.GET_POOL.selector), Call(POOL, "0x12345678"), Call(a_token(ETH), "0x313ce567")):
        assert not live.instance.on_read(live.book, live.at, CallResult(call.to, call.data, result="0x" + "0" * 64))
    assert live.book.digest() == digest


def test_a_malformed_answer() -> None:
    live = Live(Pool(11))
    live.settle()
    call = views.RESERVE_DATA.call(POOL, ETH)
    with pytest.raises(ReadError):
        live.instance.on_read(live.book, live.at, CallResult(call.to, call.data, result="0x" + "0" * 64))
    with pytest.raises(ReadError):
        live.instance.on_read(
            live.book, live.at, CallResult(ORACLE, views.ASSET_PRICE.selector, result="0x" + "0" * 64)
        )


def test_symbols_of_old_tokens() -> None:
    live = Live(Pool(11))
    live.settle()
    old = "0x" + b"MKR".hex().ljust(64, "0")
    assert live.instance.on_read(live.book, live.at, CallResult(ETH, views.TOKEN_SYMBOL.selector, result=old))
    assert live.instance.reserves(live.book)[0].symbol == "MKR"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"code": 3, "data": "0x"}, "0x"),
        ({"code": 3, "data": {"data": "0x930bb771"}}, "0x930bb771"),
        ("0x08c379a0" + encode(["string"], ["feed [red]down"]), "feed (red)down"),
        ("0x08c379a0" + "f" * 64, "0x08c379a0"),
        ({"code": 3, "message": "reverted"}, "0x"),
        (None, "0x"),
    ],
)
def test_reasons(error: Any, told: str) -> None:
    assert reason(CallResult(ORACLE, "0x", error=error)) == told


def test_an_upgrade_is_read_again() -> None:
    """3.1 to 3.2: categories become bitmaps that no event told."""
    pool = Pool(4)
    live = Live(pool)
    live.settle()
    market = live.instance.market(live.book)
    assert (market.revision, market.categories) == (4, (1,))
    category = live.book.get(s.CATEGORIES, (PROVIDER, 1))
    assert category is not None and category.collateral == 0
    pool.revision = 5
    live.block()
    live.take(views.POOL_REVISION.call(POOL))
    live.settle()
    category = live.book.get(s.CATEGORIES, (PROVIDER, 1))
    assert category is not None and category.collateral == 3
    assert live.instance.market(live.book).categories == (1, 2)
