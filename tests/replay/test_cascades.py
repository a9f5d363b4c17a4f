"""The cascades of the demo's markets: plausible, repeatable, and on the market's row in words."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.commands.demo import bundled
from defiwatch.config import Config
from defiwatch.domain.risk import Position
from defiwatch.domain.view import MarketRow
from defiwatch.engine import Engine, replay
from defiwatch.engine.falls import Falls, ladder
from defiwatch.engine.line import Line
from defiwatch.engine.picture import picture
from defiwatch.state.lending.cascade import Amounts, Cascade
from defiwatch.state.lending.depth import Depth, venues


def ended() -> list[Line]:
    engine = Engine(Config(), mode="demo")
    with bundled() as path:
        for _ in replay(engine, [path]):
            pass
    return [line for _, line in sorted(engine.lines.items()) if line.intake.head is not None]


def aave(line: Line) -> list[Position]:
    return [position for (protocol, _, _), (position, _) in line.judge.standing.items() if protocol == "aave_v3"]


def cascades(line: Line) -> list[Cascade]:
    head = line.intake.head
    assert head is not None
    return ladder(line.intake, aave(line), Depth(venues(line.intake.instances, line.intake.book, head)))


def total(amounts: Amounts, line: Line, positions: list[Position]) -> float:
    decimals = {leg.asset: leg.decimals for position in positions for leg in position.legs}
    prices = {asset: line.judge.prices.usd(asset) for asset, _ in amounts}
    return float(sum((prices[asset] or 0.0) * amount / 10 ** decimals[asset] for asset, amount in amounts))


def rows(lines: list[Line]) -> tuple[MarketRow, ...]:
    shown = picture(lines, sequence=1, mode="demo", progress=None, sources=(), notices=(), events_per_s=0.0)
    return shown.markets


def test_the_numbers_are_plausible_and_repeatable() -> None:
    (line,), (again,) = ended(), ended()
    found = cascades(line)
    assert len(found) == 12
    assert msgspec.json.encode(found) == msgspec.json.encode(cascades(again))
    positions = aave(line)
    debts = sum(position.debt_base for position in positions) / 1e8
    due: dict[str, float] = {}
    for item in found:
        assert 0.0 <= total(item.pools.repaid, line, positions) <= debts * 1.02
        for end in (item.first, item.pools):
            told = sum(total(part, line, positions) for part in (end.repaid, end.bad, end.left))
            assert abs(told - total(item.debt, line, positions)) < 1.0
        assert item.pools.rests
        assert item.pools.price <= item.first.price
        # Who is due after a smaller fall is due after a greater one of the same asset.
        came = total(item.first.repaid, line, positions) + total(item.first.bad, line, positions)
        assert came >= due.get(item.asset, 0.0) - 1.0
        due[item.asset] = came
    assert max(due.values()) > debts * 0.1
    assert any(item.pools.price < item.first.price - 0.01 for item in found)
    assert len({item.asset for item in found}) == 3


def test_nothing_of_the_book_is_moved() -> None:
    (line,) = ended()
    before = line.intake.book.digest()
    cascades(line)
    assert line.intake.book.digest() == before


def test_a_markets_row_tells_them_and_they_are_kept_for_some_blocks() -> None:
    lines = ended()
    told = {name: text for row in rows(lines) if row.protocol == "aave_v3" for name, text in row.facts}
    assert "liquidated, bad debt $" in told["if WETH falls 20%"]
    assert "nobody adds collateral" in told["this assumes"]
    (line,) = lines
    falls = Falls()
    first = falls.facts(line.intake, aave(line), line.judge.prices.usd)
    assert dict(first).items() <= told.items()
    fewer = aave(line)[:1]
    assert Falls().facts(line.intake, fewer, line.judge.prices.usd) != first
    assert falls.facts(line.intake, fewer, line.judge.prices.usd) == first
    elsewhere = dict(falls.facts(line.intake, fewer, line.judge.prices.usd, "0x" + "00" * 20))
    assert elsewhere["what if prices fall"].startswith("on the pages of what falls: ")


def test_a_large_market_is_worked_out_over_several_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """One case a picture where there is much to do; what was shown stays until all is done."""
    (line,) = ended()
    whole = Falls().facts(line.intake, aave(line), line.judge.prices.usd)
    monkeypatch.setattr("defiwatch.engine.falls.WORK", 1)
    falls = Falls()
    seen = [falls.facts(line.intake, aave(line), line.judge.prices.usd) for _ in range(12)]
    assert 0 < len(seen[0]) < len(seen[-1])
    assert seen[-1] == whole
