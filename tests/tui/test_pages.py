"""What the pages of a row tell, line by line, without a screen."""

from __future__ import annotations

import msgspec

from defiwatch.domain.view import PriceRow, StakeRow
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


def test_a_pool_tells_what_watched_wallets_have_of_it() -> None:
    pool = story(CRASH).pools[0]
    assert "Watched wallets" not in written(POOL, pool)
    plain = StakeRow(
        "0x" + "11" * 20,
        "0x1111…1111",
        0.0125,
        (("WETH", 1.5, "1500000000000000000"), ("USDC", 3000.0, "3000000000")),
        6000.0,
        True,
        123,
    )
    ranged = msgspec.structs.replace(
        plain, position="77", prices=(2100.0, 2890.0), in_range=True, at_least=False, share=0.004
    )
    left = msgspec.structs.replace(ranged, in_range=False, share=0.0)
    blind = msgspec.structs.replace(plain, share=None, tokens=(), value_usd=None, unknown="its shares were not read")
    told = written(POOL, msgspec.structs.replace(pool, stakes=(plain, ranged, left, blind)))
    assert "0x1111…1111   at least 1.25 % of the pool   at least $6.00k" in told
    assert "would be paid 1.5 WETH, 3,000 USDC\n" in told
    assert "the least it can be: what the wallet had before block 123 is not known" in told
    assert "0x1111…1111 position 77   0.40 % of the liquidity in range   $6.00k" in told
    assert "earns fees between 2,100.00 and 2,890.00" in told
    assert "0x1111…1111 position 77   out of range   $6.00k" in told
    assert "0x1111…1111   share unknown\n  its shares were not read" in told
    assert "since before it was watched" not in told
    assert "since before it was watched" in written(POOL, msgspec.structs.replace(pool, stakes_unseen=True))
    whole = msgspec.structs.replace(ranged, prices=(2.954e-51, 3.385e26))
    assert "earns fees at every price" in written(POOL, msgspec.structs.replace(pool, stakes=(whole,)))
    written(POOL, msgspec.structs.replace(pool, stakes=(plain, ranged)), width=30)


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
