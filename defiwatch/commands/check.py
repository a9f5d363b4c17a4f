"""`defiwatch check`: what every configured endpoint is good for, found out by asking it.

A few questions each (about twenty, none of them names a wallet): chain id, head, how many blocks one `eth_getLogs` may
span, how many questions one batch may hold, subscriptions, Multicall3, and whether blocks can be proved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from defiwatch.collectors.chain.probe import BATCHES, RANGES, Probe
from defiwatch.collectors.wire import HEADER, TEXT, connect
from defiwatch.config import Chain, Config, Endpoint, duration, mask, rate
from defiwatch.domain.units import from_hex, iso
from defiwatch.errors import EndpointError, ExitCode

CHECK_SCHEMA = "defiwatch.check/1"

Verdict: TypeAlias = Literal["ok", "stale", "wrong_chain", "unreachable"]

_STALE_BLOCKS = 10
_STALE_AT_LEAST_S = 60.0


class RequestNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """Requests a minute that a chain takes at its head, about, at each grade of trust; `asked` is the configured one.

    Counted: the head where it is polled, two questions for logs, one for reads (every `reads`, else every block), what
    stands by; then one for the receipts (consistent), one more endpoint's header (proof), `quorum` less one (quorum).
    A block with very many reads, and catching up, take more.
    """

    single: float
    quorum: float
    consistent: float
    proof: float
    asked: float
    budget: float | None = None
    """What the budgets of the chain and of its endpoints allow a minute; None where none is set."""
    fits: bool | None = None


class EndpointReport(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. What is None was not found out, because it could not be reached or refused to say.

    `latency_ms` is from one question to its answer. `log_range` is the widest span of blocks tried (up to 100,000) that
    one `eth_getLogs` may have, `batch` the largest batch tried (up to 100). `subscription` is None over HTTP, which has
    none. `proof` says that `eth_getBlockReceipts` works.
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
    error: str = ""


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """One chain: `ok` if at least one of its endpoints serves it, be it one whose newest block is old."""

    name: str
    chain_id: int
    ok: bool
    endpoints: tuple[EndpointReport, ...]
    needs: RequestNeeds | None = None


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
) -> CheckReport:
    """Ask every endpoint of every chain, at the same time. `timeout` in seconds for each question."""
    chains = await asyncio.gather(*(_chain(chain, timeout, wall) for chain in config.chains))
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
        if chain.needs is not None and chain.endpoints:
            lines.append(f"  requests: {_needs(chain.needs)}")
        if not chain.endpoints:
            lines.append('  no endpoint: set rpc = ["wss://…", "https://…"]')
    return lines


def _needs(needs: RequestNeeds) -> str:
    """The requests that a chain takes, and whether its budget allows them."""
    more = ", ".join(f"{name} {getattr(needs, name) - needs.single:+.0f}" for name in ("quorum", "consistent", "proof"))
    text = f"about {needs.asked:.0f} a minute (one source {needs.single:.0f}; {more})"
    if needs.budget is None:
        return f"{text}, no budget is set"
    return f"{text}, the budget of {needs.budget:.0f} {'is enough' if needs.fits else 'is NOT enough'}"


def _facts(one: EndpointReport) -> list[tuple[str, str]]:
    """What is known of an endpoint, in words."""
    facts: list[tuple[str, str]] = []
    if one.error:
        facts.append(("error", one.error))
    if one.head is not None:
        age = "" if one.head_age_s is None else f", {one.head_age_s:.0f} s old"
        facts.append(("head", f"block {one.head:,}{age}"))
    if one.latency_ms is not None:
        facts.append(("latency", f"{one.latency_ms:.0f} ms"))
    if one.log_range is not None:
        facts.append(("log range", f"{one.log_range:,} blocks" + (" or more" if one.log_range == RANGES[0] else "")))
    if one.batch is not None:
        facts.append(
            ("batch", "none" if one.batch == 1 else f"{one.batch}" + (" or more" if one.batch == BATCHES[0] else ""))
        )
    for name, value, no in (
        ("subscription", one.subscription, "no: heads are polled"),
        ("multicall", one.multicall, "no: reads go in batches"),
        ("pinned reads", one.pinned_reads, "by number only"),
        ("proof", one.proof, "no eth_getBlockReceipts: blocks cannot be proved"),
    ):
        if value is not None:
            facts.append((name, "yes" if value else no))
    return facts


def needs_of(chain: Chain, *, pushed: bool) -> RequestNeeds:
    """About how many requests a minute the chain takes; `pushed`: whether an endpoint announces its heads."""
    blocks = 60.0 / chain.block_time
    reads = min(blocks, 60.0 / duration(chain.reads)) if chain.reads and duration(chain.reads) > 0 else blocks
    standing_by = max(0, len(chain.endpoints) - 1) * 60.0 / max(2 * chain.block_time, 1.0)
    single = (0.0 if pushed else 2 * blocks) + 2 * blocks + reads + standing_by
    grades = {
        "single": single,
        "quorum": single + (chain.quorum - 1) * blocks,
        "consistent": single + blocks,
        "proof": single + 2 * blocks,
    }
    own = [60.0 * rate(endpoint.budget) for endpoint in chain.endpoints if endpoint.budget]
    limits = [60.0 * rate(chain.budget)] if chain.budget else []
    if own and len(own) == len(chain.endpoints):
        limits.append(sum(own))
    budget = min(limits, default=None)
    asked = grades[chain.trust]
    return RequestNeeds(
        **{name: round(value, 1) for name, value in grades.items()},
        asked=round(asked, 1),
        budget=budget,
        fits=None if budget is None else asked <= budget,
    )


async def _chain(chain: Chain, timeout: float, wall: Callable[[], float]) -> ChainReport:  # noqa: ASYNC109 - passed on
    reports = await asyncio.gather(*(_endpoint(chain, endpoint, timeout, wall) for endpoint in chain.endpoints))
    pushed = any(report.subscription for report in reports if report.verdict == "ok")
    ok = any(report.verdict in ("ok", "stale") for report in reports)
    return ChainReport(
        name=chain.name, chain_id=chain.chain_id, ok=ok, endpoints=tuple(reports), needs=needs_of(chain, pushed=pushed)
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
            return EndpointReport(url=url, verdict="wrong_chain", chain_id=chain_id, error=expected)
        started = time.perf_counter()
        header = await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)
        latency = 1000 * (time.perf_counter() - started)
        if header is None:
            return EndpointReport(url=url, verdict="unreachable", chain_id=chain_id, error="it has no latest block")
        probe = Probe(rpc, header)
        age = max(0.0, wall() - from_hex(header.timestamp))
        stale = age > max(_STALE_BLOCKS * chain.block_time, _STALE_AT_LEAST_S)
        return EndpointReport(
            url=url,
            verdict="stale" if stale else "ok",
            chain_id=chain_id,
            head=from_hex(header.number),
            head_age_s=round(age, 1),
            latency_ms=round(latency, 1),
            log_range=await probe.log_range(),
            batch=await probe.batch(),
            subscription=await probe.subscription(),
            multicall=await probe.multicall(),
            pinned_reads=await probe.pinned(),
            proof=await probe.proof(),
            error=f"its newest block is {age:.0f} s old" if stale else "",
        )
    except EndpointError as error:
        return EndpointReport(url=url, verdict="unreachable", error=str(error))
    finally:
        if rpc is not None:
            await rpc.close()


def _number(text: str) -> int | None:
    try:
        return from_hex(text)
    except ValueError:
        return None


def run(config: Config, data_dir: Path, *, as_json: bool = False) -> int:  # noqa: ARG001 - every command takes it
    """Check and print; the exit code."""
    report = asyncio.run(check(config))
    text = msgspec.json.encode(report).decode() if as_json else "\n".join(render(report))
    print(text)  # noqa: T201 - stdout is data
    return exit_code(report)
