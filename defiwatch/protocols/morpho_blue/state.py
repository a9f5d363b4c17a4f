"""What is known of a Morpho Blue deployment: frozen structs, replaced whole, in tables keyed by its address.

morpho-blue@3085651 src/interfaces/IMorpho.sol. Assets in token units, prices and factors as in `shares`.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.keccak import keccak
from defiwatch.protocols.abi import encode
from defiwatch.protocols.morpho_blue.events import Params
from defiwatch.protocols.morpho_blue.shares import Totals, accrue
from defiwatch.protocols.spec import Book, Table

PARAMS = "(address,address,address,address,uint256)"


class Market(msgspec.Struct, frozen=True):
    """One market. `have_*` say what is known; `born` that its creation was seen: accounts without events have nothing.

    `block` and `log_index` are those of the last event applied: a log that comes twice counts once.
    """

    loan: Address = ""
    collateral: Address = ""
    oracle: Address = ""
    irm: Address = ZERO_ADDRESS
    lltv: int = 0
    totals: Totals = Totals()
    known_shares: int = 0
    """Sum of the borrow shares of the accounts that are known; equal to the total's when the book is whole."""
    bad_debt: int = 0
    """Loan units written off by liquidations that were seen."""
    have_params: bool = False
    have_totals: bool = False
    born: bool = False
    block: int = -1
    log_index: int = -1

    @property
    def params(self) -> Params:
        """As the contract takes them."""
        return (self.loan, self.collateral, self.oracle, self.irm, self.lltv)


class Holding(msgspec.Struct, frozen=True):
    """One account in one market. Where `known` is false only `block`, that of its last event, counts."""

    supply_shares: int = 0
    borrow_shares: int = 0
    collateral: int = 0
    known: bool = True
    block: int = -1


class Answer(msgspec.Struct, frozen=True):
    """What a contract answered at a block: a value, or None and why."""

    value: int | None
    block: int
    why: str = ""


MARKETS: Table[tuple[Address, str], Market] = Table("morpho_blue.market")
"""(Morpho, market id) → market."""
HOLDINGS: Table[tuple[Address, str, Address], Holding] = Table("morpho_blue.holding")
"""(Morpho, market id, account) → holding."""
OPEN: Table[tuple[Address, str, Address], bool] = Table("morpho_blue.open")
"""Holdings whose start is not known yet."""
PRICES: Table[Address, Answer] = Table("morpho_blue.price")
"""oracle → its last answer."""
RATES: Table[tuple[Address, str], Answer] = Table("morpho_blue.rate")
"""(Morpho, market id) → the rate model's last answer, wad a second."""
TARGETS: Table[tuple[Address, str], Answer] = Table("morpho_blue.rate_at_target")
"""(Morpho, market id) → the adaptive rate model's rate at its target as of the market's last update, wad a second."""
RECIPIENT: Table[Address, Address] = Table("morpho_blue.recipient")
"""Morpho → who gets the fee shares, where an event told it."""


def market_id(params: Params) -> str:
    """keccak256(abi.encode(params)): MarketParamsLib.sol."""
    return "0x" + keccak(bytes.fromhex(encode([PARAMS], [params]))).hex()


def put_holding(book: Book, key: tuple[Address, str, Address], holding: Holding) -> None:
    """Set a holding and keep the market's sum of known borrow shares."""
    before = book.get(HOLDINGS, key)
    book.put(HOLDINGS, key, holding)
    was = before.borrow_shares if before is not None and before.known else 0
    now = holding.borrow_shares if holding.known else 0
    market = book.get(MARKETS, key[:2])
    if market is not None and was != now:
        book.put(MARKETS, key[:2], msgspec.structs.replace(market, known_shares=market.known_shares + now - was))
    if not holding.known:
        book.put(OPEN, key, True)
    elif book.get(OPEN, key):
        book.drop(OPEN, key)


class Scene(msgspec.Struct, frozen=True):
    """A market at one moment: totals with interest up to then, and the last price."""

    market: Market
    totals: Totals
    price: int
    missing: str
    """Why health cannot be told; "" if it can."""
    rate: int = 0
    """The borrow rate last read, wad a second."""


def scene(book: Book, key: tuple[Address, str], market: Market, time: int) -> Scene:
    """The market `key` at `time` (Unix seconds), by the rate and the price last read."""
    if not market.have_params:
        return Scene(market, market.totals, 0, "the market was not read yet")
    if not market.have_totals:
        return Scene(market, market.totals, 0, "the market's totals were not read yet")
    totals, missing = market.totals, ""
    rate = book.get(RATES, key)
    if market.irm != ZERO_ADDRESS and totals.last_update < time and totals.borrow_assets:
        if rate is None:
            missing = "the borrow rate was not read yet"
        elif rate.value is None:
            missing = f"the rate model reverts: {rate.why}"
        else:
            totals = accrue(totals, rate.value, time)
    answer = book.get(PRICES, market.oracle)
    if answer is None:
        missing = missing or "the price was not read yet"
    elif answer.value is None:
        missing = missing or f"the price reverts: {answer.why}"
    price = 0 if answer is None or answer.value is None else answer.value
    return Scene(market, totals, price, missing, 0 if rate is None or rate.value is None else rate.value)
