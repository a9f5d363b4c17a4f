"""Balancer v2: vault, factories, two weighted and two composable stable pools.

Not part of `deploy`: tests that need it put it on a deployed chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from .abi import MAX_UINT256, ZERO, encode, encode_arguments
from .artifacts import bytecode_in
from .chain import Tx
from .model import Devnet

TASKS = "balancer-labs__v2-deployments/dist/tasks"
VAULT = f"{TASKS}/20210418-vault"
WEIGHTED = f"{TASKS}/20230206-weighted-pool-v3"
STABLE = f"{TASKS}/20230206-composable-stable-pool-v3"
FEES = f"{TASKS}/20220725-protocol-fee-percentages-provider"
AUTHORIZER = f"{TASKS}/20210418-authorizer"
RATE_PROVIDER = "0x" + "4a7e" * 10
RATE_CODE = "0x60005460005260206000f3"
"""Answers every call with the word in slot 0: a rate that the test sets."""
RATE_DURATION = 60
"""Seconds for which a pool takes a rate once it has asked for it."""
GAS = 20_000_000
SWAP = "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
JOIN = "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
EXIT = "exitPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
ONE = 10**18


@dataclass(frozen=True, slots=True)
class BalancerPool:
    """A pool: its id, its contract, the vault's tokens in order (its own among them where it is composable)."""

    id: str
    address: str
    tokens: tuple[str, ...]
    stable: bool


@dataclass(frozen=True, slots=True)
class Balancer:
    vault: str
    pools: tuple[BalancerPool, ...]


WEIGHTED_PLANS = (
    ({"WETH": 80, "LINK": 20}, 30 * 10**14, 2_000_000.0),
    ({"WBTC": 50, "USDC": 25, "WETH": 25}, 10 * 10**14, 3_000_000.0),
)
"""weights in percent, fee, USD in all"""
STABLE_PLANS = (
    (("USDC", "USDT", "DAI"), 200, 4 * 10**14, 3_000_000.0),
    (("WETH", "wstETH"), 50, 1 * 10**14, 2_000_000.0),
)


def deploy_balancer(devnet: Devnet) -> Balancer:
    """Vault, factories and pools with their first liquidity; mines what it needs to."""
    chain, roles, tokens = devnet.chain, devnet.roles, devnet.tokens
    admin = roles.admin
    authorizer = chain.deploy(admin, bytecode_in(AUTHORIZER, "Authorizer"), "Authorizer", "address", admin)
    types = "address,address,uint256,uint256"
    vault = chain.deploy(admin, bytecode_in(VAULT, "Vault"), "Vault", types, authorizer, tokens["WETH"].address, 0, 0)
    code = bytecode_in(FEES, "ProtocolFeePercentagesProvider")
    fees = chain.deploy(admin, code, "fees", "address,uint256,uint256", vault, ONE // 2, ONE // 2)
    types = "address,address,string,string"
    weighted = chain.deploy(admin, bytecode_in(WEIGHTED, "WeightedPoolFactory"), "weighted", types, vault, fees, "", "")
    code = bytecode_in(STABLE, "ComposableStablePoolFactory")
    stable = chain.deploy(admin, code, "stable", types, vault, fees, "", "")
    chain.node.rpc("anvil_setCode", RATE_PROVIDER, RATE_CODE)
    set_rate(devnet, 118 * ONE // 100)
    data = encode("approve(address,uint256)", vault, MAX_UINT256)
    people = (roles.lp, *roles.traders)
    chain.send([Tx(person, token.address, data, "approve") for person in people for token in tokens.values()])
    chain.mine(chain.node.timestamp() + 12)
    pools: list[BalancerPool] = []
    for weights, fee, usd in WEIGHTED_PLANS:
        names = sorted(weights, key=lambda name: int(tokens[name].address, 16))
        create = "create(string,string,address[],uint256[],address[],uint256,address)"
        shares = [weights[name] * ONE // 100 for name in names]
        row = ("w", "w", [tokens[n].address for n in names], shares, [ZERO] * len(names), fee, admin)
        pool = _create(devnet, vault, weighted, encode(create, *row), stable=False)
        value = {name: usd * weights[name] / 100 for name in names}
        pools.append(_fill(devnet, vault, pool, value))
    for plan, amp, fee, usd in STABLE_PLANS:
        names = sorted(plan, key=lambda name: int(tokens[name].address, 16))
        create = "create(string,string,address[],uint256,address[],uint256[],bool[],uint256,address)"
        providers = [RATE_PROVIDER if name == "wstETH" else ZERO for name in names]
        coins = [tokens[n].address for n in names]
        settings = ([RATE_DURATION] * len(names), [False] * len(names), fee, admin)
        data = encode(create, "s", "s", coins, amp, providers, *settings)
        pool = _create(devnet, vault, stable, data, stable=True)
        pools.append(_fill(devnet, vault, pool, dict.fromkeys(names, usd / len(names))))
    return Balancer(vault, tuple(pools))


def set_rate(devnet: Devnet, rate: int) -> None:
    """What the rate provider answers from the next block on, 18 decimals."""
    devnet.chain.node.rpc("anvil_setStorageAt", RATE_PROVIDER, "0x" + "0" * 64, f"0x{rate:064x}")


def _create(devnet: Devnet, vault: str, factory: str, data: str, *, stable: bool) -> BalancerPool:
    chain = devnet.chain
    block = chain.mine(chain.node.timestamp() + 12, [Tx(devnet.roles.admin, factory, data, "pool", gas=GAS)])
    logs = block.receipts[0].logs
    (raw,) = {log["topics"][1] for log in logs if log["address"].lower() == vault}
    types = "address[],uint256[],uint256"
    tokens = chain.call(vault, "getPoolTokens(bytes32)", bytes.fromhex(raw[2:]), returns=types)[0]
    return BalancerPool(raw, raw[:42], tuple(token.lower() for token in tokens), stable)


def _fill(devnet: Devnet, vault: str, pool: BalancerPool, usd: dict[str, float]) -> BalancerPool:
    amounts = [0] * len(pool.tokens)
    for name, value in usd.items():
        token = devnet.tokens[name]
        amounts[pool.tokens.index(token.address)] = token.units(value / devnet.start_prices[name])
    user = bytes.fromhex(encode_arguments("uint256,uint256[]", 0, amounts))
    devnet.chain.mine(devnet.chain.node.timestamp() + 12, [join(devnet, vault, pool, user)])
    return pool


def join(devnet: Devnet, vault: str, pool: BalancerPool, user: bytes) -> Tx:
    """Pay liquidity in, as `user` data says."""
    lp = devnet.roles.lp
    request = (list(pool.tokens), [MAX_UINT256] * len(pool.tokens), user, False)
    return Tx(lp, vault, encode(JOIN, bytes.fromhex(pool.id[2:]), lp, lp, request), "join", gas=GAS)


def leave(devnet: Devnet, vault: str, pool: BalancerPool, user: bytes) -> Tx:
    """Take liquidity out, as `user` data says."""
    lp = devnet.roles.lp
    request = (list(pool.tokens), [0] * len(pool.tokens), user, False)
    return Tx(lp, vault, encode(EXIT, bytes.fromhex(pool.id[2:]), lp, lp, request), "exit", gas=GAS)


def swap(trader: str, vault: str, pool: BalancerPool, sell: str, buy: str, amount: int, *, given_in: bool) -> Tx:
    """Swap `amount` units of the token that is given (addresses)."""
    single = (bytes.fromhex(pool.id[2:]), 0 if given_in else 1, sell, buy, amount, b"")
    funds = (trader, False, trader, False)
    data = encode(SWAP, single, funds, 0 if given_in else MAX_UINT256, 2**40)
    return Tx(trader, vault, data, "balancer swap", gas=GAS)
