"""`defiwatch check`: what every configured endpoint is good for, found out by asking it.

A few questions each (about fifteen and a batch; no budget counts them, and none names a wallet): chain id, head, how
many blocks one `eth_getLogs` may span, how many questions one batch may hold, subscriptions, Multicall3, and whether
blocks can be proved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from defiwatch.collectors.chain.probe import BATCHES, RANGES, Probe
from defiwatch.collectors.wire import HEADER, TEXT, Budget, connect
from defiwatch.commands import scans
from defiwatch.commands.needs import RequestNeeds, needs_of, told
from defiwatch.commands.scans import ScanNeeds, scan_needs
from defiwatch.config import Chain, Config, Endpoint, mask
from defiwatch.domain.units import from_hex, iso
from defiwatch.errors import EndpointError, ExitCode
from defiwatch.sinks.learnt import limits

CHECK_SCHEMA = "defiwatch.check/1"

Verdict: TypeAlias = Literal["ok", "stale", "wrong_chain", "unreachable"]

_STALE_BLOCKS = 10
_STALE_AT_LEAST_S = 60.0


class EndpointReport(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. What is None was not found out, because it could not be reached or refused to say.

    `latency_ms` is from one question to its answer. `log_range` is the widest span of blocks tried (up to 100,000, or
    the whole chain where that is shorter) that one `eth_getLogs` may have, `batch` the largest batch tried (up to 100).
    `subscription` is None over HTTP, which has none. `proof` says that `eth_getBlockReceipts` works.
    """

    url: str
    verdict: Verdict
    chain_id: int | None = None
    head: int | None = None
    head_age_s: float | None = None
    latency_ms: float | None = None
    log_range: int | None = None
    batch: int | None = None
    subscription: bool | None = None
    multicall: bool | None = None
    pinned_reads: bool | None = None
    """Whether `eth_call` takes a block by its hash (EIP-1898): reads are then of that very block, also in a reorg."""
    proof: bool | None = None
    budget: str = ""
    """The endpoint's own, as configured; "" where it has none."""
    error: str = ""


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """One chain: `ok` if at least one of its endpoints serves it, be it one whose newest block is old.

    `trust` is the grade configured, `reachable` whether these endpoints can give it, `obstacle` why not.
    """

    name: str
    chain_id: int
    ok: bool
    endpoints: tuple[EndpointReport, ...]
    needs: RequestNeeds | None = None
    trust: str = "single"
    reachable: bool = True
    obstacle: str = ""
    scan: ScanNeeds | None = None
    """What finding everyone who has a position takes; None where nothing is searched, or the head is not known."""


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole. `verdict`: ok (every endpoint), partial (every chain has one that works), failed."""

    schema: str = CHECK_SCHEMA
    time: str
    verdict: Literal["ok", "partial", "failed"]
    chains: tuple[ChainReport, ...]


async def check(
    config: Config,
    *,
    timeout: float = 15.0,  # noqa: ASYNC109 - handed to the transports, which apply it to each question
    wall: Callable[[], float] = time.time,
    data_dir: Path | None = None,
) -> CheckReport:
    """Ask every endpoint of every chain, at the same time. `timeout` in seconds for each question; `data_dir` is where
    an earlier run may have learnt what its endpoints allow."""
    spans = {c.chain_id: 0 if data_dir is None else limits(data_dir, c.chain_id).get("span", 0) for c in config.chains}
    found = await asyncio.gather(*(_chain(chain, timeout, wall) for chain in config.chains))
    chains = [
        msgspec.structs.replace(report, scan=_scan(config, chain, report, spans[chain.chain_id]))
        for chain, report in zip(config.chains, found, strict=True)
    ]
    endpoints = [endpoint for chain in chains for endpoint in chain.endpoints]
    verdict: Literal["ok", "partial", "failed"] = "failed"
    if chains and all(chain.ok for chain in chains):
        verdict = "ok" if all(endpoint.verdict == "ok" for endpoint in endpoints) else "partial"
    return CheckReport(time=iso(wall()), verdict=verdict, chains=tuple(chains))


def exit_code(report: CheckReport) -> ExitCode:
    """0 if every chain has an endpoint that works, else 3."""
    return ExitCode.NO_SOURCE if report.verdict == "failed" else ExitCode.OK


def render(report: CheckReport) -> list[str]:
    """The report as lines of plain text."""
    lines: list[str] = []
    if not report.chains:
        lines.append('no chain is configured: add [[chains]] with rpc = ["wss://…", "https://…"]')
    for chain in report.chains:
        lines.append(f"{chain.name} (chain {chain.chain_id}): {'ok' if chain.ok else 'no endpoint can be used'}")
        for one in chain.endpoints:
            lines.append(f"  {one.url}: {one.verdict.replace('_', ' ')}")
            lines += [f"    {name:<13}{text}" for name, text in _facts(one)]
        if chain.endpoints:
            lines.append(f"  trust          {chain.trust}: {chain.obstacle or 'these endpoints can give it'}")
        else:
            lines.append('  no endpoint: set rpc = ["wss://…", "https://…"]')
        if chain.needs is not None and chain.endpoints:
            lines.append("  requests a minute at the head, about")
            lines += [f"    {text}" for text in told(chain.needs, chain.trust)]
        if chain.scan is not None:
            lines.append(f"  history        {scans.told(chain.scan)}")
    return lines


def _facts(one: EndpointReport) -> list[tuple[str, str]]:
    """What is known of an endpoint, in words."""
    facts: list[tuple[str, str]] = []
    if one.error:
        facts.append(("error", one.error))
    if one.chain_id is not None:
        facts.append(("chain id", str(one.chain_id)))
    if one.head is not None:
        age = "" if one.head_age_s is None else f", {_age(one.head_age_s)} old"
        facts.append(("head", f"block {one.head:,}{age}"))
    if one.latency_ms is not None:
        facts.append(("latency", f"{one.latency_ms:.0f} ms"))
    if one.log_range is not None and one.head is not None:
        whole = one.log_range == one.head + 1 and one.log_range < RANGES[0]
        more = " (the whole chain)" if whole else " or more" if one.log_range == RANGES[0] else ""
        facts.append(("log range", f"{one.log_range:,} block{'' if one.log_range == 1 else 's'}{more}"))
    if one.batch is not None:
        facts.append(
            ("batch", "none" if one.batch == 1 else f"{one.batch}" + (" or more" if one.batch == BATCHES[0] else ""))
        )
    for name, value, no in (
        ("subscription", one.subscription, "no: heads are polled"),
        ("multicall", one.multicall, "no: reads go in batches"),
        ("pinned reads", one.pinned_reads, "by number only"),
        ("proof", one.proof, "no: it does not have eth_getBlockReceipts"),
    ):
        if value is not None:
            facts.append((name, "yes" if value else no))
    if one.budget:
        facts.append(("budget", one.budget))
    return facts


def _age(seconds: float) -> str:
    """A stretch of time in the one unit that people would say it in."""
    for unit, size in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _obstacle(chain: Chain, reports: Sequence[EndpointReport]) -> str:
    """Why these endpoints cannot give the trust that is asked for; "" if they can."""
    serving = [report for report in reports if report.verdict in ("ok", "stale")]
    needed = {"single": 1, "consistent": 1, "proof": 2, "quorum": chain.quorum}[chain.trust]
    if len(serving) < needed:
        return f"NOT possible: it takes {needed} endpoint{'' if needed == 1 else 's'}, {len(serving)} can be used"
    if chain.trust in ("consistent", "proof") and not any(report.proof for report in serving):
        return "NOT possible: no endpoint has eth_getBlockReceipts; logs are held against the bloom"
    return ""


async def _chain(chain: Chain, timeout: float, wall: Callable[[], float]) -> ChainReport:  # noqa: ASYNC109 - passed on
    reports = await asyncio.gather(*(_endpoint(chain, one, timeout, wall) for one in chain.endpoints))
    pushed = sum(1 for report in reports if report.subscription and report.verdict in ("ok", "stale"))
    ok = any(report.verdict in ("ok", "stale") for report in reports)
    obstacle = _obstacle(chain, reports)
    return ChainReport(
        name=chain.name,
        chain_id=chain.chain_id,
        ok=ok,
        endpoints=tuple(reports),
        needs=needs_of(chain, pushed=pushed),
        trust=chain.trust,
        reachable=not obstacle,
        obstacle=obstacle,
    )


def _scan(config: Config, chain: Chain, report: ChainReport, learnt: int) -> ScanNeeds | None:
    """The searches of a chain, by the widest range that was learnt, or that an endpoint takes."""
    ranges = [one.log_range for one in report.endpoints if one.log_range]
    heads = [one.head for one in report.endpoints if one.head is not None]
    if report.needs is None or not heads or not (learnt or ranges):
        return None
    latencies = [one.latency_ms / 1000.0 for one in report.endpoints if one.latency_ms is not None]
    return scan_needs(
        chain,
        config.deployments,
        head=max(heads),
        span=learnt or max(ranges),
        learnt=learnt > 0,
        budget=report.needs.budget,
        asked=report.needs.asked,
        latency_s=min(latencies, default=None),
    )


async def _endpoint(
    chain: Chain,
    endpoint: Endpoint,
    timeout: float,  # noqa: ASYNC109 - handed to the transport, which applies it to each question
    wall: Callable[[], float],
) -> EndpointReport:
    url = mask(endpoint.url)
    rpc = None
    try:
        rpc = await connect(endpoint.url, timeout=timeout)
        told = await rpc.call("eth_chainId", [], TEXT)
        chain_id = _number(told)
        if chain_id != chain.chain_id:
            expected = f"expected chain {chain.chain_id}, it serves {told[:40] if chain_id is None else chain_id}"
            return EndpointReport(
                url=url, verdict="wrong_chain", chain_id=chain_id, budget=endpoint.budget, error=expected
            )
        started = time.perf_counter()
        header = await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)
        latency = 1000 * (time.perf_counter() - started)
        if header is None:
            return EndpointReport(url=url, verdict="unreachable", chain_id=chain_id, error="it has no latest block")
        probe = Probe(
            rpc, header, min((Budget(text).limit for text in (endpoint.budget, chain.budget) if text), default=inf)
        )
        age = max(0.0, wall() - from_hex(header.timestamp))
        stale = age > max(_STALE_BLOCKS * chain.block_time, _STALE_AT_LEAST_S)
        found = EndpointReport(
            url=url,
            verdict="stale" if stale else "ok",
            chain_id=chain_id,
            head=from_hex(header.number),
            head_age_s=round(age, 1),
            latency_ms=round(latency, 1),
            subscription=await probe.subscription(),
            multicall=await probe.multicall(),
            pinned_reads=await probe.pinned(),
            proof=await probe.proof(),
            log_range=await probe.log_range(),
            batch=await probe.batch(),
            budget=endpoint.budget,
        )
        words = [f"its newest block is {_age(age)} old"] if stale else []
        words += [f"not all could be found out: {probe.trouble}"] if probe.trouble else []
        return msgspec.structs.replace(found, error="; ".join(words))
    except EndpointError as error:
        return EndpointReport(url=url, verdict="unreachable", budget=endpoint.budget, error=str(error))
    finally:
        if rpc is not None:
            await rpc.close()


def _number(text: str) -> int | None:
    try:
        return from_hex(text)
    except ValueError:
        return None


def run(config: Config, data_dir: Path, *, as_json: bool = False) -> int:
    """Check and print; the exit code."""
    report = asyncio.run(check(config, data_dir=data_dir))
    text = msgspec.json.encode(report).decode() if as_json else "\n".join(render(report))
    print(text)  # noqa: T201 - stdout is data
    return exit_code(report)
