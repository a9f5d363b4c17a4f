"""The events of Balancer v2's vault and of its weighted and stable pools.

balancer-v2-monorepo@06f3ee7 pkg/interfaces/contracts/vault/IVault.sol:160-560;
pkg/pool-stable/contracts/StablePoolAmplification.sol, ComposableStablePoolRates.sol, meta/MetaStablePool.sol.
"""

from __future__ import annotations

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address, Hash
from defiwatch.protocols.abi import event


class BalancerSwap(Event, frozen=True):
    """A trade: `amount_in` of `token_in` came into the pool, fee included, `amount_out` of `token_out` went out."""

    pool_id: Hash
    token_in: Address
    token_out: Address
    amount_in: int
    amount_out: int


class PoolBalanceChanged(Event, frozen=True):
    """Liquidity: `deltas` positive came in, negative went out; `protocol_fee_amounts` left the pool beside them."""

    pool_id: Hash
    liquidity_provider: Address
    tokens: tuple[Address, ...]
    deltas: tuple[int, ...]
    protocol_fee_amounts: tuple[int, ...]


class PoolBalanceManaged(Event, frozen=True):
    """An asset manager moved tokens; the pool's balance of `token` changed by the sum of both."""

    pool_id: Hash
    asset_manager: Address
    token: Address
    cash_delta: int
    managed_delta: int


class PoolRegistered(Event, frozen=True):
    """A pool came to the vault. `specialization`: 0 general, 1 minimal swap info, 2 two tokens."""

    pool_id: Hash
    pool_address: Address
    specialization: int


class TokensRegistered(Event, frozen=True):
    """The tokens of a pool."""

    pool_id: Hash
    tokens: tuple[Address, ...]
    asset_managers: tuple[Address, ...]


class TokensDeregistered(Event, frozen=True):
    """Tokens that left a pool."""

    pool_id: Hash
    tokens: tuple[Address, ...]


class BalancerFlashLoan(Event, frozen=True):
    """The vault lent `amount` for one transaction; the same first topic as Maker's."""

    recipient: Address
    token: Address
    amount: int
    fee_amount: int


class SwapFeeChanged(Event, frozen=True):
    """A pool's fee, 18 decimals."""

    swap_fee_percentage: int


class AmpUpdateStarted(Event, frozen=True):
    """A stable pool's A (times 1000) moves from one value to another between two times."""

    start_value: int
    end_value: int
    start_time: int
    end_time: int


class AmpUpdateStopped(Event, frozen=True):
    """A stable pool's A (times 1000) stays where it is."""

    current_value: int


class TokenRateCacheUpdated(Event, frozen=True):
    """A token's rate as the pool uses it from here on, 18 decimals."""

    token_index: int
    rate: int


class TokenRateProviderSet(Event, frozen=True):
    """For how many seconds a token's rate holds once the pool has taken it."""

    token_index: int
    provider: Address
    cache_duration: int


class PriceRateCacheUpdated(Event, frozen=True):
    """A meta pool's word for `TokenRateCacheUpdated`."""

    token: Address
    rate: int


class PriceRateProviderSet(Event, frozen=True):
    """A meta pool's word for `TokenRateProviderSet`."""

    token: Address
    provider: Address
    cache_duration: int


SWAP = event(
    "Swap(bytes32 indexed poolId, address indexed tokenIn, address indexed tokenOut, uint256 amountIn,"
    " uint256 amountOut)",
    BalancerSwap,
)
POOL_BALANCE_CHANGED = event(
    "PoolBalanceChanged(bytes32 indexed poolId, address indexed liquidityProvider, address[] tokens,"
    " int256[] deltas, uint256[] protocolFeeAmounts)",
    PoolBalanceChanged,
)
POOL_BALANCE_MANAGED = event(
    "PoolBalanceManaged(bytes32 indexed poolId, address indexed assetManager, address indexed token,"
    " int256 cashDelta, int256 managedDelta)",
    PoolBalanceManaged,
)
POOL_REGISTERED = event(
    "PoolRegistered(bytes32 indexed poolId, address indexed poolAddress, uint8 specialization)", PoolRegistered
)
TOKENS_REGISTERED = event(
    "TokensRegistered(bytes32 indexed poolId, address[] tokens, address[] assetManagers)", TokensRegistered
)
TOKENS_DEREGISTERED = event("TokensDeregistered(bytes32 indexed poolId, address[] tokens)", TokensDeregistered)
FLASH_LOAN = event(
    "FlashLoan(address indexed recipient, address indexed token, uint256 amount, uint256 feeAmount)",
    BalancerFlashLoan,
)
SWAP_FEE_CHANGED = event("SwapFeePercentageChanged(uint256 swapFeePercentage)", SwapFeeChanged)
AMP_UPDATE_STARTED = event(
    "AmpUpdateStarted(uint256 startValue, uint256 endValue, uint256 startTime, uint256 endTime)", AmpUpdateStarted
)
AMP_UPDATE_STOPPED = event("AmpUpdateStopped(uint256 currentValue)", AmpUpdateStopped)
RATE_UPDATED = event("TokenRateCacheUpdated(uint256 indexed tokenIndex, uint256 rate)", TokenRateCacheUpdated)
PROVIDER_SET = event(
    "TokenRateProviderSet(uint256 indexed tokenIndex, address indexed provider, uint256 cacheDuration)",
    TokenRateProviderSet,
)
PRICE_RATE_UPDATED = event("PriceRateCacheUpdated(address indexed token, uint256 rate)", PriceRateCacheUpdated)
PRICE_PROVIDER_SET = event(
    "PriceRateProviderSet(address indexed token, address indexed provider, uint256 cacheDuration)",
    PriceRateProviderSet,
)
