"""The chain and its story are what they promise: everything else that is tested on them rests on this."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from . import abi, set_pieces
from .chain import Call
from .config import config_toml
from .deploy import deploy
from .flows import read_pools
from .keepers import read_feeds
from .labels import LIQUIDATION
from .model import Devnet
from .node import Anvil, available
from .people import REORGED
from .scenario import Scenario
from .truth import truth
from .venue import Venue

pytestmark = pytest.mark.devnet

WAD = 10**18
V3_SWAP = abi.topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told() -> Iterator[Scenario]:
    """The whole story, played once for the tests that only read it."""
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with Anvil() as node:
        story = Scenario(deploy(node), seed=1)
        story.run_all()
        yield story


def logs(story: Scenario, address: str, topic: str) -> list[dict[str, object]]:
    """The canonical chain's logs of one kind, asked from the node."""
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": address, "topics": [topic]}
    found: list[dict[str, object]] = story.devnet.chain.node.rpc("eth_getLogs", query)
    return found


def test_everything_is_deployed(devnet: Devnet) -> None:
    assert set(devnet.tokens) == {"WETH", "WBTC", "USDC", "USDT", "DAI", "wstETH", "LINK"}
    decimals = devnet.chain.reads([Call(token.address, "decimals()", (), "uint8") for token in devnet.tokens.values()])
    assert [row[0] for row in decimals] == [token.decimals for token in devnet.tokens.values()]
    assert len(devnet.v2.pairs) == 3
    assert {pool.fee for pool in devnet.v3.pools} == {100, 500, 3000}
    assert devnet.chain.value(devnet.aave.provider, "getPool()", returns="address") == devnet.aave.pool
    revision = devnet.chain.value(devnet.aave.pool, "POOL_REVISION()")
    assert revision == 1  # what the package of v3.0.2 says of itself
    assert [view.round_id for view in read_feeds(devnet)] == [1] * len(devnet.feeds)
    for market in devnet.morpho.markets:
        assert devnet.chain.value(devnet.morpho.address, "isLltvEnabled(uint256)", market.lltv, returns="bool")


def test_pools_start_at_the_market(devnet: Devnet) -> None:
    for view in read_pools(devnet):
        token0, token1 = devnet.tokens[view.pool.token0], devnet.tokens[view.pool.token1]
        price = view.price * 10.0 ** (token0.decimals - token1.decimals)
        expected = devnet.start_prices[token0.symbol] / devnet.start_prices[token1.symbol]
        assert price == pytest.approx(expected, rel=1e-4), view.pool.name


def test_quoter_answers(devnet: Devnet) -> None:
    weth, usdc = devnet.tokens["WETH"], devnet.tokens["USDC"]
    row = (weth.address, usdc.address, weth.units(1), 500, 0)
    signature = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
    returns = "uint256,uint160,uint32,uint256"
    amount = devnet.chain.call(devnet.v3.quoter, signature, row, returns=returns)[0]
    assert amount / 1e6 == pytest.approx(3000, rel=0.002)


def test_configuration_names_every_deployment(devnet: Devnet) -> None:
    config = tomllib.loads(config_toml(devnet, watch=devnet.roles.borrowers[:2]))
    (chain,) = config["chains"]
    assert (chain["chain_id"], chain["confirmations"]) == (31337, 6)
    assert [url.split(":")[0] for url in chain["rpc"]] == ["ws", "http"]
    protocols = [row["protocol"] for row in config["deployments"]]
    assert protocols == ["aave_v3", "uniswap_v2", "uniswap_v3", "chainlink", "erc20", "morpho_blue"]
    assert len(config["watch"]["wallets"]) == 2


def test_positions_open_as_planned(scenario: Scenario) -> None:
    health = scenario.health[scenario.start_block]
    factors = sorted(value / WAD for value in health.values())
    assert len(factors) >= 24
    assert factors[0] > 1.0
    assert sum(1.05 <= factor <= 1.2 for factor in factors) >= 5
    assert sum(factor > 1.5 for factor in factors) >= 5
    emodes = {account.emode for account in truth(scenario.devnet).accounts.values()}
    assert emodes == {0, 1, 2}


def test_liquidations_happen(told: Scenario) -> None:
    labels = told.labels
    found = logs(told, told.devnet.aave.pool, LIQUIDATION)
    assert len(found) >= 5
    assert len(labels.liquidations) == len(found)
    assert {item.receive_a_token for item in labels.liquidations} == {True, False}
    assert len(labels.liquidated) >= 5
    assert labels.morpho_liquidated


def test_fall_is_seen_coming_except_for_one_that_jumps(told: Scenario) -> None:
    labels = told.labels
    warned = []
    for user in labels.liquidated:
        first = next(item.block for item in labels.liquidations if item.user == user)
        before = [told.health[number][user] for number in range(told.start_block, first)]
        if any(WAD <= factor < WAD + WAD // 20 for factor in before):
            warned.append(user)
    assert len(warned) > len(labels.liquidated) / 2
    assert labels.jumped
    assert not set(labels.jumped) & set(warned)
    assert len(labels.never_close) >= 5


def test_reorg_removed_a_swap_and_a_liquidation(told: Scenario) -> None:
    labels, node = told.labels, told.devnet.chain.node
    assert 2 <= len(labels.orphaned) <= 4
    for number, gone in labels.orphaned:
        assert node.block(number)["hash"] != gone
        assert told.blocks[number].hash == node.block(number)["hash"]
    (removed,) = labels.removed
    assert removed.user == told.devnet.roles.borrowers[REORGED]
    stays = [(log["blockNumber"], log["transactionHash"]) for log in logs(told, told.devnet.aave.pool, LIQUIDATION)]
    swaps = [
        (log["address"], log["transactionHash"])
        for played in told.orphans
        for log in played.logs
        if log["topics"][0] == V3_SWAP  # type: ignore[index]
    ]
    here = {log["transactionHash"] for pool in told.devnet.v3.pools for log in logs(told, pool.address, V3_SWAP)}
    assert [item for item in swaps if item[1] not in here]
    liquidation_txs = [
        receipt.sent.hash
        for played in told.orphans
        for receipt in played.receipts
        if receipt.sent.tx.sender == told.devnet.roles.fleeting_liquidator
    ]
    assert len(liquidation_txs) == 1
    assert liquidation_txs[0] not in [item[1] for item in stays]
    again = [item for item in labels.liquidations if item.user == removed.user]
    assert again
    assert again[0].liquidator != removed.liquidator


def test_drain_and_lost_peg(told: Scenario) -> None:
    labels = told.labels
    pool = set_pieces.drained_pool(told.devnet)
    first, last = labels.phases["drain"]
    before, after = (
        told.devnet.chain.value(pool.address, "liquidity()", returns="uint128", block=number)
        for number in (first, last)
    )
    assert after < before * 0.2
    peg = set_pieces.peg_pool(told.devnet)
    sqrt_price = truth(told.devnet, labels.phases["depeg"][1], probe=False).pools[peg.address][0]
    assert abs((sqrt_price / 2**96) ** 2 - 1) > 0.02
    kinds = {row.kind for row in labels.labels}
    assert kinds >= {
        "liquidation.warning",
        "liquidation.executed",
        "pool.drain",
        "price.depeg",
        "oracle.deviation",
    }
    assert all(row.start <= row.end for row in labels.labels)


def test_probe_agrees_with_the_health_factor(told: Scenario) -> None:
    seen = {True: 0, False: 0}
    first, last = told.labels.phases["crash"]
    for number in range(first, last + 1, 5):
        row = truth(told.devnet, number)
        for user, probe in row.probes.items():
            below = row.accounts[user].health_factor < WAD
            assert probe.succeeds is below, (number, user, probe)
            seen[below] += 1
    assert min(seen.values()) > 0


def test_same_seed_same_story(told: Scenario) -> None:
    numbers = [told.start_block, *(last for _, last in told.labels.phases.values())]
    with Anvil() as node:
        again = Scenario(deploy(node), seed=1)
        again.run_all()
        assert again.labels == told.labels
        assert {n: played.hash for n, played in again.blocks.items()} == {
            n: played.hash for n, played in told.blocks.items()
        }
        for number in numbers:
            assert truth(again.devnet, number).rows() == truth(told.devnet, number).rows()


def test_another_seed_another_story(devnet: Devnet) -> None:
    paths = [Scenario(devnet, seed).path[:20] for seed in (1, 2)]
    assert paths[0] != paths[1]


def test_venue_quotes_the_market(scenario: Scenario, venue: Venue) -> None:
    venue.quote_all(scenario.prices, scenario.devnet.chain.node.timestamp())
    with httpx.Client(trust_env=False) as client:
        ticker = client.get(f"{venue.url}/products/ETH-USD/ticker").json()
        missing = client.get(f"{venue.url}/products/XYZ-USD/ticker")
    assert float(ticker["bid"]) < float(ticker["price"]) < float(ticker["ask"])
    assert float(ticker["price"]) == pytest.approx(3000, rel=0.01)
    assert re.fullmatch(r"2026-01-01T\d\d:\d\d:\d\d\.\d{6}Z", ticker["time"])
    assert missing.status_code == 404


def test_node_leaves_nothing_behind() -> None:
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with Anvil() as node:
        pid, folder = node.pid, node.directory
        node.mine()
        assert folder.is_dir()
    assert not folder.exists()
    assert not _alive(pid)


def test_node_ends_with_a_killed_owner(tmp_path: Path) -> None:
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    program = (
        "import sys, time\n"
        f"from {Anvil.__module__} import Anvil\n"
        "node = Anvil().start()\n"
        "print(node.pid, node.directory, flush=True)\n"
        "time.sleep(60)\n"
    )
    folder = ROOT / "tests" if not Anvil.__module__.startswith("tests.") else ROOT
    with subprocess.Popen([sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        assert _alive(int(pid))
        os.kill(owner.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5.0
    while (_alive(int(pid)) or Path(directory).exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(int(pid))
    assert not Path(directory).exists()


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self").exists():
        return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
