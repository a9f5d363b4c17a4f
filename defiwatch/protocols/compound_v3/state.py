"""What is known of a Comet: frozen structs, replaced whole, in tables keyed by its address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.protocols.compound_v3.arithmetic import Asset, Curve, Side, Totals, accrue
from defiwatch.protocols.spec import Book, Table


class Stored(msgspec.Struct, frozen=True):
    """`totalsBasic` as last read, and at which block."""

    totals: Totals
    block: int


class Basic(msgspec.Struct, frozen=True):
    """One account's principal. Where `known` is false its balance moved and was not read since; `block` is when."""

    principal: int = 0
    known: bool = False
    block: int = -1
    read: int = -1
    """The block at which it was read last."""


class Balance(msgspec.Struct, frozen=True):
    """One account's collateral of one asset."""

    amount: int = 0
    known: bool = True
    block: int = -1


class Answer(msgspec.Struct, frozen=True):
    """What a contract answered at a block: a value, or None and why."""

    value: int | None
    block: int
    why: str = ""


class Absorbed(msgspec.Struct, frozen=True):
    """The most valuable collateral that an absorption in progress has taken."""

    tx: str
    asset: Address
    amount: int
    usd_value: int


NUMBERS: Table[tuple[Address, str], int] = Table("compound_v3.number")
"""(Comet, name of a configuration constant) → value."""
NAMES: Table[tuple[Address, str], Address] = Table("compound_v3.name")
"""(Comet, baseToken or baseTokenPriceFeed) → address."""
ASSETS: Table[tuple[Address, int], Asset] = Table("compound_v3.asset")
STORED: Table[Address, Stored] = Table("compound_v3.totals")
BASICS: Table[tuple[Address, Address], Basic] = Table("compound_v3.basic")
BALANCES: Table[tuple[Address, Address, Address], Balance] = Table("compound_v3.balance")
"""(Comet, account, asset) → collateral. Absent: nothing, if the account is known."""
OPEN: Table[tuple[Address, Address], bool] = Table("compound_v3.open")
"""Accounts whose principal must be read."""
OPEN_BALANCES: Table[tuple[Address, Address, Address], bool] = Table("compound_v3.open_balance")
PRICES: Table[tuple[Address, Address], Answer] = Table("compound_v3.price")
"""(Comet, feed) → price in 1e-8."""
CASH: Table[Address, Answer] = Table("compound_v3.cash")
"""Comet → its balance of the base token."""
SUMS: Table[Address, tuple[int, int]] = Table("compound_v3.sums")
"""Comet → the sums of the positive and of the negative principals that are known."""
WHOLE: Table[Address, bool] = Table("compound_v3.whole")
"""Comet → whether all of its debt was on the book once."""
HEALED: Table[Address, int] = Table("compound_v3.healed")
"""Comet → the block at which a difference was last looked for."""
MOVED: Table[Address, int] = Table("compound_v3.moved")
"""Comet → the block of its last event that moved base."""
ABSORBING: Table[tuple[Address, Address], Absorbed] = Table("compound_v3.absorbing")

CURVES = {
    "supply": ("supplyKink", "supplyPerSecondInterestRate"),
    "borrow": ("borrowKink", "borrowPerSecondInterestRate"),
}


def put_basic(book: Book, comet: Address, account: Address, basic: Basic) -> None:
    """Set an account's principal and keep the sums of what is known."""
    before = book.get(BASICS, (comet, account))
    book.put(BASICS, (comet, account), basic)
    was = before.principal if before is not None and before.known else 0
    now = basic.principal if basic.known else 0
    if was != now:
        supplied, borrowed = book.get(SUMS, comet) or (0, 0)
        supplied += max(now, 0) - max(was, 0)
        borrowed += max(-now, 0) - max(-was, 0)
        book.put(SUMS, comet, (supplied, borrowed))
    if not basic.known:
        book.put(OPEN, (comet, account), True)
    elif book.get(OPEN, (comet, account)):
        book.drop(OPEN, (comet, account))


def put_balance(book: Book, key: tuple[Address, Address, Address], balance: Balance) -> None:
    """Set a collateral balance; one that is not known is wanted, one of nothing is not kept."""
    if balance.known and balance.amount == 0:
        book.drop(BALANCES, key)
    else:
        book.put(BALANCES, key, balance)
    if book.get(OPEN_BALANCES, key) and balance.known:
        book.drop(OPEN_BALANCES, key)


def curve(book: Book, comet: Address, side: str) -> Curve | None:
    """The rate curve of one side ("supply", "borrow"); None until all of it was read."""
    kink, prefix = CURVES[side]
    values = [book.get(NUMBERS, (comet, name)) for name in (kink, *(prefix + part for part in _PARTS))]
    known = [value for value in values if value is not None]
    return Curve(*known) if len(known) == len(values) else None


_PARTS = ("Base", "SlopeLow", "SlopeHigh")


class Scene(msgspec.Struct, frozen=True):
    """A Comet at one moment: totals stored and accrued, assets with their last prices. `missing`: what is not known."""

    stored: Totals
    accrued: Totals
    base: Address
    base_scale: int
    base_price: int | None
    base_why: str
    assets: tuple[Asset, ...]
    prices: tuple[int | None, ...]
    whys: tuple[str, ...]
    missing: str


_NOTHING = Totals(0, 0, 0, 0, 0)


def assets(book: Book, comet: Address) -> tuple[Asset, ...]:
    """Its collateral assets, as far as they were read, in the Comet's order."""
    count = book.get(NUMBERS, (comet, "numAssets")) or 0
    return tuple(asset for i in range(count) if (asset := book.get(ASSETS, (comet, i))) is not None)


def scene(book: Book, comet: Address, time: int) -> Scene:
    """The Comet at `time` (Unix seconds), by what was read last."""
    stored = book.get(STORED, comet)
    supply, borrow = curve(book, comet, "supply"), curve(book, comet, "borrow")
    base, feed = book.get(NAMES, (comet, "baseToken")), book.get(NAMES, (comet, "baseTokenPriceFeed"))
    scale, count = book.get(NUMBERS, (comet, "baseScale")), book.get(NUMBERS, (comet, "numAssets"))
    listed = assets(book, comet)
    missing = ""
    if None in (supply, borrow, base, feed, scale, count) or len(listed) != count:
        missing = "its configuration was not read yet"
    elif stored is None:
        missing = "its totals were not read yet"
    totals = stored.totals if stored is not None else _NOTHING
    accrued = accrue(totals, supply, borrow, time) if supply and borrow and stored is not None else totals
    base_price, base_why = _price(book, comet, feed or "")
    told = [_price(book, comet, asset.feed) for asset in listed]
    return Scene(
        stored=totals,
        accrued=accrued,
        base=base or "",
        base_scale=scale or 1,
        base_price=base_price,
        base_why=base_why,
        assets=listed,
        prices=tuple(price for price, _ in told),
        whys=tuple(why for _, why in told),
        missing=missing,
    )


def _price(book: Book, comet: Address, feed: Address) -> tuple[int | None, str]:
    answer = book.get(PRICES, (comet, feed))
    if answer is None:
        return None, "was not read yet"
    return answer.value, "" if answer.value is not None else f"reverts: {answer.why}"


def sides(book: Book, comet: Address, account: Address, it: Scene) -> tuple[Side, ...]:
    """An account's collateral in the order of the Comet's assets; balances that are not known count nothing."""
    found: list[Side] = []
    for asset, price in zip(it.assets, it.prices, strict=True):
        balance = book.get(BALANCES, (comet, account, asset.asset))
        if balance is not None and balance.known and balance.amount:
            found.append(Side(asset, balance.amount, price))
    return tuple(found)


def unread(book: Book, comet: Address, account: Address, assets: Sequence[Asset]) -> Iterator[Asset]:
    """The assets of which an account's balance is not known."""
    for asset in assets:
        balance = book.get(BALANCES, (comet, account, asset.asset))
        if balance is not None and not balance.known:
            yield asset
