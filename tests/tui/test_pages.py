"""What the pages of a row tell, line by line, without a screen."""

from __future__ import annotations

import msgspec

from defiwatch.domain.view import PriceRow
from defiwatch.tui.kinds.alert import STANDING
from defiwatch.tui.kinds.kind import Kind, R, reasons
from defiwatch.tui.kinds.pool import POOL
from defiwatch.tui.kinds.position import POSITION
from defiwatch.tui.kinds.price import PRICE
from defiwatch.tui.picture import Picture
from tests.tui.samples import story
from tests.tui.stage import CRASH


def written(kind: Kind[R], row: R, picture: Picture | None = None, width: int = 100) -> str:
    lines = reasons(kind, row, picture or Picture(snapshot=story(CRASH)), width)
    assert all(sum(len(text) for text, _ in line) <= width for line in lines)
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def test_a_pool_tells_its_mean_its_depth_and_what_is_inside() -> None:
    pool = story(CRASH).pools[0]
    bare = written(POOL, pool)
    assert "too little is known yet" in bare
    assert "cannot be told" in bare
    assert "largest token" not in bare
    rich = msgspec.structs.replace(
        pool, price=1.03, twap=1.0, twap_gap=0.0296, share=0.81, depth_usd=(2_140_000.0, 950_000.0)
    )
    told = written(POOL, rich)
    assert "2.96 % off" in told
    assert "$2.14M down, $950.0k up" in told
    assert "81.0 %" in told
    assert "trust" in told


def test_a_position_tells_what_would_make_it_safe() -> None:
    row = next(row for row in story(CRASH).positions if row.distance is not None and row.distance > 0)
    rich = msgspec.structs.replace(
        row,
        safe=("repay 83,584.6 DAI", "add 69.493 WETH"),
        sentence="liquidated if the oracle of WETH is 2.4 % too high",
        market_factor=1.0321,
        oracles=("WETH: feed ETH/USD, 12 s old",),
    )
    told = written(POSITION, rich)
    for line in (
        "What would make it safe",
        "repay 83,584.6 DAI",
        "add 69.493 WETH",
        "Liquidated if the oracle of WETH is 2.4 % too high.",
        "at market prices",
        "1.032",
        "How the prices come",
        "WETH: feed ETH/USD, 12 s old",
        "falls together by",
        "nearest alone",
    ):
        assert line in told
    assert told.index("What would make it safe") < told.index("Assets")
    assert "What would make it safe" not in written(POSITION, row)


def test_a_position_below_the_line_is_not_said_to_be_liquidated_by_what_heals_it() -> None:
    row = next(row for row in story(CRASH).positions if row.distance is not None and row.distance < 0)
    told = written(POSITION, row)
    assert "below the line by" in told
    assert "brought back by" in told
    assert "where each one alone would bring it back" in told
    assert "falls together by" not in told
    assert "nearest alone" not in told


def test_a_standing_alert_tells_how_its_subject_is_now() -> None:
    crash = story(CRASH)
    row = next(row for row in crash.alerts if row.alert.kind == "liquidation.warning")
    position = next(one for one in crash.positions if row.alert.key.startswith(f"{one.key}:"))
    better = msgspec.structs.replace(position, health_factor=1.0619, distance=0.0583)
    rest = tuple(one for one in crash.positions if one.key != position.key)
    told = written(STANDING, row, Picture(snapshot=msgspec.structs.replace(crash, positions=(better, *rest))))
    assert "health factor 1.061, 5.8 % away" in told
    gone = written(STANDING, row, Picture(snapshot=msgspec.structs.replace(crash, positions=rest)))
    assert "its subject now" not in gone


def test_where_the_label_is_the_markets_the_account_stands_before_it() -> None:
    crash = story(CRASH)
    row = msgspec.structs.replace(crash.positions[0], label=crash.markets[0].label)
    picture = Picture(snapshot=msgspec.structs.replace(crash, positions=(row, *crash.positions[1:])))
    cell = "".join(text for text, _ in POSITION.columns[1].draw(row, picture))
    assert cell == f"{row.account[:6]}…{row.account[-4:]} {crash.markets[0].label}"


def test_the_price_that_sources_agree_on_stands_before_each_of_them() -> None:
    crash = story(CRASH)
    each = [PriceRow("WETH", 3000.0 + i, name, crash.time, i / 3000, "x") for i, name in enumerate(("aave", "dex"))]
    agreed = PriceRow("WETH", 3000.0, "oracle, 2 sources", crash.time, 0.0003, "x", sources=2)
    picture = Picture(snapshot=msgspec.structs.replace(crash, prices=(*each, agreed)))
    assert [row.source for row in PRICE.rows(picture)] == ["oracle, 2 sources", "aave", "dex"]
    told = written(PRICE, agreed, picture)
    assert "+0.03 %" in told
    assert told.index("aave") < told.index("dex")
