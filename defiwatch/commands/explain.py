"""`explain KEY|ADDRESS`: why there is an alert, or why there is none, from the history and the last snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from defiwatch.config import Alerts
from defiwatch.domain.risk import Alert, Reason
from defiwatch.domain.units import iso
from defiwatch.domain.view import UNSEEN, AlertRow, MarketRow, PoolRow, PositionRow, Snapshot, StakeRow
from defiwatch.errors import UsageError
from defiwatch.sinks.history import FILE_NAME, Store
from defiwatch.sinks.picture import read_picture
from defiwatch.state.lending.barrier import told


def explain(data_dir: Path, text: str, thresholds: Alerts) -> None:
    """Print what is known of an alert's key or id, or of an address.

    UsageError where nothing was ever run with this data directory. What neither history nor snapshot knows is said so.
    """
    snapshot = read_picture(data_dir)
    store = Store.existing(data_dir / FILE_NAME)
    if store is None and snapshot is None:
        raise UsageError(f"nothing was run yet with the data directory {data_dir}")
    alerts: list[Alert] = []
    if store is not None:
        with store:
            alerts = store.latest(text)
    for line in describe(text, alerts, snapshot, thresholds):
        click.echo(line)


def describe(text: str, alerts: Sequence[Alert], snapshot: Snapshot | None, thresholds: Alerts) -> Iterator[str]:
    """The explanation, line by line."""
    rows = {row.alert.key: row for row in snapshot.alerts} if snapshot else {}
    for alert in alerts:
        yield from _alert(alert, rows.get(alert.key))
    names = {text.lower(), *(alert.subject.id.lower() for alert in alerts)}
    parts = {part for name in names for part in name.split(":")}
    found = False
    if snapshot is not None:
        for position in snapshot.positions:
            if position.key.lower() in names or position.account.lower() in parts:
                found = True
                yield from _position(position, snapshot, thresholds)
        for pool in snapshot.pools:
            if _named(names, pool.key) or any(stake.account in parts for stake in pool.stakes):
                found = True
                yield from _pool(pool, snapshot, thresholds)
        for market in snapshot.markets:
            if _named(names, market.key):
                found = True
                yield from _market(market, snapshot, thresholds)
    if not alerts:
        yield f"No alert was ever raised for {text}."
    if not found:
        yield (
            "No snapshot was kept yet, so how it stands now cannot be told."
            if snapshot is None
            else f"The last snapshot ({iso(snapshot.time)}: {len(snapshot.positions)} positions,"
            f" {len(snapshot.pools)} pools, {len(snapshot.markets)} markets) does not hold it: it is not in what the"
            " configuration watches, or has neither debt nor collateral there."
        )


def _named(names: set[str], key: str) -> bool:
    """Whether a row is meant: by its key, by an address inside it, or by an alert's key that begins with it."""
    low = key.lower()
    return low in names or any(name in low or low in name for name in names if len(name) > 10)


def _alert(alert: Alert, row: AlertRow | None) -> Iterator[str]:
    yield f"{alert.key}"
    yield f"  {alert.state} at {alert.time}, {alert.severity}, score {alert.score:g}: {alert.title}"
    yield from _reasons(alert.reasons)
    evidence = alert.evidence
    if evidence.block is not None:
        where = f"block {evidence.block}" + (f", transaction {evidence.tx}" if evidence.tx else "")
        yield f"  rests on {where}; {alert.finality}, trust {alert.trust}"
    if row is not None:
        handled = "acknowledged" if row.acked else "not acknowledged"
        snoozed = f", snoozed until {iso(row.snoozed_until)}" if row.snoozed_until is not None else ""
        yield f"  stands since {iso(row.since)}; {handled}{snoozed}"
    elif alert.state in ("cleared", "retracted"):
        yield f"  no longer stands: it was {alert.state}"


def _reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    for reason in reasons:
        usual = "" if reason.usual is None else f" (usual {reason.usual:g})"
        yield f"    {reason.points:5.1f}  {reason.name} {reason.value:g}{usual}: {reason.text}"


def _position(row: PositionRow, snapshot: Snapshot, thresholds: Alerts) -> Iterator[str]:
    yield f"{row.key}  {row.protocol} on {row.chain}, {row.label}"
    if row.health_factor is None:
        yield f"  health factor unknown: {row.unknown}" if row.unknown else "  no debt: nothing can be liquidated"
    else:
        yield f"  health factor {row.health_factor:g}; liquidation below 1"
        for name, line in (
            ("warning", thresholds.health_factor_warning),
            ("critical", thresholds.health_factor_critical),
        ):
            if row.health_factor >= line:
                fall = 1 - line / row.health_factor
                yield f"  {name} below {line:g}: all collateral together would have to fall {fall:.2%}"
            else:
                yield f"  {name} below {line:g}: reached"
        if row.debt_usd < thresholds.min_debt_usd:
            yield f"  not warned of: its debt of {row.debt_usd:,.2f} USD is below {thresholds.min_debt_usd:,.2f}"
    if row.nearest:
        yield f"  nearest: {row.nearest}"
    for asset in row.assets:
        if asset.liquidation_price is not None:
            away = "" if asset.distance is None else f" ({asset.distance:+.2%})"
            yield f"  {asset.symbol}: {asset.price:g} now, liquidated at {asset.liquidation_price:g}{away}"
    for horizon, chance in row.p_liquidation.items():
        yield f"  P(liquidated within {horizon}, if nothing is done): {told(chance)}"
    if "24h" in row.p_liquidation:
        yield (
            f"  counts once a day was watched: warned of from {thresholds.p_liquidation_warning:.0%} within 24 h,"
            f" critical from {thresholds.p_liquidation_critical:.0%}"
        )
    if row.market_factor is not None:
        yield f"  health factor at market prices {row.market_factor:g}"
    if row.sentence:
        yield f"  {row.sentence}"
    yield from (f"  {text}" for text in row.remarks)
    yield from (f"  oracle of {text}" for text in row.oracles)
    if row.safe:
        yield f"  to a health factor of {thresholds.health_factor_safe:g}, one of"
        yield from (f"    {text}" for text in row.safe)
    yield from _reasons(row.reasons)
    yield _read(row.block, row.time, row.source, snapshot)


def _pool(row: PoolRow, snapshot: Snapshot, thresholds: Alerts) -> Iterator[str]:
    yield f"{row.key}  {row.protocol} on {row.chain}, {row.label}"
    if row.unknown:
        yield f"  unknown: {row.unknown}"
    yield f"  score {row.score:g}; an anomaly is raised at {thresholds.anomaly_score:g}; {row.events} events seen"
    yield f"  a drain is raised when {thresholds.drain_share:.0%} of its value leaves within {thresholds.drain_window}"
    yield from (text for stake in row.stakes for text in _stake(stake))
    if row.stakes_unseen:
        yield f"  watched wallets: {UNSEEN}"
    yield from _reasons(row.reasons)
    yield _read(row.block, row.time, row.source, snapshot)


def _stake(stake: StakeRow) -> Iterator[str]:
    least = "at least " if stake.at_least and not stake.unknown else ""
    which = f" position {stake.position}" if stake.position else ""
    if stake.in_range is False:
        share = "nothing of the liquidity in range: its range is left"
    elif stake.share is None:
        share = "an unknown share"
    else:
        share = f"{least}{stake.share:.4%} of the " + ("pool" if stake.prices is None else "liquidity in range")
    worth = "" if stake.value_usd is None else f", worth {least}{stake.value_usd:,.2f} USD"
    yield f"  {stake.account}{which} has {share}{worth}"
    if stake.tokens:
        yield "    would be paid " + ", ".join(
            f"{amount:,.6g} {symbol} ({units})" for symbol, amount, units in stake.tokens
        )
    if stake.prices is not None:
        span = f"between {stake.prices[0]:g} and {stake.prices[1]:g}"
        yield f"    earns fees {'at every price' if stake.everywhere else span}"
    if stake.caveat:
        yield f"    {stake.caveat}"


def _market(row: MarketRow, snapshot: Snapshot, thresholds: Alerts) -> Iterator[str]:
    yield f"{row.key}  {row.protocol} on {row.chain}, {row.label}"
    yield f"  utilisation {row.utilisation:.2%}, warned of from {thresholds.utilisation:.2%}"
    yield f"  bad debt {row.bad_debt_usd:,.2f} USD, at risk {row.at_risk_usd:,.2f} USD, {row.positions} positions"
    if row.completeness is not None:
        yield f"  {row.completeness:.2%} of its debt is known"
    yield from (f"  {name}: {text}" for name, text in row.facts)
    yield _read(row.block, row.time, row.source, snapshot)


def _read(block: int, moment: float, source: str, snapshot: Snapshot) -> str:
    age = max(0.0, snapshot.time - moment)
    before = f"{age:,.0f} s before the snapshot, {iso(snapshot.time)}"
    return f"  last read at block {block}, {iso(moment)} ({before}), {source}"
