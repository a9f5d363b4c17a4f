"""The table paints what changed and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from textual.strip import Strip

from defiwatch.domain.view import PoolRow, Snapshot
from defiwatch.tui.kinds.kind import Column, Kind
from defiwatch.tui.kinds.pool import POOL
from defiwatch.tui.widgets.table import Table
from tests.tui.samples import story
from tests.tui.stage import dashboard, play, press, screen_text, shown, table

MANY = 10_000


def _many(step: int = 0, changed: frozenset[int] = frozenset(), seconds: float = 0.0) -> Snapshot:
    base = story(30)
    row = base.pools[0]
    pools = tuple(
        msgspec.structs.replace(
            row,
            key=f"1:uniswap_v3:{at:05d}",
            label=f"pool {at:05d}",
            score=50 - at / 1000,
            price=1.0 + step if at in changed else 1.0,
            time=base.time,
        )
        for at in range(MANY)
    )
    return msgspec.structs.replace(base, sequence=step, pools=pools, time=base.time + seconds)


class _Calls:
    """Counts what is expensive."""

    def __init__(self) -> None:
        self.lines = 0
        self.cells = 0

    def reset(self) -> None:
        self.lines = self.cells = 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Calls]:
    counted = _Calls()
    render_line, cells = Table.render_line, Table._cells

    def counting_line(self: Table[PoolRow], y: int) -> Strip:
        counted.lines += 1
        return render_line(self, y)

    def counting_cells(self: Table[PoolRow], row: PoolRow) -> object:
        counted.cells += 1
        return cells(self, row)

    monkeypatch.setattr(Table, "render_line", counting_line)
    monkeypatch.setattr(Table, "_cells", counting_cells)
    return iter([counted])


@pytest.fixture
def counted(calls: Iterator[_Calls]) -> _Calls:
    return next(calls)


async def test_a_panel_too_narrow_for_its_columns_shortens_words_and_keeps_the_age() -> None:
    app = dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        await play(pilot)
        for name in ("standing", "log"):
            head, first, *_ = shown(table(app, name))
            assert head.split()[-1] in ("since", "age")
            assert first.split()[-1][-1] in "smhd"


async def test_ten_thousand_rows_cost_what_the_window_costs(counted: _Calls) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await press(pilot, "3")
        counted.reset()
        app.take(_many())
        await pilot.pause()
        pools = table(app, "pool")
        window = pools.size.height
        assert len(pools.rows) == MANY
        assert counted.cells <= 3 * window
        assert counted.lines <= 3 * window
        counted.reset()
        for _ in range(10):
            await press(pilot, "pagedown")
        assert pools.cursor > 150
        assert counted.cells <= 10 * window
        assert counted.lines <= 2 * 10 * window + 40
        counted.reset()
        await press(pilot, "G")
        assert shown(pools)[-1].startswith(" 40")
        assert "pool 09999" in screen_text(app)
        assert counted.cells <= window


async def test_a_picture_in_which_nothing_changed_paints_nothing(counted: _Calls) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        app.take(_many())
        await pilot.pause()
        counted.reset()
        app.take(_many())
        await pilot.pause()
        assert counted.lines == 0


async def test_only_rows_that_changed_are_painted(counted: _Calls) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        app.take(_many())
        await pilot.pause()
        counted.reset()
        app.take(_many(step=1, changed=frozenset({2, 5, 7_000})))
        await pilot.pause()
        assert counted.lines == 2
        assert "2.00000" in shown(table(app, "pool"))[3]
        assert "1.00000" in shown(table(app, "pool"))[4]


async def test_ages_move_on_with_the_clock_of_the_frames() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        app.take(_many())
        await pilot.pause()
        assert shown(table(app, "pool"))[1].endswith(" 0s")
        app.take(_many(seconds=7))
        await pilot.pause()
        assert shown(table(app, "pool"))[1].endswith(" 7s")
        app.take(_many(seconds=3601))
        await pilot.pause()
        assert shown(table(app, "pool"))[1].endswith(" 60m!")


async def test_rows_that_leave_are_painted_over() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        full = story(30)
        app.take(full)
        await pilot.pause()
        app.take(msgspec.structs.replace(full, pools=full.pools[:2]))
        await pilot.pause()
        text = screen_text(app)
        assert full.pools[0].label in text
        assert full.pools[5].label not in text


async def test_when_most_rows_leave_the_window_comes_back_to_them() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        app.take(_many())
        await pilot.pause()
        await press(pilot, "G")
        app.take(msgspec.structs.replace(_many(), pools=_many().pools[:3]))
        await pilot.pause()
        pools = table(app, "pool")
        assert pools.scroll_offset.y == 0
        assert "pool 00002" in shown(pools)[3]


async def test_stale_rows_are_marked_and_unknown_ones_say_why() -> None:
    app = dashboard()
    async with app.run_test(size=(130, 40)) as pilot:
        await play(pilot)
        await press(pilot, "2")
        lines = shown(table(app, "position"))
        stale = next(line for line in lines if "0x4e83" in line)
        assert stale.endswith("5h!")
        assert any("unknown: the" in line for line in lines)
        unknown = next(line for line in lines if "0x2f0b" in line)
        assert unknown.count("?") == 3
        assert "$0" not in unknown
        await press(pilot, "G")
        text = screen_text(app)
        assert "Unknown: the price of rsETH reverts" in text
        assert "calm" not in text


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (119, 24), (160, 45), (20, 6)])
async def test_every_line_is_as_wide_as_its_table_at_any_size(size: tuple[int, int]) -> None:
    app = dashboard()
    async with app.run_test(size=size) as pilot:
        await play(pilot)
        for key in "1234567":
            await press(pilot, key)
            for widget in app.screen.query(Table):
                if widget.size.height:
                    for y in range(widget.size.height):
                        assert widget.render_line(y).cell_length in (widget.room, widget.size.width)


async def test_a_resize_lays_the_columns_out_again() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await press(pilot, "2")
        narrow = shown(table(app, "position"))[0]
        await pilot.resize_terminal(118, 30)
        await pilot.pause()
        wide = shown(table(app, "position"))[0]
        assert "closeness" not in narrow
        assert "closeness" in wide
        assert "closeness" in screen_text(app)


async def test_sorting_keeps_what_cannot_be_told_last_both_ways() -> None:
    rows = story(30).pools
    kind: Kind[PoolRow] = POOL
    place = next(at for at, column in enumerate(kind.columns) if column.title == "value")
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        app.take(story(30))
        await pilot.pause()
        pools = table(app, "pool")
        for falling in (True, False):
            pools.order_by(place, falling)
            assert pools.rows[-1].value_usd is None
            assert len(pools.rows) == len(rows)


async def test_every_kind_draws_and_sorts_by_every_column() -> None:
    app = dashboard()
    async with app.run_test(size=(240, 60)) as pilot:
        await play(pilot)
        for key in "234567":
            await press(pilot, key)
            for widget in app.screen.query(Table):
                columns: tuple[Column[object], ...] = widget.kind.columns
                for place, column in enumerate(columns):
                    if column.order is not None:
                        for falling in (False, True):
                            widget.order_by(place, falling)
                            assert len(widget.rows) == len(widget.kind.rows(widget.picture))
