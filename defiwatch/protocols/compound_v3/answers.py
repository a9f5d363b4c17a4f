"""What is asked of a Comet, and what is made of its answers.

comet@d5a30b0 contracts/Comet.sol, CometExt.sol. Every function takes the book and the Comet's address.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, short
from defiwatch.protocols import erc20, reads
from defiwatch.protocols.abi import Call, decode, function, words
from defiwatch.protocols.compound_v3.arithmetic import Asset, Totals
from defiwatch.protocols.compound_v3.state import (
    ASSETS,
    BALANCES,
    BASICS,
    CASH,
    CURVES,
    HEALED,
    MOVED,
    NAMES,
    NUMBERS,
    OPEN,
    OPEN_BALANCES,
    PRICES,
    STORED,
    SUMS,
    WHOLE,
    Answer,
    Balance,
    Basic,
    Stored,
    put_balance,
    put_basic,
)
from defiwatch.protocols.spec import Book, K, Table

TOTALS_BASIC = function("totalsBasic()", "uint64,uint64,uint64,uint64,uint104,uint104,uint40,uint8")
USER_BASIC = function("userBasic(address)", "int104,uint64,uint64,uint16,uint8")
USER_COLLATERAL = function("userCollateral(address,address)", "uint128,uint128")
GET_ASSET_INFO = function("getAssetInfo(uint8)", "uint8,address,address,uint64,uint64,uint64,uint64,uint128")
GET_PRICE = function("getPrice(address)", "uint256")

SUSPECTS = 400
"""Accounts that are read again at once after interest was accrued in silence."""
REVIEWED = 8
"""Accounts that are read again in a block with base events, of those not read for `REVIEW_BLOCKS`."""
REVIEW_BLOCKS = 300

_PARTS = ("Base", "SlopeLow", "SlopeHigh")
_NUMBERS = {
    name: function(f"{name}()", "uint256")
    for name in (
        "baseScale",
        "numAssets",
        "storeFrontPriceFactor",
        "targetReserves",
        "baseBorrowMin",
        *(kink for kink, _ in CURVES.values()),
        *(prefix + part for _, prefix in CURVES.values() for part in _PARTS),
    )
}
_NAMES = {name: function(f"{name}()", "address") for name in ("baseToken", "baseTokenPriceFeed")}
_BY_SELECTOR = {asked.selector: name for name, asked in (*_NUMBERS.items(), *_NAMES.items())}


def wants(book: Book, at: BlockRef, comet: Address, watched: Iterable[Address]) -> Sequence[Call]:
    """The configuration once; totals, prices and cash at every block; accounts that moved (the assets known)."""
    once = [asked.call(comet) for name, asked in _NAMES.items() if book.get(NAMES, (comet, name)) is None]
    once += [asked.call(comet) for name, asked in _NUMBERS.items() if book.get(NUMBERS, (comet, name)) is None]
    once += [GET_ASSET_INFO.call(comet, i) for i in range(_count(book, comet)) if book.get(ASSETS, (comet, i)) is None]
    stored = book.get(STORED, comet)
    if stored is None or stored.block < at.number:
        once.append(TOTALS_BASIC.call(comet))
    if assets(book, comet) is not None:
        accounts = {key[1] for key, _ in book.items(OPEN) if key[0] == comet}
        accounts.update(account for account in watched if book.get(BASICS, (comet, account)) is None)
        once += [USER_BASIC.call(comet, account) for account in sorted(accounts)]
        balances = sorted(key for key, _ in book.items(OPEN_BALANCES) if key[0] == comet)
        once += [USER_COLLATERAL.call(comet, key[1], key[2]) for key in balances]
    now: dict[Call, None] = {}
    base = book.get(NAMES, (comet, "baseToken"))
    if base is not None and _older(book.get(CASH, comet), at):
        now[erc20.BALANCE_OF.call(base, comet)] = None
    for feed in _feeds(book, comet):
        if _older(book.get(PRICES, (comet, feed)), at):
            now[GET_PRICE.call(comet, feed)] = None
    return [*reads.open_calls(book, at, [*once, *erc20.token_wants(book, at)]), *now]


def _count(book: Book, comet: Address) -> int:
    return book.get(NUMBERS, (comet, "numAssets")) or 0


def assets(book: Book, comet: Address) -> tuple[Asset, ...] | None:
    """Its collateral assets in their order; None until all are known."""
    count = book.get(NUMBERS, (comet, "numAssets"))
    found = tuple(asset for i in range(count or 0) if (asset := book.get(ASSETS, (comet, i))) is not None)
    return found if count is not None and len(found) == count else None


def _feeds(book: Book, comet: Address) -> Iterator[Address]:
    base = book.get(NAMES, (comet, "baseTokenPriceFeed"))
    if base is not None:
        yield base
    for i in range(_count(book, comet)):
        asset = book.get(ASSETS, (comet, i))
        if asset is not None and asset.feed != base:
            yield asset.feed


def take(book: Book, at: BlockRef, comet: Address, call: CallResult) -> bool:
    """Take one answer; one that is older than the last event of what it tells is left aside."""
    to, kind = call.to.lower(), call.data[:10].lower()
    if to != comet:
        if kind == erc20.BALANCE_OF.selector and to == book.get(NAMES, (comet, "baseToken")):
            if erc20.BALANCE_OF.arguments(call) == (comet,):
                _keep(book, CASH, comet, at, call)
                return True
            return False
        return erc20.token_read(book, at, call)
    if kind == GET_PRICE.selector:
        (feed,) = GET_PRICE.arguments(call)
        _keep(book, PRICES, (comet, feed), at, call)
        return True
    taker = _TAKERS.get(kind)
    if taker is None and kind not in _BY_SELECTOR:
        return erc20.token_read(book, at, call)
    if reads.empty(call):
        reads.refuse(book, at, call)
        return True
    reads.accept(book, call)
    if taker is None:
        _take_constant(book, comet, _BY_SELECTOR[kind], call)
    else:
        taker(book, at, comet, call)
        settle(book, at, comet)
    return True


def _take_constant(book: Book, comet: Address, name: str, call: CallResult) -> None:
    if name in _NAMES:
        (address,) = decode(("address",), call.result or "")
        book.put(NAMES, (comet, name), address)
        if name == "baseToken":
            erc20.watch(book, address)
    else:
        (value,) = decode(("uint256",), call.result or "")
        book.put(NUMBERS, (comet, name), value)


def _take_asset(book: Book, at: BlockRef, comet: Address, call: CallResult) -> None:  # noqa: ARG001 - one shape for all
    asset = Asset(*decode(GET_ASSET_INFO.outputs, call.result or ""))
    book.put(ASSETS, (comet, asset.offset), asset)
    erc20.watch(book, asset.asset)


def _take_totals(book: Book, at: BlockRef, comet: Address, call: CallResult) -> None:
    before = book.get(STORED, comet)
    if before is not None and at.number < before.block:
        return
    supply, borrow, _, _, supplied, borrowed, time, flags = decode(TOTALS_BASIC.outputs, call.result or "")
    book.put(STORED, comet, Stored(Totals(supply, borrow, supplied, borrowed, time, flags), at.number))
    if before is not None and time > before.totals.last_accrual:
        quiet = (book.get(MOVED, comet) or -1) <= before.block
        suspect(book, at, comet, SUSPECTS if quiet else REVIEWED, 0 if quiet else REVIEW_BLOCKS)


def suspect(book: Book, at: BlockRef, comet: Address, most: int, age: int) -> None:
    """Have up to `most` accounts that can be party to a silent transfer read again, if last read `age` blocks ago.

    `transferBase` between two borrowers has no event and leaves the totals as they were: all that shows is that
    interest was accrued. With no event that did so everybody is suspect; with one, a few are looked at in turn.
    """
    holders = {key[1] for key, _ in book.items(BALANCES) if key[0] == comet}
    due = [
        (basic.read, key[1], basic)
        for key, basic in book.items(BASICS)
        if key[0] == comet
        and basic.known
        and (basic.principal < 0 or key[1] in holders)
        and basic.read < at.number
        and at.number - basic.read >= age
    ]
    for _, account, basic in heapq.nsmallest(most, due, key=lambda item: item[:2]):
        put_basic(book, comet, account, msgspec.structs.replace(basic, known=False))


def _take_basic(book: Book, at: BlockRef, comet: Address, call: CallResult) -> None:
    """A principal, with the bits of the assets that the account holds: those not known yet are read next."""
    (account,) = USER_BASIC.arguments(call)
    before = book.get(BASICS, (comet, account))
    listed = assets(book, comet)
    if listed is None or (before is not None and at.number < before.block):
        return
    principal, _, _, assets_in, reserved = decode(USER_BASIC.outputs, call.result or "")
    was = before.principal if before is not None and before.read >= 0 and before.block < at.number else principal
    if was != principal:
        book.notice("compound_v3: debt moved without an event; it was read again")
    put_basic(book, comet, account, Basic(principal, True, before.block if before else at.number, at.number))
    bits = assets_in | reserved << 16
    for asset in listed:
        key = (comet, account, asset.asset)
        balance = book.get(BALANCES, key)
        held = bool(bits >> asset.offset & 1)
        if balance is None and held:
            book.put(BALANCES, key, Balance(known=False, block=at.number))
            book.put(OPEN_BALANCES, key, True)
        elif balance is not None and not balance.known:
            if held:
                book.put(OPEN_BALANCES, key, True)
            else:
                put_balance(book, key, Balance(0))
        elif balance is not None and not held:
            book.notice(f"compound_v3: {short(account)} had lost collateral without an event; it was read again")
            put_balance(book, key, Balance(0))


def _take_balance(book: Book, at: BlockRef, comet: Address, call: CallResult) -> None:
    account, asset = USER_COLLATERAL.arguments(call)
    key = (comet, account, asset)
    before = book.get(BALANCES, key)
    if before is not None and at.number < before.block:
        return
    amount, _ = decode(USER_COLLATERAL.outputs, call.result or "")
    put_balance(book, key, Balance(amount, True, before.block if before else at.number))


_TAKERS = {
    GET_ASSET_INFO.selector: _take_asset,
    TOTALS_BASIC.selector: _take_totals,
    USER_BASIC.selector: _take_basic,
    USER_COLLATERAL.selector: _take_balance,
}


def settle(book: Book, at: BlockRef, comet: Address) -> None:
    """Hold the known debt against the Comet's total, once a block's answers are in; look for what differs.

    Every account that can be party to a move without an event is read again, once; what still differs then is somebody
    who was never known.
    """
    stored = book.get(STORED, comet)
    if stored is None or stored.block != at.number or any(key[0] == comet for key, _ in book.items(OPEN)):
        return
    _, borrowed = book.get(SUMS, comet) or (0, 0)
    if borrowed == stored.totals.borrow_base:
        if not book.get(WHOLE, comet):
            book.put(WHOLE, comet, True)
        return
    if not book.get(WHOLE, comet):
        return
    if book.get(HEALED, comet) == at.number:
        book.notice(f"compound_v3: not all debt of {short(comet)} is on the book any more")
        book.drop(WHOLE, comet)
        return
    book.put(HEALED, comet, at.number)
    suspect(book, at, comet, len(book.items(BASICS)), 0)


def forget(book: Book, comet: Address) -> None:
    """Another implementation: every constant may be another."""
    for name in _NUMBERS:
        book.drop(NUMBERS, (comet, name))
    for name in _NAMES:
        book.drop(NAMES, (comet, name))
    for key in [key for key, _ in book.items(ASSETS) if key[0] == comet]:
        book.drop(ASSETS, key)


def _older(answer: Answer | None, at: BlockRef) -> bool:
    return answer is None or answer.block < at.number


def _keep(book: Book, table: Table[K, Answer], key: K, at: BlockRef, call: CallResult) -> None:
    """Keep an answer or a refusal, unless a later one is known."""
    before = book.get(table, key)
    if before is not None and at.number < before.block:
        return
    if reads.empty(call):
        book.put(table, key, Answer(None, at.number, reads.reason(call)))
    else:
        book.put(table, key, Answer(words(call.result)[0], at.number))
