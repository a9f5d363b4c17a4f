"""What is on the chain and where: plain values, made by `deploy`. Addresses are lower-case 0x-hex strings."""

from __future__ import annotations

from dataclasses import dataclass

from .chain import MULTICALL3, Chain


@dataclass(frozen=True, slots=True)
class Token:
    """An ERC-20. One whole token is 10**decimals units."""

    symbol: str
    address: str
    decimals: int

    def units(self, amount: float) -> int:
        """Whole tokens to the smallest unit, rounded down."""
        return int(amount * 10**6) * int(10**self.decimals) // 10**6


@dataclass(frozen=True, slots=True)
class Feed:
    """A Chainlink USD feed: a proxy in front of a FluxAggregator. Answers carry 8 decimals.

    deviation    pushes when the market is this far from the last answer (fraction)
    heartbeat    and at the latest after this many seconds
    """

    asset: str
    proxy: str
    aggregator: str
    oracle: str
    deviation: float
    heartbeat: int


@dataclass(frozen=True, slots=True)
class PairV2:
    """A Uniswap v2 pair (0.3 % fee); `token0` and `token1` are symbols, in the pair's own order."""

    address: str
    token0: str
    token1: str

    @property
    def name(self) -> str:
        return f"v2 {self.token0}/{self.token1}"


@dataclass(frozen=True, slots=True)
class PoolV3:
    """A Uniswap v3 pool; `fee` in millionths; symbols in the pool's own order."""

    address: str
    token0: str
    token1: str
    fee: int
    tick_spacing: int

    @property
    def name(self) -> str:
        return f"v3 {self.token0}/{self.token1} {self.fee}"


@dataclass(frozen=True, slots=True)
class UniswapV2:
    factory: str
    router: str
    pairs: tuple[PairV2, ...]


@dataclass(frozen=True, slots=True)
class UniswapV3:
    """`positions` is the NonfungiblePositionManager, `router` the SwapRouter, `quoter` QuoterV2."""

    factory: str
    positions: str
    router: str
    quoter: str
    pools: tuple[PoolV3, ...]


@dataclass(frozen=True, slots=True)
class Reserve:
    """An Aave reserve: its asset's symbol and its three tokens."""

    asset: str
    address: str
    a_token: str
    stable_debt: str
    variable_debt: str
    strategy: str


@dataclass(frozen=True, slots=True)
class AaveMarket:
    """An Aave v3.0.2 market. `emodes`: category -> symbols in it."""

    provider: str
    pool: str
    configurator: str
    oracle: str
    data_provider: str
    acl_manager: str
    reserves: dict[str, Reserve]
    emodes: dict[int, tuple[str, ...]]
    spare_strategy: str


@dataclass(frozen=True, slots=True)
class MorphoMarket:
    """A Morpho Blue market. `lltv` is a wad; `oracle` has a price that anyone may set (`setPrice(uint256)`)."""

    id: str
    loan: str
    collateral: str
    oracle: str
    irm: str
    lltv: int
    params: tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Morpho:
    address: str
    irm: str
    markets: tuple[MorphoMarket, ...]


@dataclass(frozen=True, slots=True)
class Roles:
    """Who owns which account."""

    admin: str
    lp: str
    drainer: str
    traders: tuple[str, ...]
    arbitrageur: str
    pusher: str
    oracle: str
    liquidators: tuple[str, ...]
    whale: str
    fleeting_trader: str
    fleeting_liquidator: str
    probe: str
    borrowers: tuple[str, ...]
    morpho_borrowers: tuple[str, ...]
    treasury: str

    @classmethod
    def of(cls, accounts: list[str]) -> Roles:
        if len(accounts) < 58:
            raise ValueError(f"58 accounts are needed, the node has {len(accounts)}")
        return cls(
            admin=accounts[0],
            lp=accounts[1],
            drainer=accounts[2],
            traders=tuple(accounts[3:9]),
            arbitrageur=accounts[9],
            pusher=accounts[10],
            oracle=accounts[11],
            liquidators=tuple(accounts[12:15]),
            whale=accounts[15],
            fleeting_trader=accounts[16],
            fleeting_liquidator=accounts[17],
            probe=accounts[18],
            treasury=accounts[19],
            borrowers=tuple(accounts[20:52]),
            morpho_borrowers=tuple(accounts[52:58]),
        )


@dataclass(frozen=True, slots=True)
class Devnet:
    """A deployed chain."""

    chain: Chain
    roles: Roles
    tokens: dict[str, Token]
    feeds: dict[str, Feed]
    v2: UniswapV2
    v3: UniswapV3
    aave: AaveMarket
    morpho: Morpho
    start_prices: dict[str, float]
    multicall3: str = MULTICALL3

    @property
    def http_url(self) -> str:
        return self.chain.node.http_url

    @property
    def ws_url(self) -> str:
        return self.chain.node.ws_url

    def symbol(self, address: str) -> str:
        """The symbol of a token's address; raises `KeyError` for another address."""
        for token in self.tokens.values():
            if token.address == address.lower():
                return token.symbol
        raise KeyError(f"no token at {address}")
