"""One Balancer v2 pool in the book: its balances, and what its mathematics needs; its amounts, to the unit.

balancer-v2-monorepo@06f3ee7 pkg/pool-utils/contracts/BasePool.sol, BaseMinimalSwapInfoPool.sol:40-117,
BaseGeneralPool.sol; pkg/pool-stable/contracts/ComposableStablePool.sol.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.ids import Address, Hash
from defiwatch.protocols.abi import function
from defiwatch.protocols.balancer_v2 import stable, weighted
from defiwatch.protocols.balancer_v2.events import BalancerSwap
from defiwatch.protocols.balancer_v2.fixed import ONE, complement, div_down, div_up, mul_down, mul_up
from defiwatch.protocols.pools import least_size
from defiwatch.protocols.spec import Table

POOL_TOKENS = function("getPoolTokens(bytes32)", "address[],uint256[],uint256")
SWAP_FEE = function("getSwapFeePercentage()", "uint256")
WEIGHTS = function("getNormalizedWeights()", "uint256[]")
AMP = function("getAmplificationParameter()", "uint256,bool,uint256")
SCALING = function("getScalingFactors()", "uint256[]")
PROVIDERS = function("getRateProviders()", "address[]")
RATE_CACHE = function("getTokenRateCache(address)", "uint256,uint256,uint256,uint256")
PRICE_CACHE = function("getPriceRateCache(address)", "uint256,uint256,uint256")
RATE = function("getRate()", "uint256")


ACTUAL_SUPPLY = function("getActualSupply()", "uint256")
"""All shares, with what the protocol is due in fees and without those that the pool holds of itself."""
VIRTUAL_SUPPLY = function("getVirtualSupply()", "uint256")
"""The same in older pools, without what is due."""


class RateCache(msgspec.Struct, frozen=True):
    """A token's rate in a stable pool: who tells it, and until when the pool takes what it was told last.

    `provider`: "" where the token has none. `duration` in seconds and `expires` in Unix seconds: -1 until they are
    known. `factor` takes the place of the pool's own scaling once the time is over: before a swap the pool asks its
    provider anew; 0 while the pool's own holds. `time`: when the provider was read last.
    """

    provider: Address = ""
    duration: int = -1
    expires: int = -1
    factor: int = 0
    time: int = 0


class BalancerState(msgspec.Struct, frozen=True):
    """One pool. Lists run in the vault's order of tokens; () and -1 until they are known.

    `weights` and `amp` (A·n^(n-1) times 1000) tell its kind: exactly one of them is there, the other was refused.
    `scaling` takes units to 18 decimals times the token's rate, as the pool tells it; what a swap takes is `factors`.
    `amp_moves`: A changes with time. `shortcuts`: whether the pool multiplies out whole powers (None: no swap has told
    yet). `read_block`: the last read of what no event tells; `stale`: another is needed. `caches`: one for each token.
    """

    tokens: tuple[Address, ...] = ()
    balances: tuple[int, ...] = ()
    fee: int = -1
    weights: tuple[int, ...] = ()
    amp: int = -1
    amp_moves: bool = False
    scaling: tuple[int, ...] = ()
    shortcuts: bool | None = None
    read_block: int = -1
    stale: bool = False
    block: int = 0
    time: int = 0
    checks: int = 0
    mismatches: int = 0
    caches: tuple[RateCache, ...] = ()


POOLS: Table[Hash, BalancerState] = Table("balancer_v2.pool")


def address_of(pool: Hash) -> Address:
    """The pool's contract: the first 20 bytes of its id (vault/PoolRegistry.sol:70-85)."""
    return pool[:42]


def ready(state: BalancerState) -> bool:
    """Whether amounts can be told."""
    kind = bool(state.weights) or state.amp >= 0
    return bool(state.balances) and state.fee >= 0 and len(state.scaling) == len(state.tokens) and kind


def factors(state: BalancerState) -> tuple[int, ...]:
    """What a swap takes units to 18 decimals with: `scaling`, and the provider's rate where a cache has expired."""
    if len(state.caches) != len(state.scaling) or not any(cache.factor for cache in state.caches):
        return state.scaling
    return tuple(cache.factor or own for own, cache in zip(state.scaling, state.caches, strict=True))


def upscaled(state: BalancerState, pool: Hash) -> tuple[list[int], list[int]]:
    """(balances with 18 decimals and rates, their places in the vault's order), the pool's own token left out."""
    own = address_of(pool)
    places = [i for i, token in enumerate(state.tokens) if token != own]
    scaling = factors(state)
    return [mul_down(state.balances[i], scaling[i]) for i in places], places


def amount_out(state: BalancerState, pool: Hash, i: int, j: int, amount: int) -> int:
    """What `amount` of token i (fee included) pays in token j, in units.

    ValueError where the pool would revert, and for the pool's own token, which is no swap.
    """
    scaling = factors(state)
    taken = amount - mul_up(amount, state.fee)
    given = mul_down(taken, scaling[i])
    balances, places = upscaled(state, pool)
    a, b = _places(places, i, j)
    if state.weights:
        paid = weighted.out_given_in(
            balances[a], state.weights[i], balances[b], state.weights[j], given, shortcuts=state.shortcuts is not False
        )
    else:
        paid = stable.out_given_in(state.amp, balances, a, b, given)
    return div_down(paid, scaling[j])


def amount_in(state: BalancerState, pool: Hash, i: int, j: int, amount: int) -> int:
    """What `amount` of token j costs in token i, fee included, in units. ValueError as in `amount_out`."""
    scaling = factors(state)
    wanted = mul_down(amount, scaling[j])
    balances, places = upscaled(state, pool)
    a, b = _places(places, i, j)
    if state.weights:
        cost = weighted.in_given_out(
            balances[a], state.weights[i], balances[b], state.weights[j], wanted, shortcuts=state.shortcuts is not False
        )
    else:
        cost = stable.in_given_out(state.amp, balances, a, b, wanted)
    return div_up(div_up(cost, scaling[i]), complement(state.fee))


def spot(state: BalancerState, pool: Hash, i: int, j: int) -> float:
    """Units of token j for one unit of token i, without fee, in smallest units; 0.0 where it cannot be told."""
    balances, places = upscaled(state, pool)
    if i not in places or j not in places or min(balances, default=0) <= 0:
        return 0.0
    a, b = places.index(i), places.index(j)
    try:
        if state.weights:
            scaled = weighted.spot(balances[a], state.weights[i], balances[b], state.weights[j])
        else:
            scaled = stable.spot(state.amp, balances, a, b)
    except (ValueError, ZeroDivisionError):  # balances so far apart that the contract's own iteration does not end
        return 0.0
    scaling = factors(state)
    return scaled * scaling[i] / scaling[j]


def paid_out(state: BalancerState, pool: Hash, shares: int, whole: int) -> tuple[int, ...]:
    """What an exit in proportion pays for `shares` of `whole`, by the pool's real tokens, in units.

    pkg/pool-utils/contracts/lib/BasePoolMath.sol computeProportionalAmountsOut; () where it cannot be told.
    """
    if not ready(state) or whole <= 0:
        return ()
    part, scaling = div_down(shares, whole), factors(state)
    balances, places = upscaled(state, pool)
    return tuple(div_down(mul_down(balance, part), scaling[i]) for balance, i in zip(balances, places, strict=True))


def share(state: BalancerState, pool: Hash) -> float:
    """The largest token's part of a stable pool, each at its rate, 0..1; 0.0 for a weighted pool."""
    if state.weights or not ready(state):
        return 0.0
    balances, _ = upscaled(state, pool)
    total = sum(balances)
    return max(balances) / total if total else 0.0


def move_cost(state: BalancerState, pool: Hash, i: int, j: int, fall: float = 0.02) -> int:
    """About what must be paid of token i so that it is worth `fall` less in token j; 0 where no swap does that.

    Found by halving over whole swaps: pools of this kind have no closed form with their fee.
    """
    before = spot(state, pool, i, j)
    if before <= 0.0:
        return 0

    def far(size: int) -> bool:
        got = amount_out(state, pool, i, j, size)
        balances = list(state.balances)
        balances[i] += size
        balances[j] -= got
        return spot(msgspec.structs.replace(state, balances=tuple(balances)), pool, i, j) <= before * (1.0 - fall)

    return least_size(far, state.balances[i] * 29 // 100, 1 if state.weights else 10)


def agrees(state: BalancerState, pool: Hash, i: int, j: int, event: BalancerSwap) -> bool:
    """Whether our mathematics gives the event: as a swap of a given amount in, or out."""
    try:
        if amount_out(state, pool, i, j, event.amount_in) == event.amount_out:
            return True
        return amount_in(state, pool, i, j, event.amount_out) == event.amount_in
    except (ValueError, ZeroDivisionError):
        return False


def fee_ppm(state: BalancerState) -> int:
    """The swap fee in parts per million; 0 until it is read."""
    return max(state.fee, 0) // 10**12


def _places(places: list[int], i: int, j: int) -> tuple[int, int]:
    if i not in places or j not in places or i == j:
        raise ValueError("not two different tokens of the pool")
    return places.index(i), places.index(j)


__all__ = [
    "ONE",
    "POOLS",
    "BalancerState",
    "RateCache",
    "agrees",
    "amount_in",
    "amount_out",
    "factors",
    "fee_ppm",
    "move_cost",
    "ready",
    "share",
    "spot",
]
