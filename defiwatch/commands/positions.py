"""`defiwatch positions`: lending positions as they stand on the chain now, or from a recording; and "what if"."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from defiwatch.commands.shapes import WhatIfLine, position_line
from defiwatch.commands.sheet import brief, sheet
from defiwatch.config import Chain, Config
from defiwatch.domain.frames import BlockFrame, Frame, RemovedFrame
from defiwatch.domain.ids import MARKET, Address, is_address
from defiwatch.domain.risk import Leg, Position, Trust
from defiwatch.domain.units import from_hex
from defiwatch.errors import ExitCode, SourceError, UsageError
from defiwatch.protocols.spec import Instance
from defiwatch.state.lending.insight import Insight
from defiwatch.state.lending.oracles import Kind, source_calls, source_of


class Stand(msgspec.Struct, frozen=True):
    """One position with everything that is told of it."""

    position: Position
    insight: Insight | None = None
    p_liquidation: Mapping[str, float] = {}
    volatility: tuple[float, float] | None = None
    trust: Trust = "single"
    what_if: WhatIfLine | None = None


class Supposed(msgspec.Struct, frozen=True):
    """What is supposed, by symbol or address as the user wrote it: moves of prices, amounts in whole units."""

    shocks: Mapping[str, float] = {}
    repays: Mapping[str, str] = {}

    def of(self, position: Position) -> tuple[dict[Address, float], dict[Address, int]]:
        """The same by the position's own assets; what it does not hold is left out. UsageError for half a unit."""
        shocks = {leg.asset: move for leg in position.legs for name, move in self.shocks.items() if _meant(leg, name)}
        repays = {
            leg.asset: _units(leg, name, amount)
            for leg in position.legs
            for name, amount in self.repays.items()
            if _meant(leg, name) and leg.debt
        }
        return shocks, repays

    def names(self) -> set[str]:
        """Every asset that is named."""
        return {*self.shocks, *self.repays}


def run(
    config: Config,
    data_dir: Path,  # noqa: ARG001 - every command is handed it
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
        stands = iter(asyncio.run(_live(config, addresses, supposed, chain=chain)))
    count = 0
    for stand in stands:
        unused -= {name for name in unused for leg in stand.position.legs if _meant(leg, name)}
        _print(stand, as_json=as_json, one_line=each_block, first=count == 0)
        count += 1
    sys.stdout.flush()
    if unused:
        raise UsageError(f"no position holds {', '.join(sorted(unused))}")
    if count == 0:
        _say("no position: neither debt nor collateral in the markets that the configuration names")
    return ExitCode.OK


def _plain(text: str) -> Address:
    if not is_address(text):
        raise UsageError(f"expected an address (0x and 40 hex digits), got {text!r}")
    return text.lower()


def _meant(leg: Leg, name: str) -> bool:
    return name.lower() in (leg.asset.lower(), leg.symbol.lower())


def _units(leg: Leg, name: str, amount: str) -> int:
    units = Decimal(amount).scaleb(leg.decimals)
    if units != units.to_integral_value():
        raise UsageError(f"--repay {name}={amount}: {leg.symbol or leg.asset} has {leg.decimals} decimals")
    return int(units)


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
    Orphaned blocks are told too; their hash tells them apart.
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
    from defiwatch.collectors.recording import RecordingReader
    from defiwatch.engine.core import Engine
    from defiwatch.engine.line import Line

    engine = Engine(config, mode="replay")

    def standing() -> Iterator[Stand]:
        for line in engine.lines.values():
            if isinstance(line, Line) and line.settings.chain_id != MARKET and chain in (None, line.settings.name):
                yield from _of_line(line, config, accounts, supposed, insights=insights)

    ready = False
    for frame in RecordingReader(path, _say):
        if _ends_block(frame):
            if each_block and ready:
                yield from standing()
            ready = isinstance(frame, BlockFrame)
            if until is not None and isinstance(frame, BlockFrame) and from_hex(frame.header.number) > until:
                break
        engine.feed(frame)
    engine.finish()
    yield from standing()


def _ends_block(frame: Frame) -> bool:
    return isinstance(frame, BlockFrame | RemovedFrame)


def _of_line(
    line: object, config: Config, accounts: frozenset[str], supposed: Supposed | None, *, insights: bool
) -> Iterator[Stand]:
    from defiwatch.engine.lending import Lending
    from defiwatch.engine.line import Line

    if not isinstance(line, Line):
        return
    lending = Lending.of(line, config.alerts.health_factor_safe) if insights else None
    trust = line.trust_of(line.intake.head)
    for position in line.positions():
        if accounts and position.account not in accounts:
            continue
        yield Stand(position, trust=trust) if lending is None else _stand(lending, position, supposed, trust=trust)


def _stand(
    lending: object,
    position: Position,
    supposed: Supposed | None,
    *,
    trust: Trust = "single",
    kinds: Mapping[Address, Kind] | None = None,
    wallet: Mapping[Address, int] | None = None,
) -> Stand:
    from defiwatch.engine.lending import Lending

    if not isinstance(lending, Lending):
        return Stand(position, trust=trust)
    what_if = None
    shocks, repays = supposed.of(position) if supposed is not None else ({}, {})
    if (shocks or repays) and not position.unknown:
        before = position
        position, lending = lending.suppose(before, shocks, repays)
        what_if = WhatIfLine(
            shocks=shocks,
            repays={asset: str(amount) for asset, amount in repays.items()},
            health_factor_before=str(before.health_factor),
            collateral_base_before=str(before.collateral_base),
            debt_base_before=str(before.debt_base),
        )
    return Stand(
        position,
        lending.insight(position, kinds=kinds, wallet=wallet),
        lending.chances(position),
        lending.volatility(position),
        trust,
        what_if,
    )


# From the chain


async def _live(config: Config, names: Sequence[str], supposed: Supposed, *, chain: str | None) -> list[Stand]:
    """The accounts' positions on every configured chain (or on one). SourceError if none could be reached."""
    from defiwatch.engine.glimpse import lenders

    asked = lenders(config, chain)
    accounts = [await address_of(config, name) for name in names]
    answers = await asyncio.gather(
        *(_glimpse(config, one, instances, accounts, supposed) for one, instances in asked), return_exceptions=True
    )
    stands: list[Stand] = []
    faults: list[SourceError] = []
    for answer in answers:
        if isinstance(answer, SourceError):
            faults.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            stands += answer
    if len(faults) == len(answers):
        raise faults[0]
    for fault in faults:
        _say(str(fault))
    return stands


async def address_of(config: Config, name: str) -> Address:
    """An address as it is written, or the one that an ENS name leads to. UsageError for anything else."""
    if is_address(name):
        return name.lower()
    from defiwatch.collectors import ens

    if not ens.is_name(name):
        raise UsageError(f"expected an address (0x and 40 hex digits) or an ENS name, got {name!r}")
    home = next((one for one in config.chains if one.chain_id == ens.ETHEREUM and one.rpc), None)
    if home is None:
        raise UsageError(f"{name}: ENS names are looked up on Ethereum, and no chain with chain_id 1 has an endpoint")
    return await ens.resolve(name, home)


async def _glimpse(
    config: Config, chain: Chain, instances: Sequence[Instance], accounts: Sequence[Address], supposed: Supposed
) -> list[Stand]:
    from defiwatch.collectors.chain.glance import Glance
    from defiwatch.engine.glimpse import Glimpse
    from defiwatch.engine.lending import Lending
    from defiwatch.protocols.erc20 import BALANCE_OF

    glimpse = Glimpse(chain, instances, accounts)
    async with Glance(chain) as glance:
        header = await glimpse.read(glance)
        positions = glimpse.positions()
        lending = Lending(instances, glimpse.intake.book, glimpse.at, target=config.alerts.health_factor_safe)
        sources: dict[Address, Address] = {}
        for position in positions:
            desk = lending.desks.of(position)
            sources.update(desk.sources(position) if desk is not None else {})
        held = {(position.account, leg.asset) for position in positions for leg in position.legs}
        calls = {pair: BALANCE_OF.call(pair[1], pair[0]) for pair in sorted(held)}
        questions = [call for source in sorted(set(sources.values())) for call in source_calls(source)]
        answers = await glance.reads([*calls.values(), *questions], header)
    kinds: dict[Address, Kind] = {
        asset: source_of(asset, source, [a for a in answers if a.to.lower() == source]).kind
        for asset, source in sources.items()
    }
    told = {(answer.to.lower(), answer.data): BALANCE_OF.result(answer) for answer in answers}
    stands: list[Stand] = []
    for position in positions:
        wallet: dict[Address, int] = {}
        for (account, asset), call in calls.items():
            balance = told.get((call.to, call.data))
            if account == position.account and balance is not None:
                wallet[asset] = balance[0]
        stands.append(_stand(lending, position, supposed, kinds=kinds, wallet=wallet))
    for text in glimpse.intake.book.take_notices():
        _say(f"{chain.name}: {text}")
    return stands


# Printing


def _print(stand: Stand, *, as_json: bool, one_line: bool, first: bool) -> None:
    position = stand.position
    if as_json:
        line = position_line(
            position,
            trust=stand.trust,
            p_liquidation=stand.p_liquidation,
            insight=stand.insight,
            volatility=stand.volatility,
            what_if=stand.what_if,
        )
        sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    elif one_line:
        print(brief(position))  # noqa: T201 - stdout is data
    else:
        before = None
        if stand.what_if is not None:
            before = int(stand.what_if.health_factor_before)
        lines = sheet(position, stand.insight, stand.p_liquidation, stand.volatility, before=before)
        print("\n".join(lines if first else ["", *lines]))  # noqa: T201 - stdout is data


def _say(text: str) -> None:
    print(f"defiwatch: {text}", file=sys.stderr)  # noqa: T201 - stderr is words
