"""One Curve pool in the book, and the questions that tell it.

A question that an old pool does not know reverts, which is an answer too: the new kind alone has `stored_rates`, pools
older than 2020-10 have no `A_precise`.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import function
from defiwatch.protocols.curve.stableswap import Exchanged, Rules, amp_at, exchange, get_d, prices, scaled
from defiwatch.protocols.pools import least_size
from defiwatch.protocols.spec import Table

MAX_COINS = 8
COINS = function("coins(uint256)", "address")
BALANCES = function("balances(uint256)", "uint256")
GET_BALANCES = function("get_balances()", "uint256[]")
STORED_RATES = function("stored_rates()", "uint256[]")
A = function("A()", "uint256")
A_PRECISE = function("A_precise()", "uint256")
INITIAL_A = function("initial_A()", "uint256")
FUTURE_A = function("future_A()", "uint256")
INITIAL_A_TIME = function("initial_A_time()", "uint256")
FUTURE_A_TIME = function("future_A_time()", "uint256")
FEE = function("fee()", "uint256")
ADMIN_FEE = function("admin_fee()", "uint256")
OFFPEG = function("offpeg_fee_multiplier()", "uint256")


class CurveState(msgspec.Struct, frozen=True):
    """One pool. Lists run in the pool's order of coins; () and -1 until they are known, 0 where a pool has none.

    `balances` are without the administrator's part, -1 where one is not known. `amps` are (initial A, future A, their
    times), in the pool's own precision. `stale`: balances and rates are to be read anew. `dynamic_rates`: a coin's rate
    moves without an event.
    """

    coins: tuple[Address, ...] = ()
    coins_done: bool = False
    balances: tuple[int, ...] = ()
    rates: tuple[int, ...] = ()
    ng: bool | None = None
    a_precision: int = 0
    amps: tuple[int, int, int, int] = (-1, -1, -1, -1)
    fee: int = -1
    admin_fee: int = -1
    offpeg: int = -1
    dynamic_rates: bool = False
    stale: bool = False
    read_block: int = -1
    block: int = 0
    time: int = 0
    checks: int = 0
    mismatches: int = 0


POOLS: Table[Address, CurveState] = Table("curve.pool")


def ready(state: CurveState) -> bool:
    """Whether amounts can be told."""
    whole = len(state.balances) == len(state.rates) == len(state.coins) >= 2 and min(state.balances) >= 0
    return (
        whole
        and state.a_precision > 0
        and min(state.amps) >= 0 < state.amps[1]
        and min(state.fee, state.admin_fee) >= 0
    )


def rules_at(state: CurveState, time: int) -> Rules:
    """The pool's rules at a time (Unix seconds): A may be on its way."""
    return Rules(
        amp=amp_at(*state.amps, time),
        a_precision=state.a_precision,
        fee=state.fee,
        admin_fee=state.admin_fee,
        offpeg=max(state.offpeg, 0),
        ng=state.ng is True,
    )


def quote(state: CurveState, i: int, j: int, dx: int, time: int) -> Exchanged:
    """What `dx` units of coin i pay in coin j at a time. ValueError where the contract would revert."""
    return exchange(state.balances, state.rates, rules_at(state, time), i, j, dx)


def price(state: CurveState, i: int, j: int, time: int) -> float:
    """Units of coin j for one unit of coin i, before fees, in smallest units; 0.0 where it cannot be told."""
    if not ready(state) or min(state.balances) == 0:
        return 0.0
    xp = scaled(state.balances, state.rates)
    if min(xp) == 0:
        return 0.0
    rules = rules_at(state, time)
    try:
        of_first = [10**18, *prices(xp, rules, get_d(xp, rules))]
    except (ValueError, ZeroDivisionError):  # balances so far apart that the contract's own iteration does not end
        return 0.0
    if of_first[j] == 0 or state.rates[j] == 0:
        return 0.0
    return of_first[i] / of_first[j] * state.rates[i] / state.rates[j]


def move_cost(state: CurveState, i: int, j: int, time: int, fall: float = 0.02) -> int:
    """About what must be paid of coin i so that it is worth `fall` less in coin j; 0 where no exchange does that."""
    before = price(state, i, j, time)
    if before <= 0.0:
        return 0

    def far(size: int) -> bool:
        done = quote(state, i, j, size, time)
        balances = list(state.balances)
        balances[i] += size
        balances[j] -= done.dy + done.admin
        after = msgspec.structs.replace(state, balances=tuple(balances))
        return balances[j] <= 0 or price(after, i, j, time) <= before * (1.0 - fall)

    return least_size(far, state.balances[i] // 4, 14)
