"""`defiwatch positions`: lending positions from a recording, or as they stand on the chain now."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from defiwatch.commands.shapes import PositionLine, position_line
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, RemovedFrame
from defiwatch.domain.ids import MARKET, is_address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import UINT256_MAX, WAD, from_hex, to_float
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
    wanted = frozenset(_plain(address) for address in addresses)
    if recording is None:
        raise UsageError("positions on a live chain need --recording in this version")
    for position in from_recording(config, recording, wanted, chain=chain, until=until, each_block=each_block):
        _print(position, as_json=as_json)
    sys.stdout.flush()
    return ExitCode.OK


def _plain(text: str) -> str:
    if not is_address(text):
        raise UsageError(f"expected an address (0x and 40 hex digits), got {text!r}")
    return text.lower()


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
    Orphaned blocks are told too; their hash tells them apart.
    """
    from defiwatch.collectors.recording import RecordingReader
    from defiwatch.engine.core import Engine

    engine = Engine(config, mode="replay")
    standing = False
    for frame in RecordingReader(path, _say):
        if _ends_block(frame):
            if each_block and standing:
                yield from _standing(engine.lines.values(), accounts, chain)
            standing = isinstance(frame, BlockFrame)
            if until is not None and isinstance(frame, BlockFrame) and from_hex(frame.header.number) > until:
                break
        engine.feed(frame)
    engine.finish()
    yield from _standing(engine.lines.values(), accounts, chain)


def _ends_block(frame: Frame) -> bool:
    return isinstance(frame, BlockFrame | RemovedFrame)


def _standing(lines: Iterable[object], accounts: frozenset[str], chain: str | None) -> Iterator[Position]:
    from defiwatch.engine.line import Line

    for line in lines:
        if not isinstance(line, Line) or line.settings.chain_id == MARKET:
            continue
        if chain is not None and line.settings.name != chain:
            continue
        for position in line.positions():
            if not accounts or position.account in accounts:
                yield position


def _print(position: Position, *, as_json: bool) -> None:
    if as_json:
        line: PositionLine = position_line(position)
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        return
    factor = "no debt" if position.health_factor == UINT256_MAX else f"{position.health_factor / WAD:.4f}"
    scale = position.base_decimals
    print(  # noqa: T201 - stdout is data
        f"{position.block} {position.account} {position.protocol} health factor {position.unknown or factor} "
        f"collateral {to_float(position.collateral_base, scale):,.2f} debt {to_float(position.debt_base, scale):,.2f}"
    )


def _say(text: str) -> None:
    print(f"defiwatch: {text}", file=sys.stderr)  # noqa: T201 - stderr is words
