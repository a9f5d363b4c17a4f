"""`defiwatch check` against in-process nodes of every temper."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import jsonschema
import msgspec
import pytest

from defiwatch.commands.check import CheckReport, EndpointReport, check, exit_code, render
from defiwatch.commands.needs import needs_of
from defiwatch.config import Config
from defiwatch.errors import ExitCode
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.line import chain_of
from tests.unit.collectors.made_up_chain import BLOCK_TIME, START_TIME, MadeUpChain

replace = msgspec.structs.replace
KEY = "0123456789abcdef0123456789abcdef"
LENGTH = 200


def just_after_the_head() -> float:
    return START_TIME + BLOCK_TIME * (LENGTH - 1) + 3.0


async def report_of(*urls: str) -> CheckReport:
    config = Config(chains=(chain_of(*urls, block_time=12.0),))
    return await check(config, timeout=2.0, wall=just_after_the_head)


async def test_a_good_websocket_and_a_narrow_http_endpoint() -> None:
    chain = MadeUpChain(LENGTH)
    async with FakeNode(chain) as good, FakeNode(chain) as narrow:
        narrow.max_range, narrow.max_batch, narrow.multicall, narrow.block_objects = 700, 25, False, False
        report = await report_of(good.ws_url, f"{narrow.http_url}/{KEY}")
        expected = (
            EndpointReport(
                url=good.ws_url,
                verdict="ok",
                chain_id=1,
                head=LENGTH - 1,
                head_age_s=3.0,
                log_range=LENGTH,
                batch=100,
                subscription=True,
                multicall=True,
                pinned_reads=True,
                proof=True,
            ),
            EndpointReport(
                url=f"{narrow.http_url}/***",
                verdict="ok",
                chain_id=1,
                head=LENGTH - 1,
                head_age_s=3.0,
                log_range=LENGTH,
                batch=20,
                subscription=None,
                multicall=False,
                pinned_reads=False,
                proof=True,
            ),
        )
    found = tuple(msgspec.structs.replace(one, latency_ms=None) for one in report.chains[0].endpoints)
    assert found == expected
    assert all(one.latency_ms is not None for one in report.chains[0].endpoints)
    assert (report.verdict, exit_code(report)) == ("ok", ExitCode.OK)


async def test_the_log_range_is_found_on_a_long_chain() -> None:
    chain = MadeUpChain(1500)
    async with FakeNode(chain) as node:
        node.max_range = 700
        report = await check(Config(chains=(chain_of(node.http_url),)), timeout=2.0)
    (one,) = report.chains[0].endpoints
    assert one.log_range == 500
    assert one.verdict == "stale"
    assert "old" in one.error
    assert exit_code(report) == ExitCode.OK


async def test_one_that_works_is_enough() -> None:
    chain = MadeUpChain(LENGTH)
    async with FakeNode(chain) as good, FakeNode(chain, chain_id=137) as other:
        report = await report_of(other.http_url, f"ws://127.0.0.1:9/{KEY}", good.http_url)
    verdicts = [one.verdict for one in report.chains[0].endpoints]
    assert verdicts == ["wrong_chain", "unreachable", "ok"]
    assert (report.verdict, exit_code(report)) == ("partial", ExitCode.OK)
    text = "\n".join(render(report))
    assert "expected chain 1, it serves 137" in text
    assert KEY not in text
    assert KEY not in msgspec.json.encode(report).decode()


async def test_none_and_nothing_configured() -> None:
    report = await report_of("http://127.0.0.1:9")
    assert (report.verdict, exit_code(report)) == ("failed", ExitCode.NO_SOURCE)
    assert "no endpoint can be used" in render(report)[0]
    report = await report_of()
    assert exit_code(report) == ExitCode.NO_SOURCE
    report = await check(Config())
    assert exit_code(report) == ExitCode.NO_SOURCE
    assert "no chain is configured" in render(report)[0]


async def test_a_limited_endpoint_is_reached_but_not_explored() -> None:
    chain = MadeUpChain(LENGTH)
    async with FakeNode(chain) as node:
        config = Config(chains=(chain_of(node.http_url, block_time=12.0),))
        plain = node._answer

        def sparing(body: bytes, connection: object = None) -> str:
            if node.asked.total() < 2:
                return plain(body)
            return '{"jsonrpc":"2.0","id":1,"error":{"code":429,"message":"compute units exceeded"}}'

        node._answer = sparing  # type: ignore[method-assign]
        report = await check(config, timeout=2.0, wall=just_after_the_head)
    (one,) = report.chains[0].endpoints
    assert (one.verdict, one.head, one.log_range, one.batch, one.multicall, one.proof) == (
        "ok",
        LENGTH - 1,
        None,
        None,
        None,
        None,
    )
    assert "not all could be found out" in one.error
    assert "compute units exceeded" in "\n".join(render(report))


async def test_the_report_fits_its_schema() -> None:
    chain = MadeUpChain(LENGTH)
    async with FakeNode(chain) as node:
        report = await report_of(node.ws_url, "http://127.0.0.1:9")
    schema = msgspec.json.schema(CheckReport)
    jsonschema.validate(msgspec.json.decode(msgspec.json.encode(report)), schema)
    assert msgspec.json.decode(msgspec.json.encode(report))["schema"] == "defiwatch.check/1"


def test_what_check_never_loads() -> None:
    code = (
        "import sys, defiwatch.commands.check;"
        "print([m for m in ('web3','river','textual','numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_budget_must_hold_is_told_beforehand() -> None:
    urls = ("wss://one.example", "https://two.example")
    chain = chain_of(*urls, block_time=12.0)
    needs = needs_of(replace(chain, budget="16/min"), pushed=1)
    assert (needs.single, needs.quorum, needs.consistent, needs.proof) == (12.5, 15.0, 17.5, 15.0)
    assert (needs.asked, needs.budget, needs.fits) == (12.5, 16.0, True)
    polled = needs_of(replace(chain, budget="20/min", trust="proof"), pushed=0)
    assert (polled.asked, polled.fits) == (20.0, True)
    announced = needs_of(replace(chain, trust="proof"), pushed=2)
    assert (announced.single, announced.asked) == (10.0, 15.0)
    coalesced = needs_of(replace(chain_of("wss://one.example", block_time=0.25), reads="4s"), pushed=1)
    assert (coalesced.single, coalesced.budget, coalesced.fits) == (255.0, None, None)


async def test_the_report_says_whether_the_budget_fits() -> None:
    async with FakeNode(MadeUpChain(LENGTH)) as node:
        config = Config(chains=(replace(chain_of(node.ws_url, block_time=12.0), budget="9/min"),))
        report = await check(config, timeout=2.0, wall=just_after_the_head)
    assert any("the budget: is NOT enough for single" in line for line in render(report))
    assert report.chains[0].endpoints[0].batch == 3  # none larger than the budget is tried


@pytest.mark.parametrize(
    ("trust", "count", "receipts", "obstacle"),
    [
        ("single", 1, False, ""),
        ("consistent", 1, True, ""),
        ("consistent", 1, False, "NOT possible: no endpoint has eth_getBlockReceipts; logs are held against the bloom"),
        ("proof", 2, True, ""),
        ("proof", 1, True, "NOT possible: it takes 2 endpoints, 1 can be used"),
        ("quorum", 2, True, "NOT possible: it takes 3 endpoints, 2 can be used"),
    ],
)
async def test_whether_the_trust_asked_for_can_be_had(trust: str, count: int, receipts: bool, obstacle: str) -> None:
    chain = MadeUpChain(LENGTH)
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(FakeNode(chain)) for _ in range(count)]
        for node in nodes:
            node.receipts = receipts
        asked = replace(chain_of(*(node.http_url for node in nodes), block_time=12.0), trust=trust, quorum=3)
        report = await check(Config(chains=(asked,)), timeout=2.0, wall=just_after_the_head)
    found = report.chains[0]
    assert (found.trust, found.reachable, found.obstacle) == (trust, not obstacle, obstacle)
    assert any(line.startswith("  trust") and (obstacle or "can give it") in line for line in render(report))
