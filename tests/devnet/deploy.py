"""The whole chain in one call: `deploy(node)` gives a `Devnet` with every protocol on it."""

from __future__ import annotations

from .abi import encode
from .artifacts import AAVE, bytecode, multicall3
from .chain import MULTICALL3, Chain, Tx
from .deploy_aave import deploy_aave
from .deploy_morpho import deploy_morpho
from .deploy_oracles import deploy_feeds
from .deploy_uniswap import deploy_v2, deploy_v3
from .model import Devnet, Roles, Token
from .node import Anvil

PRICES = {
    "WETH": 3000.0,
    "WBTC": 60_000.0,
    "USDC": 1.0,
    "USDT": 1.0,
    "DAI": 1.0,
    "wstETH": 3540.0,
    "LINK": 15.0,
}
"""USD at the start; wstETH is WETH at its exchange rate of 1.18."""
DECIMALS = {"WETH": 18, "WBTC": 8, "USDC": 6, "USDT": 6, "DAI": 18, "wstETH": 18, "LINK": 18}
PURSE_USD = 400_000_000.0
"""What each trader, borrower and liquidator owns of each token."""


def deploy_tokens(chain: Chain, roles: Roles) -> dict[str, Token]:
    """The ERC-20s, with purses for everyone; nothing is mined. WETH is WETH9, so its supply is the ether in it."""
    tokens: dict[str, Token] = {}
    for symbol, decimals in DECIMALS.items():
        if symbol == "WETH":
            address = chain.deploy(roles.admin, bytecode(AAVE, "WETH9"), "WETH9")
        else:
            address = chain.deploy(
                roles.admin,
                bytecode(AAVE, "MintableERC20"),
                symbol,
                "string,string,uint8",
                *(symbol, symbol, decimals),
            )
        tokens[symbol] = Token(symbol, address, decimals)
    people = (
        *(roles.lp, roles.drainer, *roles.traders, roles.arbitrageur, roles.pusher, roles.fleeting_trader),
        *(roles.fleeting_liquidator, roles.probe, *roles.liquidators, roles.whale),
        *(*roles.borrowers, *roles.morpho_borrowers),
    )
    for person in people:
        for symbol, token in tokens.items():
            amount = token.units(PURSE_USD / PRICES[symbol])
            if symbol == "WETH":
                chain.send([Tx(person, token.address, encode("deposit()"), "wrap", value=amount)])
            else:
                chain.send([Tx(roles.admin, token.address, encode("mint(address,uint256)", person, amount), "mint")])
    return tokens


def deploy_multicall3(chain: Chain, roles: Roles) -> None:
    """Multicall3 at the address it has on every chain; mines a block."""
    address = chain.deploy(roles.admin, multicall3(), "Multicall3")
    chain.mine(chain.node.timestamp() + 12)
    chain.node.rpc("anvil_setCode", MULTICALL3, chain.node.rpc("eth_getCode", address, "latest"))


def deploy(node: Anvil) -> Devnet:
    """Put every protocol on a fresh node. Takes some seconds; the same node and genesis give the same chain."""
    chain = Chain(node)
    roles = Roles.of(chain.accounts)
    deploy_multicall3(chain, roles)
    tokens = deploy_tokens(chain, roles)
    chain.mine(node.timestamp() + 12)
    feeds = deploy_feeds(chain, roles, tokens, PRICES)
    chain.mine(node.timestamp() + 12)
    v2 = deploy_v2(chain, roles, tokens, PRICES)
    v3 = deploy_v3(chain, roles, tokens, PRICES)
    aave = deploy_aave(chain, roles, tokens, feeds)
    morpho = deploy_morpho(chain, roles, tokens, PRICES)
    return Devnet(
        chain=chain,
        roles=roles,
        tokens=tokens,
        feeds=feeds,
        v2=v2,
        v3=v3,
        aave=aave,
        morpho=morpho,
        start_prices=dict(PRICES),
    )
