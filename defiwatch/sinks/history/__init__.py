"""History: every alert and every judgement of the user's, kept in SQLite under a hash chain."""

from __future__ import annotations

from defiwatch.sinks.history.sink import History, Inbox
from defiwatch.sinks.history.store import FILE_NAME, Store, Verdict

__all__ = ["FILE_NAME", "History", "Inbox", "Store", "Verdict"]
