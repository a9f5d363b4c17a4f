"""Exchanges: Solidly and forks, Balancer v3, GMX v1, DODO, 0x, CoW, Maker's peg module, v3 position tokens."""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address, Hash
from defiwatch.protocols.abi import EventSpec, event


class SolidlySwap(Event, frozen=True):
    """Velodrome v2, Aerodrome: a trade. Amounts as they came in and went out.

    velodrome-finance/contracts contracts/interfaces/IPool.sol. The first Solidly pools emit Uniswap v2's event.
    """

    sender: Address
    to: Address
    amount0_in: int
    amount1_in: int
    amount0_out: int
    amount1_out: int


class SolidlySync(Event, frozen=True):
    """Solidly and forks: the reserves from here on; uint256 where Uniswap v2 has uint112."""

    reserve0: int
    reserve1: int


class SolidlyBurn(Event, frozen=True):
    """Velodrome v2, Aerodrome: liquidity taken out."""

    sender: Address
    to: Address
    amount0: int
    amount1: int


class SolidlyFees(Event, frozen=True):
    """Solidly and forks: fees of a trade, which leave the pool."""

    sender: Address
    amount0: int
    amount1: int


class BalancerV3Swap(Event, frozen=True):
    """Balancer v3: a trade; `swap_fee_amount` in units of the token in, the percentage with 18 decimals."""

    pool: Address
    token_in: Address
    token_out: Address
    amount_in: int
    amount_out: int
    swap_fee_percentage: int
    swap_fee_amount: int


class BalancerV3LiquidityAdded(Event, frozen=True):
    """Balancer v3: liquidity in, in the pool's own order of tokens."""

    pool: Address
    liquidity_provider: Address
    kind: int
    total_supply: int
    amounts_added_raw: tuple[int, ...]
    swap_fee_amounts_raw: tuple[int, ...]


class BalancerV3LiquidityRemoved(Event, frozen=True):
    """Balancer v3: liquidity out, in the pool's own order of tokens."""

    pool: Address
    liquidity_provider: Address
    kind: int
    total_supply: int
    amounts_removed_raw: tuple[int, ...]
    swap_fee_amounts_raw: tuple[int, ...]


class GmxSwap(Event, frozen=True):
    """GMX v1: a trade against its vault; the same first topic as Balancer v3's, with nothing indexed."""

    account: Address
    token_in: Address
    token_out: Address
    amount_in: int
    amount_out: int
    amount_out_after_fees: int
    fee_basis_points: int


class DodoSwap(Event, frozen=True):
    """DODO: a trade."""

    from_token: Address
    to_token: Address
    from_amount: int
    to_amount: int
    trader: Address
    receiver: Address


class RfqOrderFilled(Event, frozen=True):
    """0x: a market maker's signed order was filled."""

    order_hash: Hash
    maker: Address
    taker: Address
    maker_token: Address
    taker_token: Address
    taker_token_filled_amount: int
    maker_token_filled_amount: int
    pool: Hash


class CowTrade(Event, frozen=True):
    """CoW: an order was settled in a batch; it may have met another order and no pool at all."""

    owner: Address
    sell_token: Address
    buy_token: Address
    sell_amount: int
    buy_amount: int
    fee_amount: int
    order_uid: str


class PsmBuyGem(Event, frozen=True):
    """Maker's peg module: `value` units of the other stablecoin were bought for DAI; `fee` in DAI."""

    owner: Address
    value: int
    fee: int


class PsmSellGem(PsmBuyGem, frozen=True):
    """Maker's peg module: `value` units of the other stablecoin were sold for DAI; `fee` in DAI."""


class MakerFlashLoan(Event, frozen=True):
    """Maker: DAI lent for one transaction; the same first topic as Balancer's, one indexed argument less."""

    receiver: Address
    token: Address
    amount: int
    fee: int


class PositionIncreased(Event, frozen=True):
    """Uniswap v3: liquidity added under a position token."""

    token_id: int
    liquidity: int
    amount0: int
    amount1: int


class PositionDecreased(PositionIncreased, frozen=True):
    """Uniswap v3: liquidity taken out under a position token."""


class PositionCollected(Event, frozen=True):
    """Uniswap v3: what was owed under a position token was paid out."""

    token_id: int
    recipient: Address
    amount0: int
    amount1: int


_V3_MOVE = "(address indexed pool, address indexed liquidityProvider, uint8 indexed kind, uint256 totalSupply,"

POSITION_INCREASED = event(
    "IncreaseLiquidity(uint256 indexed tokenId, uint128 liquidity, uint256 amount0, uint256 amount1)",
    PositionIncreased,
)
POSITION_DECREASED = event(
    "DecreaseLiquidity(uint256 indexed tokenId, uint128 liquidity, uint256 amount0, uint256 amount1)",
    PositionDecreased,
)

EVENTS: tuple[EventSpec[Any], ...] = (
    event(
        "Swap(address indexed sender, address indexed to, uint256 amount0In, uint256 amount1In, uint256 amount0Out,"
        " uint256 amount1Out)",
        SolidlySwap,
    ),
    event("Sync(uint256 reserve0, uint256 reserve1)", SolidlySync),
    event("Burn(address indexed sender, address indexed to, uint256 amount0, uint256 amount1)", SolidlyBurn),
    event("Fees(address indexed sender, uint256 amount0, uint256 amount1)", SolidlyFees),
    event(
        "Swap(address indexed pool, address indexed tokenIn, address indexed tokenOut, uint256 amountIn,"
        " uint256 amountOut, uint256 swapFeePercentage, uint256 swapFeeAmount)",
        BalancerV3Swap,
    ),
    event(
        f"LiquidityAdded{_V3_MOVE} uint256[] amountsAddedRaw, uint256[] swapFeeAmountsRaw)", BalancerV3LiquidityAdded
    ),
    event(
        f"LiquidityRemoved{_V3_MOVE} uint256[] amountsRemovedRaw, uint256[] swapFeeAmountsRaw)",
        BalancerV3LiquidityRemoved,
    ),
    event(
        "Swap(address account, address tokenIn, address tokenOut, uint256 amountIn, uint256 amountOut,"
        " uint256 amountOutAfterFees, uint256 feeBasisPoints)",
        GmxSwap,
    ),
    event(
        "DODOSwap(address fromToken, address toToken, uint256 fromAmount, uint256 toAmount, address trader,"
        " address receiver)",
        DodoSwap,
    ),
    event(
        "RfqOrderFilled(bytes32 orderHash, address maker, address taker, address makerToken, address takerToken,"
        " uint128 takerTokenFilledAmount, uint128 makerTokenFilledAmount, bytes32 pool)",
        RfqOrderFilled,
    ),
    event(
        "Trade(address indexed owner, address sellToken, address buyToken, uint256 sellAmount, uint256 buyAmount,"
        " uint256 feeAmount, bytes orderUid)",
        CowTrade,
    ),
    event("BuyGem(address indexed owner, uint256 value, uint256 fee)", PsmBuyGem),
    event("SellGem(address indexed owner, uint256 value, uint256 fee)", PsmSellGem),
    event("FlashLoan(address indexed receiver, address token, uint256 amount, uint256 fee)", MakerFlashLoan),
    POSITION_INCREASED,
    POSITION_DECREASED,
    event("Collect(uint256 indexed tokenId, address recipient, uint256 amount0, uint256 amount1)", PositionCollected),
)
