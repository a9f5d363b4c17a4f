"""Chainlink feeds: a FluxAggregator behind an EACAggregatorProxy each, answered by a real oracle submission."""

from __future__ import annotations

from .abi import ZERO, encode
from .artifacts import compiled
from .chain import Chain, Tx
from .model import Feed, Roles, Token

DECIMALS = 8
POLICY = {  # asset -> (deviation, heartbeat in s), as the feeds of Ethereum mainnet have them
    "WETH": (0.005, 3600),
    "WBTC": (0.005, 3600),
    "LINK": (0.01, 3600),
    "wstETH": (0.005, 3600),
    "USDC": (0.0025, 86_400),
    "USDT": (0.0025, 86_400),
    "DAI": (0.0025, 3600),
}


def answer_of(price: float) -> int:
    """A price in USD as a feed's answer (8 decimals)."""
    return round(price * 10.0**DECIMALS)


def deploy_feeds(chain: Chain, roles: Roles, tokens: dict[str, Token], prices: dict[str, float]) -> dict[str, Feed]:
    """One feed per asset with its first answer in round 1. Everything is sent, nothing mined."""
    feeds: dict[str, Feed] = {}
    for asset, (deviation, heartbeat) in POLICY.items():
        aggregator = chain.deploy(
            roles.admin,
            compiled("chainlink", "FluxAggregator"),
            f"FluxAggregator {asset}",
            "address,uint128,uint32,address,int256,int256,uint8,string",
            *(tokens["LINK"].address, 0, 600, ZERO, 1, 10**20, DECIMALS, f"{asset} / USD"),
        )
        proxy = chain.deploy(
            roles.admin,
            compiled("chainlink", "EACAggregatorProxy"),
            f"EACAggregatorProxy {asset}",
            "address,address",
            *(aggregator, ZERO),
        )
        oracles = encode(
            "changeOracles(address[],address[],address[],uint32,uint32,uint32)",
            *([], [roles.oracle], [roles.admin], 1, 1, 0),
        )
        chain.send([Tx(roles.admin, aggregator, oracles, f"oracle of {asset}")])
        feeds[asset] = Feed(asset, proxy, aggregator, roles.oracle, deviation, heartbeat)
    chain.send([submit(feed, 1, prices[asset]) for asset, feed in feeds.items()])
    return feeds


def submit(feed: Feed, round_id: int, price: float) -> Tx:
    """The oracle's submission that opens and closes `round_id` with `price` (USD)."""
    data = encode("submit(uint256,int256)", round_id, answer_of(price))
    return Tx(feed.oracle, feed.aggregator, data, f"{feed.asset} feed answers {price:.6g}")
