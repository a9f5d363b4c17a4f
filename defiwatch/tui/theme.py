"""Colours: two themes of our own, and the inks that lines are written with."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="defiwatch-dark",
    primary="#6ea8e0",
    secondary="#9d8fe0",
    accent="#4fc1b0",
    foreground="#c9d1d9",
    background="#0d1117",
    surface="#0d1117",
    panel="#171d26",
    success="#6fc08a",
    warning="#e3b341",
    error="#f4706b",
    dark=True,
    variables={
        "border": "#4fc1b0",
        "border-blurred": "#2b3442",
        "footer-background": "#171d26",
        "footer-key-foreground": "#4fc1b0",
        "footer-description-foreground": "#8b96a3",
        "scrollbar": "#2b3442",
        "scrollbar-hover": "#3d4959",
        "scrollbar-active": "#4fc1b0",
        "scrollbar-background": "#0d1117",
        "scrollbar-background-hover": "#0d1117",
        "scrollbar-background-active": "#0d1117",
    },
)

LIGHT = Theme(
    name="defiwatch-light",
    primary="#1f5fa8",
    secondary="#6b57b8",
    accent="#0b7a6f",
    foreground="#24292f",
    background="#fbfaf7",
    surface="#fbfaf7",
    panel="#ece9e2",
    success="#2c7a45",
    warning="#8a5a00",
    error="#bb2d27",
    dark=False,
    variables={
        "border": "#0b7a6f",
        "border-blurred": "#cbc7bd",
        "footer-background": "#ece9e2",
        "footer-key-foreground": "#0b7a6f",
        "footer-description-foreground": "#5c6670",
        "scrollbar": "#cbc7bd",
        "scrollbar-hover": "#aaa598",
        "scrollbar-active": "#0b7a6f",
        "scrollbar-background": "#fbfaf7",
        "scrollbar-background-hover": "#fbfaf7",
        "scrollbar-background-active": "#fbfaf7",
    },
)

THEMES = (DARK, LIGHT)

RAMP = 12
"""Steps between calm and critical in a meter: inks "ramp-0" … "ramp-11"."""


class Inks:
    """Rich styles by name, made from a theme's variables. No meaning is in a colour alone: signs carry it too.

    `colourless`: colours end as greys, among which red would be darker than calm; what is bad is then underlined.
    """

    def __init__(self, variables: Mapping[str, str], *, colourless: bool = False) -> None:
        def color(name: str, fallback: str) -> Color:
            found = Color.parse(variables.get(name, fallback))
            return Color.parse(fallback) if found.a == 0 else found

        ink = color("foreground", "#c9d1d9")
        paper = color("background", "#0d1117")
        native = ink.ansi is not None or paper.ansi is not None
        accent, good = color("accent", "#4fc1b0"), color("success", "#6fc08a")
        warn, bad = color("warning", "#e3b341"), color("error", "#f4706b")
        link = color("primary", "#6ea8e0")
        if colourless:
            warn = bad = ink
        if native:
            muted = Style(dim=True)
            faint, track, chip_text = muted, muted, None
            cursor, resting = Style(reverse=True), Style(underline=True)
        else:
            muted = Style(color=ink.blend(paper, 0.42).rich_color)
            faint = Style(color=ink.blend(paper, 0.6).rich_color)
            track = Style(color=ink.blend(paper, 0.84).rich_color)
            chip_text = paper.rich_color
            cursor = Style(bgcolor=paper.blend(accent, 0.24).rich_color)
            resting = Style(bgcolor=paper.blend(ink, 0.07).rich_color)

        def chip(back: Color) -> Style:
            if native:
                return Style(color=back.rich_color, bold=True, reverse=True)
            return Style(color=chip_text, bgcolor=back.rich_color, bold=True)

        self._styles: dict[str, Style] = {
            "text": Style(),
            "strong": Style(bold=True),
            "dim": muted,
            "faint": faint,
            "track": track,
            "accent": Style(color=accent.rich_color),
            "title": Style(color=accent.rich_color, bold=True),
            "link": Style(color=link.rich_color),
            "good": Style(color=good.rich_color),
            "warn": Style(color=warn.rich_color),
            "bad": Style(color=bad.rich_color),
            "bad-strong": Style(color=bad.rich_color, bold=True, underline=colourless or None),
            "warn-strong": Style(color=warn.rich_color, bold=True),
            "chip-critical": chip(bad),
            "chip-warning": chip(warn),
            "chip-info": chip(link),
            "chip-accent": chip(accent),
            "cursor": cursor,
            "resting": resting,
        }
        for step in range(RAMP):
            part = step / (RAMP - 1)
            if native:
                shade = good if part < 0.4 else warn if part < 0.75 else bad
            elif part < 0.5:
                shade = good.blend(warn, part * 2)
            else:
                shade = warn.blend(bad, part * 2 - 1)
            self._styles[f"ramp-{step}"] = Style(color=shade.rich_color)

    def __getitem__(self, name: str) -> Style:
        return self._styles[name]


def ramp(part: float) -> str:
    """The ink's name for `part` (0 calm … 1 critical)."""
    return f"ramp-{min(RAMP - 1, max(0, int(part * RAMP)))}"
