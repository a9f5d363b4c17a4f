"""Text that strangers wrote (token names, feed descriptions), made harmless at the door.

Whoever deploys a token chooses its name: it may hold terminal escapes, markup, marks that turn the reading direction,
or megabytes. After `harmless` a text is one short line that every screen, log and JSON reader shows as what it is.
"""

from __future__ import annotations

import re
import unicodedata

_CUT = 4096
"""Characters looked at, at most: what lies beyond cannot matter to a line of at most that length."""

_ESCAPE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor moves
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"  # OSC, DCS, …: titles, links
    "|\x1b[ -/]*[0-~]?"  # two-character escapes
)
_BRACKETS = str.maketrans("[]", "()")
_HIDDEN = frozenset({"\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\u034f"})
"""Letters and marks that draw nothing: Hangul fillers, the empty braille cell, the grapheme joiner."""


def harmless(text: str, limit: int) -> str:
    """`text` as one line of at most `limit` characters that can do nothing but be read; "" if nothing is left.

    Taken out: escape sequences, control, format (right-to-left and zero-width marks, tags), private, unassigned and
    surrogate characters, letters that draw nothing, and marks stacked on one letter beyond the first. Square brackets,
    which open markup, become round; every space is a plain one, and only one stands between words. A text that was cut
    ends in "…".
    """
    cleaned = _ESCAPE.sub("", text[:_CUT])
    kept: list[str] = []
    marked = True
    for char in unicodedata.normalize("NFC", cleaned).translate(_BRACKETS):
        if " " < char < "\x7f":
            kept.append(char)
            marked = False
            continue
        category = unicodedata.category(char)
        if category[0] == "Z" or char in "\t\n\r\v\f\x85":
            kept.append(" ")
            marked = True
        elif category[0] == "C" or char in _HIDDEN:
            continue
        elif category[0] == "M":
            if not marked:
                kept.append(char)
                marked = True
        else:
            kept.append(char)
            marked = False
    line = " ".join(unicodedata.normalize("NFC", "".join(kept)).split())
    if len(line) > limit or (len(text) > _CUT and len(line) == limit):
        return line[: limit - 1].rstrip() + "…"
    return line
