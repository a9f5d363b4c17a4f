"""`defiwatch positions`: lending positions as they stand on the chain now, or from a recording; and "what if"."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

import msgspec

from defiwatch.collectors.recording import RecordingReader
from defiwatch.commands.shapes import position_line
from defiwatch.commands.sheet import brief, sheet
from defiwatch.commands.standing import Stand, Supposed, live, meant, say, standing
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, RemovedFrame, is_ahead
from defiwatch.domain.ids import MARKET, Address, ChainId, is_address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import from_hex
from defiwatch.engine.core import Engine
from defiwatch.engine.lending import Lending
from defiwatch.engine.line import Line
from defiwatch.errors import ExitCode, UsageError


def run(
    config: Config,
    data_dir: Path,
    addresses: Sequence[str],
    *,
    chain: str | None = None,
    shocks: Mapping[str, float] | None = None,
    repays: Mapping[str, str] | None = None,
    recording: Path | None = None,
    until: int | None = None,
    each_block: bool = False,
    as_json: bool = False,
) -> int:
    """Print the positions; see the command's help. Exit code 0 also where an address has none."""
    supposed = Supposed(shocks or {}, repays or {})
    unused = supposed.names()
    if recording is not None:
        wanted = frozenset(_plain(address) for address in addresses)
        stands = _recorded(config, recording, wanted, supposed, chain=chain, until=until, each_block=each_block)
    else:
        stands = iter(asyncio.run(live(config, data_dir, addresses, supposed, chain=chain)))
    count = 0
    for stand in stands:
        unused -= {name for name in unused for leg in stand.position.legs if meant(leg, name)}
        _print(stand, as_json=as_json, one_line=each_block, first=count == 0)
        count += 1
    sys.stdout.flush()
    if unused:
        raise UsageError(f"no position holds {', '.join(sorted(unused))}")
    if count == 0:
        say("no position: neither debt nor collateral in the markets that the configuration names")
    return ExitCode.OK


def _plain(text: str) -> Address:
    if not is_address(text):
        raise UsageError(f"expected an address (0x and 40 hex digits), got {text!r}")
    return text.lower()


# From a recording


def from_recording(
    config: Config,
    path: Path,
    accounts: frozenset[str],
    *,
    chain: str | None = None,
    until: int | None = None,
    each_block: bool = False,
) -> Iterator[Position]:
    """Positions of `accounts` (empty: everyone) at the recording's end, after block `until`, or at each block.

    A block's positions are told once all its reads are in: when the next block comes, or it is removed, or the end.
    Orphaned blocks are told too; their hash tells them apart. At each block, a position whose prices were not read at
    that block is unknown; at the end its `prices_block` says of which block they are.
    """
    for stand in _recorded(
        config, path, accounts, None, chain=chain, until=until, each_block=each_block, insights=False
    ):
        yield stand.position


def _recorded(
    config: Config,
    path: Path,
    accounts: frozenset[str],
    supposed: Supposed | None,
    *,
    chain: str | None,
    until: int | None,
    each_block: bool,
    insights: bool = True,
) -> Iterator[Stand]:
    engine = Engine(config, mode="replay")
    tops: dict[ChainId, tuple[int, str]] = {}
    gaps: dict[ChainId, list[str]] = {}

    def now() -> Iterator[Stand]:
        for line in engine.lines.values():
            if line.settings.chain_id != MARKET and chain in (None, line.settings.name):
                doubt = "; ".join(gaps.get(line.settings.chain_id, ()))
                for stand in _of_line(line, config, accounts, supposed, insights=insights, strict=each_block):
                    yield msgspec.structs.replace(stand, doubt=doubt) if doubt else stand

    ready = False
    for frame in RecordingReader(path, say):
        if is_ahead(frame):
            continue
        if _ends_block(frame):
            if each_block and ready:
                yield from now()
            past = until is not None and isinstance(frame, BlockFrame) and from_hex(frame.header.number) > until
            ready = isinstance(frame, BlockFrame) and not past
            if past:
                break
            gap = _gap(tops, frame)
            if gap:
                gaps.setdefault(frame.chain_id, []).append(gap)
        engine.feed(frame)
    engine.finish()
    if ready or not each_block:
        yield from now()
    if not any(line.intake.instances for line in engine.lines.values()):
        say("neither the recording's header nor the configuration names a deployment on its chains")
    for text in engine.notices():
        say(text)


def _ends_block(frame: Frame) -> TypeGuard[BlockFrame | RemovedFrame]:
    return isinstance(frame, BlockFrame | RemovedFrame)


def _gap(tops: dict[ChainId, tuple[int, str]], frame: BlockFrame | RemovedFrame) -> str:
    """Which blocks are missing below this one, where its header would name its parent; "" for none."""
    if isinstance(frame, RemovedFrame):
        tops[frame.chain_id] = (from_hex(frame.number) - 1, "")
        return ""
    header = frame.header
    number, (top, top_hash) = from_hex(header.number), tops.get(frame.chain_id, (-1, ""))
    tops[frame.chain_id] = (number, header.hash)
    if not (header.parent_hash and top_hash) or number <= top + 1:
        return ""
    return f"blocks {top + 1} to {number - 1} are not in the recording"


def _of_line(
    line: Line, config: Config, accounts: frozenset[str], supposed: Supposed | None, *, insights: bool, strict: bool
) -> Iterator[Stand]:
    lending = Lending.of(line, config.alerts.health_factor_safe) if insights else None
    trust = line.trust_of(line.intake.head)
    for position in line.positions():
        if accounts and position.account not in accounts:
            continue
        if strict and -1 < position.prices_block < position.block and not position.unknown:
            yield Stand(_unread(position), trust=trust)
        elif lending is None:
            yield Stand(position, trust=trust)
        else:
            yield standing(lending, position, supposed, trust=trust)


def _unread(position: Position) -> Position:
    return msgspec.structs.replace(
        position,
        health_factor=0,
        collateral_base=0,
        debt_base=0,
        liquidation_threshold=0,
        legs=(),
        liquidation_prices={},
        available_borrows_base=0,
        ltv=0,
        unknown=f"its prices were not read at this block; the last are of block {position.prices_block}",
    )


# Printing


def _print(it: Stand, *, as_json: bool, one_line: bool, first: bool) -> None:
    position = it.position
    if as_json:
        line = position_line(
            position,
            trust=it.trust,
            p_liquidation=it.p_liquidation,
            insight=it.insight,
            volatility=it.volatility,
            learnt_from=it.learnt_from,
            what_if=it.what_if,
            doubt=it.doubt,
        )
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    elif one_line:
        print(brief(position))  # noqa: T201 - stdout is data
    else:
        before = None
        if it.what_if is not None:
            before = int(it.what_if.health_factor_before)
        lines = sheet(position, it.insight, it.p_liquidation, it.volatility, it.learnt_from, before=before)
        print("\n".join(lines if first else ["", *lines]))  # noqa: T201 - stdout is data
