"""Alerts, snapshots and frames for the tests of what leaves."""

from __future__ import annotations

from defiwatch.domain.frames import BlockFrame, Frame, Header, HeaderFrame, QuoteFrame, TickFrame
from defiwatch.domain.risk import Alert, Evidence, Reason, Severity, State, Subject
from defiwatch.domain.units import iso
from defiwatch.domain.view import (
    SNAPSHOT_SCHEMA,
    AlertRow,
    AssetRow,
    ChainRow,
    MarketRow,
    ModelRow,
    PoolRow,
    PositionRow,
    Snapshot,
)

START = 1_773_144_000
"""2026-03-10T12:00:00Z."""
POOL = "0x" + "a" * 40
USER = "0x" + "b" * 40
MARKET = "0x" + "c" * 40


def alert(
    n: int,
    *,
    severity: Severity = "warning",
    state: State = "raised",
    kind: str = "pool.anomaly",
    key: str = "",
    time: float | None = None,
    title: str = "",
) -> Alert:
    """The alert number `n`; `n` makes id, key and time."""
    return Alert(
        id=f"id-{n}",
        key=key or f"1:uniswap_v3:{POOL}{n}:anomaly",
        state=state,
        kind=kind,
        severity=severity,
        score=71.5,
        time=iso(START + n if time is None else time),
        title=title or f"alert {n}",
        subject=Subject(type="pool", chain_id=1, protocol="uniswap_v3", id=f"{POOL}{n}", label="WETH/USDC"),
        reasons=(
            Reason(name="price_move", value=0.05, points=60.0, text="moved 5 %", usual=0.001),
            Reason(name="flow", value=3.0, points=11.5, text="three times the usual flow"),
        ),
        evidence=Evidence(block=100 + n, block_hash="0x" + f"{n:064x}"),
        finality="head",
        trust="single",
    )


def header() -> HeaderFrame:
    """A recording's first line."""
    return HeaderFrame(schema="defiwatch.recording/1", config_hash="0x01")


def block(n: int) -> BlockFrame:
    """Block `n`, twelve seconds after the one before."""
    return BlockFrame(
        chain_id=1, header=Header(number=hex(n), timestamp=hex(START + 12 * n), hash="0x" + f"{n:064x}"), logs=()
    )


def quote(n: int) -> QuoteFrame:
    """A quote at second `n`."""
    return QuoteFrame(venue="coinbase", base="ETH", quote="USD", price="2400.5", time=iso(START + n))


def tick(n: int) -> TickFrame:
    """A tick at second `n`."""
    return TickFrame(time=iso(START + n))


def frames(count: int) -> list[Frame]:
    """A header and `count` blocks."""
    return [header(), *(block(n) for n in range(1, count + 1))]


def snapshot(
    sequence: int = 1, *, alerts: tuple[Alert, ...] = (), time: float = START, warming: float | None = None
) -> Snapshot:
    """A small whole: one chain, pool, position, market and model."""
    return Snapshot(
        schema=SNAPSHOT_SCHEMA,
        sequence=sequence,
        time=time,
        mode="live",
        progress=None,
        chains=(ChainRow("ethereum", 1, 23_000_001, 22_999_989, time, "single", 10, 0, warming),),
        pools=(
            PoolRow(
                key=f"1:uniswap_v3:{POOL}",
                chain="ethereum",
                protocol="uniswap_v3",
                label="WETH/USDC 0.05%",
                price=2400.5,
                value_usd=1e8,
                volume_usd_1h=None,
                change_1h=None,
                score=12.5,
                reasons=(Reason(name="flow", value=1.5, points=12.5, text="a little more flow"),),
                events=200,
                block=23_000_001,
                time=time,
                source="ethereum",
            ),
        ),
        positions=(
            PositionRow(
                key=f"1:aave_v3:{MARKET}:{USER}",
                chain="ethereum",
                protocol="aave_v3",
                market=MARKET,
                account=USER,
                label="0xbbbb…bbbb",
                watched=True,
                health_factor=1.6,
                collateral_usd=4832.0,
                debt_usd=2400.0,
                distance=0.375,
                nearest="WETH -37.5 %",
                score=0.0,
                severity=None,
                reasons=(),
                assets=(AssetRow("WETH", "0x" + "d" * 40, 2.0, 0.0, 2400.5, 0.83, 1500.3, -0.375),),
                block=23_000_000,
                time=time - 12,
                source="ethereum",
                trust="single",
                p_liquidation={"24h": 0.01},
            ),
        ),
        markets=(
            MarketRow(
                key=f"1:aave_v3:{MARKET}",
                chain="ethereum",
                protocol="aave_v3",
                label="Aave v3",
                supplied_usd=1e9,
                borrowed_usd=6e8,
                utilisation=0.6,
                positions=1,
                at_risk_usd=0.0,
                bad_debt_usd=0.0,
                completeness=1.0,
                block=23_000_000,
                time=time - 12,
                source="ethereum",
            ),
        ),
        prices=(),
        alerts=tuple(AlertRow(a, START) for a in alerts),
        feed=alerts,
        sources=(),
        models=(ModelRow("forest", "pool", 1234, "AUC", 0.91, "young", 21.5),),
    )
