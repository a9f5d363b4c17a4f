"""The events of Curve's pools: old stableswap (arrays of a fixed size), new (of any size), two-crypto.

curve-contract@15e303a contracts/pool-templates/base/SwapTemplateBase.vy; stableswap-ng@2abe778
contracts/main/CurveStableSwapNG.vy; curve-crypto-contract and twocrypto-ng for pools whose coins are no pegs.
"""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class TokenExchange(Event, frozen=True):
    """`tokens_sold` of coin `sold_id` came in, `tokens_bought` of coin `bought_id` went out; the fee is not in it."""

    buyer: Address
    sold_id: int
    tokens_sold: int
    bought_id: int
    tokens_bought: int


class TokenExchangeUnderlying(TokenExchange, frozen=True):
    """The same between what is underneath the coins; ids count those."""


class CryptoExchange(TokenExchange, frozen=True):
    """A trade in a two-crypto or tricrypto pool."""


class CryptoExchangeNg(CryptoExchange, frozen=True):
    """The same in their newer form: with the fee, and the scale of prices after it."""

    fee: int
    packed_price_scale: int


class AddLiquidity(Event, frozen=True):
    """Coins came in. `fees` are of coins that were not in balance; the administrator's part of them leaves the pool."""

    provider: Address
    token_amounts: tuple[int, ...]
    fees: tuple[int, ...]
    invariant: int
    token_supply: int


class RemoveLiquidity(Event, frozen=True):
    """Coins went out in proportion, without a fee."""

    provider: Address
    token_amounts: tuple[int, ...]
    fees: tuple[int, ...]
    token_supply: int


class RemoveLiquidityImbalance(AddLiquidity, frozen=True):
    """Coins went out in any proportion; fees as in `AddLiquidity`."""


class RemoveLiquidityOne(Event, frozen=True):
    """One coin went out for `token_amount` of shares; which one the oldest form does not say."""

    provider: Address
    token_amount: int
    coin_amount: int


class RemoveLiquidityOneSupply(RemoveLiquidityOne, frozen=True):
    """The same with the shares that are left."""

    token_supply: int


class RemoveLiquidityOneNg(RemoveLiquidityOneSupply, frozen=True):
    """The same with the coin that went out."""

    token_id: int


class CryptoAddLiquidity(Event, frozen=True):
    """Coins into a two-crypto pool."""

    provider: Address
    token_amounts: tuple[int, ...]
    fee: int
    token_supply: int


class RampA(Event, frozen=True):
    """A moves from one value to another between two times (Unix seconds), in the pool's own precision."""

    old_a: int
    new_a: int
    initial_time: int
    future_time: int


class StopRampA(Event, frozen=True):
    """A stays where it is."""

    a: int
    t: int


class NewFee(Event, frozen=True):
    """Old pools: the fee and the administrator's part, 10**-10."""

    fee: int
    admin_fee: int


class ApplyNewFee(Event, frozen=True):
    """New pools: the fee and the multiplier off the peg, 10**-10."""

    fee: int
    offpeg_fee_multiplier: int


class ApplyNewAdminFee(Event, frozen=True):
    """New pools: the administrator's part of the fee, 10**-10."""

    admin_fee: int


_EXCHANGE = "(address indexed buyer, {0} sold_id, uint256 tokens_sold, {0} bought_id, uint256 tokens_bought"
TOKEN_EXCHANGE = event(f"TokenExchange{_EXCHANGE.format('int128')})", TokenExchange)
TOKEN_EXCHANGE_UNDERLYING = event(f"TokenExchangeUnderlying{_EXCHANGE.format('int128')})", TokenExchangeUnderlying)
CRYPTO_EXCHANGE = event(f"TokenExchange{_EXCHANGE.format('uint256')})", CryptoExchange)
CRYPTO_EXCHANGE_NG = event(
    f"TokenExchange{_EXCHANGE.format('uint256')}, uint256 fee, uint256 packed_price_scale)", CryptoExchangeNg
)
_CHANGE = "(address indexed provider, uint256[{0}] token_amounts, uint256[{0}] fees, {1}uint256 token_supply)"
_SIZES = ("2", "3", "4", "")
ADD = tuple(event(f"AddLiquidity{_CHANGE.format(n, 'uint256 invariant, ')}", AddLiquidity) for n in _SIZES)
REMOVE = tuple(event(f"RemoveLiquidity{_CHANGE.format(n, '')}", RemoveLiquidity) for n in _SIZES)
REMOVE_IMBALANCE = tuple(
    event(f"RemoveLiquidityImbalance{_CHANGE.format(n, 'uint256 invariant, ')}", RemoveLiquidityImbalance)
    for n in _SIZES
)
REMOVE_ONE = (
    event(
        "RemoveLiquidityOne(address indexed provider, uint256 token_amount, uint256 coin_amount)", RemoveLiquidityOne
    ),
    event(
        "RemoveLiquidityOne(address indexed provider, uint256 token_amount, uint256 coin_amount, uint256 token_supply)",
        RemoveLiquidityOneSupply,
    ),
    event(
        "RemoveLiquidityOne(address indexed provider, int128 token_id, uint256 token_amount, uint256 coin_amount,"
        " uint256 token_supply)",
        RemoveLiquidityOneNg,
    ),
)
CRYPTO_ADD = tuple(
    event(
        f"AddLiquidity(address indexed provider, uint256[{n}] token_amounts, uint256 fee, uint256 token_supply)",
        CryptoAddLiquidity,
    )
    for n in (2, 3)
)
RAMP_A = event("RampA(uint256 old_A, uint256 new_A, uint256 initial_time, uint256 future_time)", RampA)
STOP_RAMP_A = event("StopRampA(uint256 A, uint256 t)", StopRampA)
NEW_FEE = event("NewFee(uint256 fee, uint256 admin_fee)", NewFee)
APPLY_NEW_FEE = event("ApplyNewFee(uint256 fee, uint256 offpeg_fee_multiplier)", ApplyNewFee)
APPLY_NEW_ADMIN_FEE = event("ApplyNewAdminFee(uint256 admin_fee)", ApplyNewAdminFee)

EVENTS: tuple[EventSpec[Any], ...] = (
    TOKEN_EXCHANGE,
    TOKEN_EXCHANGE_UNDERLYING,
    CRYPTO_EXCHANGE,
    CRYPTO_EXCHANGE_NG,
    *ADD,
    *REMOVE,
    *REMOVE_IMBALANCE,
    *REMOVE_ONE,
    *CRYPTO_ADD,
    RAMP_A,
    STOP_RAMP_A,
    NEW_FEE,
    APPLY_NEW_FEE,
    APPLY_NEW_ADMIN_FEE,
)
