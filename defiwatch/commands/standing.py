"""How positions stand: what `positions` tells of each, from a line or from a look at the chain now."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from defiwatch.collectors.chain.glance import Glance
from defiwatch.commands.chains import answered
from defiwatch.commands.names import address_of
from defiwatch.commands.shapes import WhatIfLine
from defiwatch.config import Chain, Config
from defiwatch.domain.frames import Header, QuoteFrame
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Position, Trust
from defiwatch.domain.units import from_hex, span
from defiwatch.engine.glimpse import Glimpse, lenders
from defiwatch.engine.learnt import OLD_S, read_learnt
from defiwatch.engine.lending import Lending
from defiwatch.engine.rounds import Evidence, Where, evidence, read_series
from defiwatch.engine.surroundings import pools, prices, venues
from defiwatch.errors import EndpointError, StoreError, UsageError
from defiwatch.models import Outlook
from defiwatch.models.outlook import KNOWN_S
from defiwatch.protocols.erc20 import BALANCE_OF
from defiwatch.protocols.sources import Source, source_calls, source_of
from defiwatch.protocols.spec import Instance
from defiwatch.state.lending.insight import Insight
from defiwatch.state.lending.paths import Path as OraclePath
from defiwatch.state.lending.paths import path_of
from defiwatch.state.lending.pushes import fixed, usual


class Stand(msgspec.Struct, frozen=True):
    """One position with everything that is told of it. `learnt_from`: where the volatility comes from, or why there is
    none, in words. `doubt`: what is missing that may have changed it."""

    position: Position
    insight: Insight | None = None
    p_liquidation: Mapping[str, float] = {}
    volatility: tuple[float, float] | None = None
    trust: Trust = "single"
    what_if: WhatIfLine | None = None
    learnt_from: str = ""
    doubt: str = ""


class Supposed(msgspec.Struct, frozen=True):
    """What is supposed, by symbol or address as the user wrote it: moves of prices, amounts in whole units."""

    shocks: Mapping[str, float] = {}
    repays: Mapping[str, str] = {}

    def of(self, position: Position) -> tuple[dict[Address, float], dict[Address, int]]:
        """The same by the position's own assets; what it does not hold is left out. UsageError for half a unit."""
        shocks = {leg.asset: move for leg in position.legs for name, move in self.shocks.items() if meant(leg, name)}
        repays = {
            leg.asset: _units(leg, name, amount)
            for leg in position.legs
            for name, amount in self.repays.items()
            if meant(leg, name) and leg.debt
        }
        return shocks, repays

    def names(self) -> set[str]:
        """Every asset that is named."""
        return {*self.shocks, *self.repays}


def meant(leg: Leg, name: str) -> bool:
    """Whether a leg is of the asset that is named by symbol or address."""
    return name.lower() in (leg.asset.lower(), leg.symbol.lower())


def _units(leg: Leg, name: str, amount: str) -> int:
    units = Decimal(amount).scaleb(leg.decimals)
    if units != units.to_integral_value():
        raise UsageError(f"--repay {name}={amount}: {leg.symbol or leg.asset} has {leg.decimals} decimals")
    return int(units)


def standing(
    lending: Lending,
    position: Position,
    supposed: Supposed | None,
    *,
    trust: Trust = "single",
    wallet: Mapping[Address, int] | None = None,
    paths: Sequence[OraclePath] = (),
    learnt_from: str = "",
) -> Stand:
    """A position from all sides; as it would stand, where something is supposed."""
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
        lending.insight(position, wallet=wallet, paths=paths),
        lending.chances(position),
        lending.volatility(position),
        trust,
        what_if,
        learnt_from,
    )


def say(text: str) -> None:
    """Words go to stderr."""
    print(f"defiwatch: {text}", file=sys.stderr)  # noqa: T201 - stderr is words


async def live(
    config: Config, data_dir: Path, names: Sequence[str], supposed: Supposed, *, chain: str | None
) -> list[Stand]:
    """The accounts' positions on every configured chain (or on one). SourceError if none could be reached."""
    asked = lenders(config, chain)
    accounts = [await address_of(config, name) for name in names]
    quoting = asyncio.create_task(venues(config.quotes))
    try:
        stands, faults = await answered(
            _glimpse(config, data_dir, one, instances, accounts, supposed, quoting) for one, instances in asked
        )
    finally:
        quoting.cancel()
        await asyncio.gather(quoting, return_exceptions=True)
    if len(faults) == len(asked):
        raise faults[0]
    for fault in faults:
        say(str(fault))
    return stands


async def _glimpse(
    config: Config,
    data_dir: Path,
    chain: Chain,
    instances: Sequence[Instance],
    accounts: Sequence[Address],
    supposed: Supposed,
    quoting: asyncio.Task[tuple[list[QuoteFrame], list[str]]],
) -> list[Stand]:
    glimpse = Glimpse(chain, instances, accounts)
    async with Glance(chain) as glance:
        header = await glimpse.read(glance)
        positions = glimpse.positions()
        owing = [position for position in positions if position.debt_base and not position.unknown]
        addresses = _addresses(positions, instances, glimpse)
        calls = {
            (position.account, leg.asset): BALANCE_OF.call(leg.asset, position.account)
            for position in positions
            for leg in position.legs
        }
        questions = [call for source in sorted(set(addresses.values())) for call in source_calls(source)]
        answers = await glance.reads([*calls.values(), *questions], header)
        sources = {
            where: source_of(where[2], source, [one for one in answers if one.to.lower() == source])
            for where, source in addresses.items()
        }
        known = _learnt(data_dir, chain, header, owing)
        if owing and known is None:
            known = await _evidence(glance, header, owing, sources)
        around = await pools(config, chain, glance, header) if owing else ([], [], [])
    quotes, missing = await quoting if owing else ([], [])
    book = prices(chain.chain_id, quotes, around[:2], header, positions)
    lending = Lending(
        instances,
        glimpse.intake.book,
        glimpse.at,
        target=config.alerts.health_factor_safe,
        prices=book,
        outlook=known.outlook if known is not None else None,
        rhythms=known.rhythms if known is not None else None,
    )
    told = {(answer.to.lower(), answer.data): BALANCE_OF.result(answer) for answer in answers}
    stands: list[Stand] = []
    for position in positions:
        wallet: dict[Address, int] = {}
        for (account, asset), call in calls.items():
            balance = told.get((call.to, call.data))
            if account == position.account and balance is not None:
                wallet[asset] = balance[0]
        stands.append(
            standing(
                lending,
                position,
                supposed,
                wallet=wallet,
                paths=_paths(position, sources, known, float(from_hex(header.timestamp))),
                learnt_from=_why(position, known) if known is not None and position in owing else "",
            )
        )
    for text in (*glimpse.intake.book.take_notices(),):
        say(f"{chain.name}: {text}")
    for text in (*around[2], *missing):
        say(text)
    return stands


def _addresses(positions: Sequence[Position], instances: Sequence[Instance], glimpse: Glimpse) -> dict[Where, Address]:
    """Where each price of the positions comes from."""
    held = {(position.protocol, position.market, leg.asset) for position in positions for leg in position.legs}
    return {
        (instance.protocol, market, asset): source
        for instance in instances
        for (market, asset), source in sorted(instance.price_sources(glimpse.intake.book).items())
        if (instance.protocol, market, asset) in held
    }


def _learnt(data_dir: Path, chain: Chain, header: Header, owing: Sequence[Position]) -> Evidence | None:
    """What a run has learnt of the chain, if one was kept in the data directory, knows all these positions' assets and
    is not too old."""
    try:
        found = read_learnt(data_dir, chain.chain_id)
    except StoreError as error:
        say(str(error))
        return None
    if found is None:
        return None
    learnt, outlook = found
    age = from_hex(header.timestamp) - learnt.time
    if not -OLD_S < age < OLD_S or any(outlook.slow.known(position) < KNOWN_S for position in owing):
        return None
    words = f"learnt by the run of this data directory, {'until now' if age < 60 else f'until {span(age)} ago'}"
    return Evidence(outlook, learnt.rhythms, {}, {}, {}, words)


async def _evidence(
    glance: Glance, header: Header, owing: Sequence[Position], sources: Mapping[Where, Source]
) -> Evidence:
    """What the feeds' last rounds tell."""
    feeds = [
        feed
        for position in owing
        for leg in position.legs
        if (source := sources.get((position.protocol, position.market, leg.asset))) is not None
        for feed in source.feeds or (source.address,)
    ]
    try:
        series = await read_series(glance, header, feeds)
    except EndpointError as error:
        return Evidence(Outlook(), {}, {}, {}, {}, f"P(liquidated) cannot be told: its feeds were not read: {error}")
    return evidence(owing, sources, series, float(from_hex(header.timestamp)))


def _why(position: Position, known: Evidence) -> str:
    """What a position's volatility rests on, or why it cannot be told."""
    keys = [
        (position.protocol, position.market, leg.asset)
        for leg in position.legs
        if (leg.collateral_base or leg.debt_base) and not fixed(position, leg.asset)
    ]
    if known.whole:
        return known.whole
    missing = [
        f"{leg.symbol or leg.asset}: {known.why[key]}"
        for leg in position.legs
        if (key := (position.protocol, position.market, leg.asset)) in known.why and key in keys
    ]
    if missing:
        return f"P(liquidated) cannot be told: {'; '.join(missing)}"
    return ", ".join(known.words[key] for key in keys if key in known.words)


def _paths(
    position: Position, sources: Mapping[Where, Source], known: Evidence | None, now: float
) -> tuple[OraclePath, ...]:
    found = []
    for leg in position.legs:
        if fixed(position, leg.asset):
            continue
        where = (position.protocol, position.market, leg.asset)
        source = sources.get(where)
        rhythm = known.rhythms.get(":".join(where)) if known is not None else None
        found.append(
            path_of(
                leg.asset,
                leg.symbol,
                source.address if source is not None else "",
                source,
                rhythm or usual(leg.symbol),
                now=now,
                price=leg.price,
                age=known.ages.get(where) if known is not None else None,
            )
        )
    return tuple(found)
