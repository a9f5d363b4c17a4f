"""Signs and letters for what is judged, so that nothing is told by colour alone."""

from __future__ import annotations

from defiwatch.tui.lines import Piece

LETTERS = {"critical": "C", "warning": "W", "info": "i"}

STATES = {"raised": "▲", "worsened": "⬆", "eased": "▽", "cleared": "✓", "retracted": "↶"}

STATE_WORDS = {
    "raised": "new",
    "worsened": "got worse",
    "eased": "got better, still stands",
    "cleared": "over",
    "retracted": "taken back: a reorg removed what it rested on",
}

_STATE_INKS = {"raised": "bad", "worsened": "bad-strong", "eased": "warn", "cleared": "good", "retracted": "link"}

_SOURCES = {
    "live": ("●", "good"),
    "behind": ("◐", "warn"),
    "limited": ("◒", "warn"),
    "silent": ("○", "bad"),
    "down": ("✖", "bad"),
    "untrusted": ("!", "bad"),
}

FINALITY_WORDS = {
    "head": "seen at the head; a reorg may still remove it",
    "confirmed": "has the configured confirmations on top",
    "finalized": "final",
}

TRUST_WORDS = {
    "single": "one source says so",
    "quorum": "several sources agree",
    "consistent": "logs agree with a header whose hash was recomputed",
    "proof": "proven against a header",
}


def severity_ink(severity: str | None) -> str:
    """The ink of a number whose subject stands at `severity`."""
    return {"critical": "bad-strong", "warning": "warn-strong", "info": "link"}.get(severity or "", "good")


def severity_chip(severity: str | None) -> Piece:
    """One letter on a patch of colour; a blank where there is nothing to say."""
    return (LETTERS[severity], f"chip-{severity}") if severity in LETTERS else (" ", "text")


def state_mark(state: str) -> Piece:
    """One sign for a change in an alert's life."""
    return STATES.get(state, "·"), _STATE_INKS.get(state, "dim")


def source_mark(state: str) -> Piece:
    """One sign for how a source fares."""
    return _SOURCES.get(state, ("·", "dim"))
