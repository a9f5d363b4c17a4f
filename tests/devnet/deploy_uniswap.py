"""Uniswap v2 and v3: factories, routers, pools and the liquidity they start with."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .abi import MAX_UINT256, ZERO, encode
from .artifacts import UNISWAP_V2, UNISWAP_V2_PERIPHERY, UNISWAP_V3, UNISWAP_V3_PERIPHERY, bytecode
from .chain import Call, Chain, Tx
from .model import PairV2, PoolV3, Roles, Token, UniswapV2, UniswapV3

DEADLINE = 2**40
TICK_SPACING = {100: 1, 500: 10, 3000: 60, 10000: 200}
PAIRS_V2 = (("WETH", "USDC", 3_000_000.0), ("WETH", "DAI", 1_500_000.0), ("LINK", "WETH", 1_000_000.0))
"""base, quote, USD on each side"""
_MINT = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"


@dataclass(frozen=True, slots=True)
class PlanV3:
    """A v3 pool to make: (owner, USD a side, half width in ticks; 0 is the full range) per position."""

    token_a: str
    token_b: str
    fee: int
    positions: tuple[tuple[str, float, int], ...]


POOLS_V3 = (
    PlanV3("USDC", "WETH", 500, (("lp", 4_000_000, 0), ("lp", 4_000_000, 3000), ("drainer", 500_000, 600))),
    PlanV3("USDC", "WETH", 3000, (("lp", 1_500_000, 0), ("lp", 1_000_000, 6000))),
    PlanV3("WBTC", "WETH", 3000, (("lp", 700_000, 0), ("drainer", 6_000_000, 0))),
    PlanV3("USDC", "USDT", 100, (("lp", 3_000_000, 10), ("lp", 2_000_000, 200), ("drainer", 1_000_000, 1000))),
    PlanV3("DAI", "USDC", 100, (("lp", 2_000_000, 20), ("lp", 1_000_000, 500))),
    PlanV3("wstETH", "WETH", 100, (("lp", 3_000_000, 20), ("lp", 2_000_000, 400))),
)


def sqrt_price_x96(price: float) -> int:
    """sqrt(token1 units per token0 unit) as Q64.96."""
    return int(math.sqrt(price) * 2**96)


def tick_at(price: float) -> int:
    """The tick of a raw price (token1 units per token0 unit), rounded down."""
    return math.floor(math.log(price) / math.log(1.0001))


def raw_price(token0: Token, token1: Token, prices: dict[str, float]) -> float:
    """token1 units per token0 unit at USD `prices`."""
    return prices[token0.symbol] / prices[token1.symbol] * 10.0 ** (token1.decimals - token0.decimals)


def ordered(tokens: dict[str, Token], a: str, b: str) -> tuple[Token, Token]:
    """The two tokens in the pool's own order (by address)."""
    first, second = sorted((tokens[a], tokens[b]), key=lambda token: int(token.address, 16))
    return first, second


def deploy_v2(chain: Chain, roles: Roles, tokens: dict[str, Token], prices: dict[str, float]) -> UniswapV2:
    """Factory, router and pairs with liquidity; mines what it needs to."""
    factory = chain.deploy(
        roles.admin, bytecode(UNISWAP_V2, "UniswapV2Factory"), "UniswapV2Factory", "address", roles.admin
    )
    code = bytecode(UNISWAP_V2_PERIPHERY, "UniswapV2Router02")
    router = chain.deploy(roles.admin, code, "UniswapV2Router02", "address,address", *(factory, tokens["WETH"].address))
    chain.send(approvals(roles, tokens, router))
    for base, quote, usd in PAIRS_V2:
        amounts = [tokens[symbol].units(usd / prices[symbol]) for symbol in (base, quote)]
        data = encode(
            "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)",
            *(tokens[base].address, tokens[quote].address, *amounts, 0, 0, roles.lp, DEADLINE),
        )
        chain.send([Tx(roles.lp, router, data, f"liquidity for v2 {base}/{quote}", gas=6_000_000)])
    chain.mine(chain.node.timestamp() + 12)
    pairs: list[PairV2] = []
    for base, quote, _ in PAIRS_V2:
        token0, token1 = ordered(tokens, base, quote)
        address = chain.value(factory, "getPair(address,address)", *(token0.address, token1.address), returns="address")
        pairs.append(PairV2(address, token0.symbol, token1.symbol))
    return UniswapV2(factory, router, tuple(pairs))


def deploy_v3(chain: Chain, roles: Roles, tokens: dict[str, Token], prices: dict[str, float]) -> UniswapV3:
    """Factory, position manager, router, quoter and pools with liquidity; mines what it needs to."""
    weth = tokens["WETH"].address
    admin = roles.admin
    factory = chain.deploy(admin, bytecode(UNISWAP_V3, "UniswapV3Factory"), "UniswapV3Factory")
    chain.send([Tx(admin, factory, encode("enableFeeAmount(uint24,int24)", 100, 1), "fee tier 0.01 %")])

    def periphery(name: str, types: str, *args: object) -> str:
        return chain.deploy(admin, bytecode(UNISWAP_V3_PERIPHERY, name), name, types, *args)

    positions = periphery("NonfungiblePositionManager", "address,address,address", factory, weth, ZERO)
    router = periphery("SwapRouter", "address,address", factory, weth)
    quoter = periphery("QuoterV2", "address,address", factory, weth)
    chain.send(approvals(roles, tokens, router))
    chain.send(approvals(roles, tokens, positions, who=(roles.lp, roles.drainer)))
    for plan in POOLS_V3:
        token0, token1 = ordered(tokens, plan.token_a, plan.token_b)
        data = encode(
            "createAndInitializePoolIfNecessary(address,address,uint24,uint160)",
            *(token0.address, token1.address, plan.fee, sqrt_price_x96(raw_price(token0, token1, prices))),
        )
        chain.send([Tx(admin, positions, data, f"v3 {plan.token_a}/{plan.token_b} {plan.fee}", gas=8_000_000)])
        for owner, usd, width in plan.positions:
            chain.send([_position(roles, positions, plan, (token0, token1), prices, (owner, usd, width))])
    chain.mine(chain.node.timestamp() + 12)
    pools: list[PoolV3] = []
    for plan in POOLS_V3:
        token0, token1 = ordered(tokens, plan.token_a, plan.token_b)
        address = chain.value(
            factory,
            "getPool(address,address,uint24)",
            *(token0.address, token1.address, plan.fee),
            returns="address",
        )
        grow = encode("increaseObservationCardinalityNext(uint16)", 60)
        chain.send([Tx(admin, address, grow, "observations")])
        pools.append(PoolV3(address, token0.symbol, token1.symbol, plan.fee, TICK_SPACING[plan.fee]))
    return UniswapV3(factory, positions, router, quoter, tuple(pools))


def _position(
    roles: Roles,
    positions: str,
    plan: PlanV3,
    pair: tuple[Token, Token],
    prices: dict[str, float],
    what: tuple[str, float, int],
) -> Tx:
    token0, token1 = pair
    owner, usd, width = what
    spacing = TICK_SPACING[plan.fee]
    if width == 0:
        upper = 887_272 // spacing * spacing
        lower = -upper
    else:
        middle = round(tick_at(raw_price(token0, token1, prices)) / spacing) * spacing
        lower, upper = middle - width // spacing * spacing, middle + width // spacing * spacing
    amounts = (token0.units(usd / prices[token0.symbol]), token1.units(usd / prices[token1.symbol]))
    account = roles.lp if owner == "lp" else roles.drainer
    params = (token0.address, token1.address, plan.fee, lower, upper, *amounts, 0, 0, account, DEADLINE)
    return Tx(account, positions, encode(_MINT, params), f"position in v3 {plan.token_a}/{plan.token_b} {plan.fee}")


def approvals(roles: Roles, tokens: dict[str, Token], spender: str, who: tuple[str, ...] | None = None) -> list[Tx]:
    """Unlimited allowances for `spender` from everyone who trades."""
    people = who or (roles.lp, *roles.traders, roles.arbitrageur, roles.pusher, roles.fleeting_trader)
    data = encode("approve(address,uint256)", spender, MAX_UINT256)
    return [Tx(person, token.address, data, "approve") for person in people for token in tokens.values()]


def positions_of(chain: Chain, uniswap: UniswapV3, owner: str, pool: PoolV3, tokens: dict[str, Token]) -> list[int]:
    """Ids of the position tokens that `owner` holds in `pool`."""
    count = chain.value(uniswap.positions, "balanceOf(address)", owner)
    signature = "tokenOfOwnerByIndex(address,uint256)"
    ids = [
        row[0] for row in chain.reads([Call(uniswap.positions, signature, (owner, i), "uint256") for i in range(count)])
    ]
    returns = "uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128"
    rows = chain.reads([Call(uniswap.positions, "positions(uint256)", (number,), returns) for number in ids])
    wanted = (tokens[pool.token0].address, tokens[pool.token1].address, pool.fee)
    return [number for number, row in zip(ids, rows, strict=True) if (row[2].lower(), row[3].lower(), row[4]) == wanted]
