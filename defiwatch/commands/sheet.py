"""A lending position as people read it: one line, or a sheet with everything that is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from defiwatch.domain.ids import short
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import UINT256_MAX, WAD, iso, to_float
from defiwatch.models.outlook import KNOWN_S
from defiwatch.state.lending.barrier import told
from defiwatch.state.lending.desk import Probe
from defiwatch.state.lending.distances import Move, moves
from defiwatch.state.lending.insight import Insight
from defiwatch.state.lending.paths import phrase as phrase_path
from defiwatch.state.lending.remedies import phrase
from defiwatch.state.lending.words import movement, remarks


def factor_text(wad: int) -> str:
    """A health factor in wad in words."""
    return "no debt" if wad == UINT256_MAX else f"{wad / WAD:.4f}"


def brief(position: Position) -> str:
    """One line."""
    scale = position.base_decimals
    return (
        f"{position.block} {position.account} {position.protocol} health factor "
        f"{position.unknown or factor_text(position.health_factor)} "
        f"collateral {to_float(position.collateral_base, scale):,.2f} "
        f"debt {to_float(position.debt_base, scale):,.2f} {position.base}"
    )


def sheet(
    position: Position,
    insight: Insight | None = None,
    p_liquidation: Mapping[str, float] | None = None,
    volatility: tuple[float, float] | None = None,
    learnt_from: str = "",
    *,
    before: int | None = None,
) -> list[str]:
    """Everything, line by line. `before`: the health factor as it stands, where this is a "what if"."""
    name = position.label or short(position.market)
    lines = [
        f"{position.account}  {position.protocol} {name}, chain {position.chain_id}",
        f"  block {position.block}, {iso(position.time)}",
    ]
    if position.unknown:
        lines.append(f"  cannot be told: {position.unknown}")
    else:
        lines += _numbers(position, before)
    legs = insight.legs if insight is not None else position.legs
    lines += _table(position, legs)
    if insight is not None:
        lines += [f"  {text}" for text in _outlook(insight, p_liquidation or {}, volatility, learnt_from)]
        lines += _safe(position, insight)
        lines += _probes(insight)
    return lines


def _numbers(position: Position, before: int | None) -> Iterator[str]:
    scale, base = position.base_decimals, position.base
    was = "" if before is None else f" (now {factor_text(before)})"
    yield f"  health factor {factor_text(position.health_factor)}{was}" + (
        ": can be liquidated" if position.health_factor < WAD else ""
    )
    yield (
        f"  collateral {to_float(position.collateral_base, scale):,.2f} {base}, "
        f"debt {to_float(position.debt_base, scale):,.2f} {base}, "
        f"can still borrow {to_float(position.available_borrows_base, scale):,.2f} {base}"
    )
    mode = f", eMode {position.emode}" if position.emode else ""
    yield f"  liquidation threshold {position.liquidation_threshold / 100:.2f} %{mode}"


def _table(position: Position, legs: Sequence[Leg]) -> Iterator[str]:
    if not legs:
        return
    scale = position.base_decimals
    crossing = {} if position.unknown else {move.asset: move for move in moves(position)}
    rows = [("asset", "collateral", "debt", f"price {position.base}", "liquidated at", "move")]
    for leg in legs:
        move: Move | None = crossing.get(leg.asset)
        rows.append(
            (
                leg.symbol or short(leg.asset),
                _amount(leg.collateral, leg.decimals)
                + ("" if leg.liquidation_threshold or not leg.collateral else "*"),
                _amount(leg.debt, leg.decimals),
                f"{to_float(leg.price, scale):,.6g}",
                "-" if move is None else f"{move.liquidation_price / 10**scale:,.6g}",
                "-" if move is None else f"{move.move:+.2%}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  " + "  ".join(cells).rstrip()
    if any(leg.collateral and not leg.liquidation_threshold for leg in legs) and not position.unknown:
        yield "  * does not count as collateral"


def _amount(units: int, decimals: int) -> str:
    return f"{to_float(units, decimals):,.6g}" if units else "-"


def _outlook(
    insight: Insight, p_liquidation: Mapping[str, float], volatility: tuple[float, float] | None, learnt_from: str
) -> Iterator[str]:
    if insight.common_shock is not None:
        verb = "falls" if insight.common_shock >= 0 else "rises"
        at = "liquidated" if insight.common_shock >= 0 else "safe again"
        yield f"{at} if all collateral together {verb} {abs(insight.common_shock):.2%}"
    yield from remarks(insight)
    if p_liquidation:
        words = {horizon: told(chance).partition(",") for horizon, chance in p_liquidation.items()}
        chances = ", ".join(f"{horizon} {number}" for horizon, (number, _, _) in words.items())
        limits = next((limit.strip() for _, _, limit in words.values() if limit), "")
        yield f"P(liquidated, if nothing is done): {chances}" + (f" ({limits})" if limits else "")
    if insight.common_shock is not None:
        yield from movement(p_liquidation, volatility, learnt_from, KNOWN_S)
    dual = insight.dual
    if dual is not None:
        if dual.market is not None:
            coming = "" if dual.coming is None else f", {dual.coming:.4f} once the oracles have caught up"
            yield f"health factor at market prices {dual.market:.4f}{coming}"
        else:
            without = [leg.symbol or short(leg.asset) for leg in dual.legs if leg.market_price is None]
            yield f"health factor at market prices not known: no market price of {', '.join(without)}"
        if dual.sentence:
            yield dual.sentence
    yield from (f"oracle of {phrase_path(path)}" for path in insight.paths)


def _safe(position: Position, insight: Insight) -> Iterator[str]:
    if not insight.remedies:
        return
    yield f"  to a health factor of {insight.remedies[0].target / WAD:.2f}, one of"
    decimals = {leg.asset: leg.decimals for leg in insight.legs}
    for one in insight.remedies:
        worth = f" ({to_float(one.value, position.base_decimals):,.2f} {position.base})" if one.value else ""
        yield f"    {phrase(one, decimals.get(one.asset, 0))}{worth}"


def _probes(insight: Insight) -> Iterator[str]:
    if not insight.probes:
        return
    legs = {leg.asset: leg for leg in insight.legs}
    yield "  a liquidation now"
    for probe in insight.probes:
        taken, paid = legs.get(probe.collateral), legs.get(probe.debt)
        if taken is None or paid is None:
            continue
        pair = f"{taken.symbol or short(taken.asset)} for {paid.symbol or short(paid.asset)}"
        yield f"    {pair}: {_outcome(probe, taken, paid)}" + (" <- pays most" if probe == insight.take else "")


def _outcome(probe: Probe, taken: Leg, paid: Leg) -> str:
    if probe.outcome != "ok":
        return probe.outcome
    paying, taking = to_float(probe.covered, paid.decimals), to_float(probe.seized, taken.decimals)
    bad = ", the rest becomes bad debt" if probe.bad_debt else ""
    return f"repays {paying:,.6g}, takes {taking:,.6g}{bad}"
