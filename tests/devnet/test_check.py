"""`defiwatch check`, the program itself, on a chain behind endpoints of every kind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from .model import Devnet
from .node import CHAIN_ID
from .proxy import Faults, Proxy

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(120)]

DEAD = "http://127.0.0.1:9"


def ran(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    where = ["--config", str(folder / "config.toml"), "--data-dir", str(folder / "data")]
    return subprocess.run(
        [sys.executable, "-m", "defiwatch", *words, *where], capture_output=True, text=True, timeout=100
    )


def configured(folder: Path, *urls: str, more: str = "") -> None:
    lines = ["[[chains]]", 'name = "devnet"', f"chain_id = {CHAIN_ID}", f"rpc = {json.dumps(urls)}"]
    (folder / "config.toml").write_text("\n".join([*lines, "confirmations = 6", "block_time = 12", more]) + "\n")


def checked(folder: Path) -> dict[str, Any]:
    """The report as JSON, held to the schema that the program prints."""
    report = json.loads(ran(folder, "check", "--json").stdout)
    schema = json.loads(ran(folder, "schema", "check").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(report)
    assert isinstance(report, dict)
    return report


def test_every_endpoint_is_told_for_what_it_is(devnet: Devnet, tmp_path: Path) -> None:
    node = devnet.chain.node
    for _ in range(120):
        node.mine()
    node.mine(int(time.time()))
    height = node.height()
    with ExitStack() as stack:
        good, narrow, other, plain, deaf = proxies = [
            stack.enter_context(Proxy(node.http_url, node.ws_url, seed=seed)) for seed in range(5)
        ]
        narrow.set(max_range=60)
        other.set(chain_id=1)
        plain.set(without=frozenset({"eth_getBlockReceipts"}))
        deaf.set(without=frozenset({"eth_subscribe"}))
        urls = (good.ws_url, narrow.http_url, other.http_url, DEAD, plain.http_url, deaf.ws_url)
        configured(tmp_path, *urls, more='trust = "proof"\nbudget = "20/min"')
        done = ran(tmp_path, "check")
        report = checked(tmp_path)
        sent = b"".join(body for proxy in proxies for body in proxy.bodies)

    assert (done.returncode, done.stderr) == (0, "")
    assert report["verdict"] == "partial"
    (chain,) = report["chains"]
    assert (chain["name"], chain["chain_id"], chain["ok"]) == ("devnet", CHAIN_ID, True)
    found = dict(zip(urls, chain["endpoints"], strict=True))
    assert [one["verdict"] for one in found.values()] == ["ok", "ok", "wrong_chain", "unreachable", "ok", "ok"]
    assert [one["chain_id"] for one in found.values()] == [CHAIN_ID, CHAIN_ID, 1, None, CHAIN_ID, CHAIN_ID]
    serving = [one for one in found.values() if one["verdict"] == "ok"]
    assert {one["head"] for one in serving} == {height}
    assert all(0 <= one["head_age_s"] < 100 and one["latency_ms"] > 0 for one in serving)
    assert all(one["multicall"] and one["pinned_reads"] for one in serving)
    assert {url: one["log_range"] for url, one in found.items() if one["verdict"] == "ok"} == {
        good.ws_url: height + 1,
        narrow.http_url: 50,
        plain.http_url: height + 1,
        deaf.ws_url: height + 1,
    }
    assert [one["proof"] for one in serving] == [True, True, False, True]
    assert [one["subscription"] for one in serving] == [True, None, None, False]
    assert "expected chain 31337, it serves 1" in found[other.http_url]["error"]
    needs = chain["needs"]
    assert needs["single"] < needs["quorum"] <= needs["proof"] == needs["asked"]
    assert (needs["budget"], needs["fits"], chain["trust"], chain["reachable"]) == (20.0, False, "proof", True)

    for url in urls:
        assert f"  {url}: " in done.stdout
    for words in (
        f"chain id     {CHAIN_ID}",
        f"head         block {height:,}, ",
        "log range    50 blocks\n",
        f"log range    {height + 1} blocks (the whole chain)",
        "proof        no: it does not have eth_getBlockReceipts",
        "subscription no: heads are polled",
        "expected chain 31337, it serves 1",
        "connection attempts failed",
        "trust          proof: these endpoints can give it",
        "the budget: is NOT enough for proof",
    ):
        assert words in done.stdout
    assert re.search(r"latency +\d+ ms", done.stdout)
    assert not any(user.lower()[2:].encode() in sent.lower() for user in devnet.roles.borrowers)


def test_exit_codes_say_whether_a_chain_can_be_followed(devnet: Devnet, tmp_path: Path) -> None:
    node = devnet.chain.node
    with Proxy(node.http_url, node.ws_url) as proxy:
        configured(tmp_path, DEAD, proxy.http_url)
        assert ran(tmp_path, "check").returncode == 0
        proxy.faults = Faults(chain_id=1)
        done = ran(tmp_path, "check")
        assert done.returncode == 3
        assert "no endpoint can be used" in done.stdout
        assert checked(tmp_path)["verdict"] == "failed"
    configured(tmp_path)
    assert ran(tmp_path, "check").returncode == 3
    (tmp_path / "config.toml").write_text("[[chains]]\nnonsense = 1\n")
    done = ran(tmp_path, "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nonsense" in done.stderr
