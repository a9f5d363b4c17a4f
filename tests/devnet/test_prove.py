"""`prove` and `positions` on a live chain: every borrower proved; one event kept from us, and it is named."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from defiwatch.commands import positions, prove
from defiwatch.commands.schema import schema
from defiwatch.config import Config, parse
from defiwatch.domain.ids import short
from defiwatch.domain.keccak import topic
from defiwatch.domain.units import WAD
from defiwatch.engine.learnt import write_learnt
from defiwatch.errors import DifferenceError, SourceError
from defiwatch.models.outlook import KNOWN_S
from tests.devnet.config import config_toml
from tests.devnet.fixtures import put_back
from tests.devnet.model import Devnet
from tests.devnet.runs import engine, watch
from tests.devnet.scenario import Scenario
from tests.devnet.truth import truth
from tests.devnet.venue import Venue

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(280)]

Row = dict[str, Any]
MINT = topic("Mint(address,address,uint256,uint256,uint256)")


@pytest.fixture(scope="module")
def played(deployed: Devnet) -> Iterator[Devnet]:
    """The story up to the middle of its crash, told once: nothing here changes the chain."""
    with put_back(deployed) as devnet:
        scenario = Scenario(devnet)
        scenario.prepare()
        for step in scenario.steps():
            step.run()
            if step.phase == "crash" and step.at > 20:
                break
        yield devnet


@contextmanager
def between(url: str, keep: Callable[[Row], bool]) -> Iterator[str]:
    """A node in front of the node, which leaves out the logs that `keep` refuses."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            request = urllib.request.Request(url, asked, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                told = json.loads(answer.read())
            questions = json.loads(asked)
            if isinstance(questions, dict) and questions["method"] == "eth_getLogs" and "result" in told:
                told["result"] = [log for log in told["result"] if keep(log)]
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config_of(devnet: Devnet, *rpc: str) -> Config:
    return parse(config_toml(devnet, rpc=rpc or None), "devnet")


def printed(capfdbinary: pytest.CaptureFixture[bytes]) -> list[Row]:
    return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


@pytest.mark.parametrize("back", [1_000, 40, 0])
def test_every_borrower_is_proved(
    played: Devnet, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], back: int
) -> None:
    """From before the market was there, from some blocks ago, and by reads of the block alone."""
    config = config_of(played)
    validator = jsonschema.Draft202012Validator(schema("proof"))
    told = truth(played, "latest", probe=False).accounts
    everyone = (*played.roles.borrowers, *played.roles.morpho_borrowers)
    for user in everyone if back == 1_000 else everyone[::4]:
        assert prove.run(config, tmp_path, user, as_json=True, back=back) == 0
        lines = printed(capfdbinary)
        for line in lines:
            validator.validate(line)
            assert line["equal"]
            assert {term["difference"] for term in line["terms"]} == {"0"}
            assert line["since"] == max(0, line["block"] - back)
        found = {line["protocol"]: {term["name"]: term for term in line["terms"]} for line in lines}
        if user in told and "aave_v3" in found:
            assert int(found["aave_v3"]["health_factor"]["contract"]) == told[user].health_factor
            assert len(found["aave_v3"]) > 8
        if user in played.roles.morpho_borrowers and back == 1_000:
            assert "borrow_shares" in found["morpho_blue"]


def test_an_older_block_is_proved(played: Devnet, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    block = played.chain.node.height() - 30
    user = played.roles.borrowers[3]
    assert prove.run(config_of(played), tmp_path, user, block=block, as_json=True) == 0
    (line,) = printed(capfdbinary)
    assert line["block"] == block
    told = truth(played, block, probe=False).accounts[user]
    assert {term["name"]: term["ours"] for term in line["terms"]}["health_factor"] == str(told.health_factor)


def test_a_dropped_event_is_named(played: Devnet, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without one mint of debt, ours is short by exactly that."""
    user = played.roles.borrowers[5]
    market = played.aave
    debts = {reserve.variable_debt.lower(): symbol for symbol, reserve in market.reserves.items()}
    account = "0x" + user[2:].lower().rjust(64, "0")
    logs: list[Row] = played.chain.node.rpc(
        "eth_getLogs", {"fromBlock": "0x0", "address": list(debts), "topics": [MINT, None, account]}
    )
    lost = logs[-1]
    symbol = debts[lost["address"]]
    place = (lost["blockNumber"], lost["logIndex"])
    with between(played.http_url, lambda log: (log["blockNumber"], log["logIndex"]) != place) as url:
        config = config_of(played, url)
        with pytest.raises(DifferenceError, match=f"{symbol} scaled_debt") as caught:
            prove.run(config, tmp_path, user, chain="devnet")
        assert caught.value.exit_code == 4
        out = capfd.readouterr().out
        assert "NOT EQUAL" in out
        row = next(line.split() for line in out.splitlines() if line.strip().startswith(f"{symbol} scaled_debt"))
        assert int(row[-1]) < 0
        assert prove.run(config, tmp_path, played.roles.borrowers[6], chain="devnet") == 0


def test_positions_now(played: Devnet, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """What an account needs is read at one block; numbers are the contract's, what-ifs move them."""
    config = config_of(played)
    told = truth(played, "latest", probe=False).accounts
    users = played.roles.borrowers[:8]
    assert positions.run(config, tmp_path, users, as_json=True) == 0
    lines = printed(capfdbinary)
    validator = jsonschema.Draft202012Validator(schema("position"))
    ours = {line["account"]: line for line in lines if line["protocol"] == "aave_v3"}
    for line in lines:
        validator.validate(line)
    for user in users:
        account = told[user]
        found = ours.get(user.lower())
        if found is None:
            assert not account.collateral_base
            assert not account.debt_base
            continue
        assert (found["health_factor"], found["collateral_base"], found["debt_base"]) == (
            str(account.health_factor),
            str(account.collateral_base),
            str(account.debt_base),
        )
    owing = next(line for line in ours.values() if line["debt_base"] != "0")
    debt = next(leg for leg in owing["legs"] if leg["debt"] != "0")
    whole = {debt["symbol"]: str(int(debt["debt"]) // 10 ** debt["decimals"] // 2)}
    assert positions.run(config, tmp_path, [owing["account"]], repays=whole, as_json=True) == 0
    (after,) = (line for line in printed(capfdbinary) if line["protocol"] == "aave_v3")
    assert int(after["health_factor"]) > int(owing["health_factor"])
    assert after["what_if"]["health_factor_before"] == owing["health_factor"]


def test_what_moves_positions_is_read_where_no_run_has_learnt_it(
    played: Devnet, tmp_path: Path, venue: Venue, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Volatility and rhythms from the feeds' own rounds, market prices from a venue and from pools; then from what a
    run has kept."""
    node = played.chain.node
    venue.quote("ETH-USD", 1_800.0, node.timestamp())
    quotes = f'[quotes.coinbase]\nurl = "{venue.url}"\npairs = ["ETH-USD"]\n'
    config = parse(config_toml(played) + quotes, "devnet")
    users = played.roles.borrowers[:4]
    assert positions.run(config, tmp_path, users, as_json=True) == 0
    lines = [line for line in printed(capfdbinary) if line["protocol"] == "aave_v3" and line["debt_base"] != "0"]
    assert lines
    rounds = {feed.proxy.lower(): feed for feed in played.feeds.values()}
    for line in lines:
        assert "rounds of" in line["learnt_from"]
        assert line["volatility"] > 0.0
        for oracle in line["oracles"]:
            assert (oracle["kind"], oracle["source"]) == ("feed", oracle["feed"])
            assert rounds[oracle["feed"]].asset == oracle["symbol"]
            assert oracle["age_s"] >= 0.0
        weth = [leg for leg in line["dual"]["legs"] if leg["symbol"] == "WETH"]
        assert all(leg["market_price"] is not None for leg in weth)
    pushed = [oracle for line in lines for oracle in line["oracles"] if oracle["symbol"] == "WETH"]
    proxy = played.feeds["WETH"].proxy
    last = played.chain.call(proxy, "latestRound()", returns="uint256")[0] & (2**64 - 1)
    assert {oracle["pushes"] for oracle in pushed} == {min(last, 96)}
    assert {oracle["learnt_from"] for oracle in pushed} == {"feed"}

    seen = engine(played, [played.http_url])
    asyncio.run(watch([seen], played, iter(())))
    token = played.tokens["WETH"].address.lower()
    of_weth = [rhythm for key, rhythm in seen.line.judge.rhythms.items() if key.startswith("aave_v3") and token in key]
    assert {(rhythm.origin, rhythm.count > 6) for rhythm in of_weth} == {("feed", True)}
    told_of = [row.oracles for row in seen.engine.snapshot().positions if row.oracles and row.protocol == "aave_v3"]
    assert any(f"WETH: feed {short(proxy.lower())} (WETH / USD)" in text for texts in told_of for text in texts)
    write_learnt(tmp_path, seen.engine)
    assert positions.run(config, tmp_path, users, as_json=True) == 0
    again = [line for line in printed(capfdbinary) if line["protocol"] == "aave_v3" and line["debt_base"] != "0"]
    learnt = [line for line in again if line["learnt_from"].startswith("learnt by the run of this data directory")]
    known = seen.line.judge.outlook.slow
    whole = all(known.known(p) >= KNOWN_S for p in seen.line.positions() if p.account in users and p.debt_base)
    assert len(learnt) == (len(again) if whole else 0)


def test_morpho_now(played: Devnet, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Markets that the configuration does not name are found by the account's own logs."""
    config = config_of(played)
    assert positions.run(config, tmp_path, played.roles.morpho_borrowers, as_json=True) == 0
    lines = [line for line in printed(capfdbinary) if line["protocol"] == "morpho_blue"]
    assert {line["account"] for line in lines} == {user.lower() for user in played.roles.morpho_borrowers}
    owing = 0
    for line in lines:
        _, borrowed, collateral = played.chain.call(
            played.morpho.address,
            "position(bytes32,address)",
            bytes.fromhex(line["market"][2:]),
            line["account"],
            returns="uint256,uint128,uint128",
        )
        assert sum(int(leg["scaled_debt"]) for leg in line["legs"]) == borrowed
        assert sum(int(leg["collateral"]) for leg in line["legs"]) == collateral
        owing += borrowed > 0
    assert owing >= 3


def test_a_supposed_fall(played: Devnet, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Half the price of WETH harms who holds it against other debt; whoever is below 1 then could be liquidated."""
    config = config_of(played)
    told = truth(played, "latest", probe=False).accounts
    users = [user for user in played.roles.borrowers if told[user].debt_base]
    assert positions.run(config, tmp_path, users, shocks={"WETH": -0.5}, as_json=True) == 0
    harmed = 0
    for line in printed(capfdbinary):
        if line["what_if"] is None or line["protocol"] != "aave_v3":
            continue
        weth = next(leg for leg in line["legs"] if leg["symbol"] == "WETH")
        before, after = int(line["what_if"]["health_factor_before"]), int(line["health_factor"])
        assert before == told[line["account"]].health_factor if line["account"] in told else True
        if weth["collateral_base"] != "0" and weth["debt"] == "0":
            harmed += 1
            assert after < before
        if after < WAD:
            assert line["probes"]
    assert harmed > 3


@pytest.mark.parametrize("command", ["positions", "prove"])
def test_no_source_is_told_apart(tmp_path: Path, played: Devnet, command: str) -> None:
    config = config_of(played, "http://127.0.0.1:9")
    with pytest.raises(SourceError) as caught:
        if command == "positions":
            positions.run(config, tmp_path, [played.roles.whale])
        else:
            prove.run(config, tmp_path, played.roles.whale)
    assert caught.value.exit_code == 3
