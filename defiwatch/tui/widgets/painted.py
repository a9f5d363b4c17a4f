"""The ground of every widget here: named inks, made anew when the theme changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from rich.style import Style
from textual.content import Content
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from defiwatch.tui.lines import Line, fit, plain, strip
from defiwatch.tui.picture import Picture
from defiwatch.tui.theme import Inks

BLANK = Picture()
"""What a widget shows before the first snapshot."""


class Painted(Widget):
    """A widget that writes its lines with inks and sees the picture of its screen.

    The picture is bound from the screen; a watcher decides what to paint again (`repaint=False`: not everything).
    """

    ALLOW_SELECT = False

    picture: reactive[Picture] = reactive(BLANK, repaint=False, always_update=True, init=False)

    _title: tuple[str, str, str] | None = None
    _inks: Inks | None = None
    _inked_for: Mapping[str, str] | None = None

    @property
    def inks(self) -> Inks:
        """The inks of the current theme; its variables are a new mapping whenever the theme is applied."""
        variables = self.app.theme_variables
        if self._inks is None or self._inked_for is not variables:
            self._inks, self._inked_for = Inks(variables, colourless=self.app.no_color), variables
        return self._inks

    @property
    def room(self) -> int:
        """Cells of a line: the content without the scrollbar."""
        return self.scrollable_content_region.width

    def entitle(self, title: str, note: str = "") -> None:
        """The title in the border. Never parsed: it may hold what strangers, or the user, wrote."""
        air = "" if self.styles.border_left[0] else " "  # A border with corners brings its own.
        if self._title != (title, note, air):
            self._title = (title, note, air)
            content = Content.assemble(air, (plain(title), "bold"), (plain(note), "not bold"), air)
            # The stub says str; the setter renders str as markup and takes Content as it is.
            self.border_title = cast("str", content)

    def notify_style_update(self) -> None:
        """The theme changed, or the border."""
        super().notify_style_update()
        if self._title is not None:
            self.entitle(*self._title[:2])

    def paint(self, line: Line, width: int, over: Style | None = None) -> Strip:
        """A line in exactly `width` cells on the widget's own ground."""
        return strip(fit(line, width), self.inks, self.rich_style, over)
