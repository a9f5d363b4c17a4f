"""A configuration of defiwatch for a deployed chain, as TOML."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Devnet
from .node import CHAIN_ID

CHAIN = "devnet"
CONFIRMATIONS = 6


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def config_toml(devnet: Devnet, *, rpc: Iterable[str] | None = None, watch: Iterable[str] = ()) -> str:
    """The whole file: the chain, every deployment, what to watch.

    rpc     endpoints other than the node's own two (a proxy in front of it, say)
    watch   wallets
    """
    endpoints = list(rpc) if rpc is not None else [devnet.ws_url, devnet.http_url]
    lines = ["[[chains]]", f'name = "{CHAIN}"', f"chain_id = {CHAIN_ID}", f"rpc = {_list(endpoints)}"]
    lines += [f"confirmations = {CONFIRMATIONS}"]

    def deployment(protocol: str, *rows: str) -> None:
        lines.extend(["", "[[deployments]]", f'chain = "{CHAIN}"', f'protocol = "{protocol}"', *rows])

    deployment("aave_v3", f'address = "{devnet.aave.provider}"')
    deployment("uniswap_v2", f"pools = {_list(pair.address for pair in devnet.v2.pairs)}")
    pools = f"pools = {_list(pool.address for pool in devnet.v3.pools)}"
    deployment("uniswap_v3", pools, f'positions = "{devnet.v3.positions}"')
    deployment("chainlink", f"feeds = {_list(feed.proxy for feed in devnet.feeds.values())}")
    deployment("erc20", f"tokens = {_list(token.address for token in devnet.tokens.values())}")
    deployment("morpho_blue", f'address = "{devnet.morpho.address}"')
    wallets = list(watch)
    if wallets:
        lines += ["", "[watch]", f"wallets = {_list(wallets)}"]
    return "\n".join(lines) + "\n"
