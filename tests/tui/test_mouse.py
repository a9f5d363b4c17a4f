"""What the mouse does."""

from __future__ import annotations

from defiwatch.tui.screens.detail import Detail
from defiwatch.tui.widgets.tabs import Tabs
from tests.tui.stage import dashboard, play, table


async def test_a_click_chooses_and_a_second_opens() -> None:
    app = dashboard()
    async with app.run_test(size=(160, 45)) as pilot:
        await play(pilot)
        await pilot.click("#pools", offset=(20, 3))
        await pilot.pause()
        pools = table(app, "pools")
        assert app.focused is pools
        assert pools.cursor == 1
        await pilot.click("#pools", offset=(20, 3))
        await pilot.pause()
        assert isinstance(app.screen, Detail)
        assert app.screen.row is pools.row


async def test_a_click_on_a_head_sorts_and_another_turns() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        pools = table(app, "pools")
        await pilot.click("#pools", offset=(70, 1))
        await pilot.pause()
        told = [row.value_usd for row in pools.rows if row.value_usd is not None]
        assert told == sorted(told, reverse=True)
        assert pools.rows[-1].value_usd is None
        await pilot.click("#pools", offset=(70, 1))
        await pilot.pause()
        told = [row.value_usd for row in pools.rows if row.value_usd is not None]
        assert told == sorted(told)
        assert pools.rows[-1].value_usd is None


async def test_a_click_below_the_last_row_does_nothing() -> None:
    app = dashboard()
    async with app.run_test(size=(160, 45)) as pilot:
        await play(pilot)
        await pilot.click("#pools", offset=(20, 16))
        await pilot.pause()
        assert table(app, "pools").cursor == 0


async def test_the_wheel_scrolls() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        positions = table(app, "positions")
        positions.scroll_down(animate=False)
        await pilot.pause()
        assert positions.scroll_offset.y == 1
        assert "treasury.eth" not in positions.render_line(1).text


async def test_a_click_on_a_word_opens_its_view() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        at = app.screen.query_one(Tabs).render_line(0).text.index("markets")
        await pilot.click(Tabs, offset=(at, 0))
        await pilot.pause()
        assert app.current_mode == "markets"


async def test_footer_keys_can_be_clicked() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await pilot.click("FooterKey", offset=(0, 0))
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, Detail)
