"""A small Aave v3 market on a book, put there directly: three reserves, no reads needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.aave_v3 import state as s
from defiwatch.state.journal import JournaledBook

PROVIDER, POOL, CONFIGURATOR, ORACLE = (f"0x{digit * 40}" for digit in "1234")
ETH, USD, PT = (f"0x{digit * 40}" for digit in "bce")
ALICE, BOB, CAROL = (f"0x{digit * 40}" for digit in "789")
SYMBOLS = {ETH: "ETH", USD: "USD", PT: "PT"}
PRICES = {ETH: 2_000 * 10**8, USD: 10**8, PT: 95_000_000}
ALL = s.DATA | s.SUPPLIED | s.BORROWED | s.STABLE | s.DEFICIT | s.CASH | s.GRACE | s.SYMBOL | s.SOURCE
START = 1_700_000_000
E = TypeVar("E", bound=Event)


def word(ltv: int, threshold: int, bonus: int, *, fee: int = 0, factor: int = 1000, category: int = 0) -> int:
    """A configuration word: 18 decimals, active, borrowing, with virtual accounting."""
    low = ltv | threshold << 16 | bonus << 32 | 18 << 48 | 1 << 56 | 1 << 58
    return low | factor << 64 | fee << 152 | category << 168 | 1 << 252


def a_token(asset: str) -> str:
    return "0xa" + asset[3:]


def debt_token(asset: str) -> str:
    return "0xd" + asset[3:]


def stable_token(asset: str) -> str:
    return "0x5" + asset[3:]


def made(kind: type[E], address: str, tx: str = "0xt1", **fields: Any) -> E:
    """An event as if decoded from a log of `address`."""
    return kind(address=address, tx=tx, log_index=0, **fields)


class Market:
    """The market of one revision. `apply` feeds events; `block` goes on."""

    def __init__(self, revision: int, words: dict[str, int] | None = None, *, born: bool = True) -> None:
        self.instance = AaveV3(1, Deployment(chain="x", protocol="aave_v3", address=PROVIDER))
        self.book = JournaledBook(1)
        self.at = BlockRef(1, 1, "0x01", START)
        self.book.open(self.at)
        words = words or {ETH: word(8000, 8250, 10500), USD: word(7700, 8000, 10450), PT: word(0, 0, 0)}
        tokens = tuple(sorted(make(asset) for asset in words for make in (a_token, debt_token, stable_token)))
        self.book.put(
            s.MARKETS,
            PROVIDER,
            s.Market(POOL, CONFIGURATOR, ORACLE, revision=revision, assets=tuple(sorted(words)), tokens=tokens,
                     born=born, probed=255, have=255),
        )  # fmt: skip
        for place, (asset, value) in enumerate(words.items()):
            reserve = s.Reserve(
                asset,
                *(a_token(asset), debt_token(asset), stable_token(asset)),
                id=place,
                symbol=SYMBOLS[asset],
                configuration=value,
                updated=START,
                cash=10**24,
                have=ALL,
            )
            self.book.put(s.RESERVES, (PROVIDER, asset), reserve)
            self.book.put(s.PRICES, (PROVIDER, asset), s.Price(PRICES[asset], 1))
            for kind, make in ((s.SUPPLY, a_token), (s.VARIABLE, debt_token), (s.FIXED, stable_token)):
                self.book.put(s.TOKENS, (PROVIDER, make(asset)), s.Token(asset, kind))

    def block(self, seconds: int = 12) -> None:
        number = self.at.number + 1
        self.at = BlockRef(1, number, f"0x{number:02x}", self.at.time + seconds, self.at.hash)
        self.book.open(self.at)
        list(self.instance.on_block(self.book, self.at))

    def apply(self, *events: Event) -> list[Fact]:
        facts: list[Fact] = []
        for event in events:
            facts += self.instance.on_event(self.book, self.at, event)
        return facts

    def reserve(self, asset: str) -> s.Reserve:
        found = self.book.get(s.RESERVES, (PROVIDER, asset))
        assert found is not None
        return found

    def set_reserve(self, reserve: s.Reserve) -> None:
        self.book.put(s.RESERVES, (PROVIDER, reserve.asset), reserve)

    def account(self, address: str) -> s.Account:
        return self.book.get(s.ACCOUNTS, (PROVIDER, address)) or s.Account()

    def hold(
        self,
        address: str,
        holdings: Iterable[s.Holding],
        *,
        collateral: Iterable[int] = (),
        emode: int = 0,
    ) -> None:
        """Give an account its holdings. Indices are 1, so that scaled balances are balances."""
        bits = sum(1 << place for place in collateral)
        self.book.put(s.ACCOUNTS, (PROVIDER, address), s.Account(tuple(holdings), bits, emode))

    def category(self, number: int, category: s.Category) -> None:
        self.book.put(s.CATEGORIES, (PROVIDER, number), category)
        market = self.book.get(s.MARKETS, PROVIDER)
        assert market is not None
        self.instance.ledger(self.book, self.at).list_category(number)
