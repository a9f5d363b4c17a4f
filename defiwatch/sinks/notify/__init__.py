"""Notify: alerts pushed to a program or a webhook of the user's own."""

from __future__ import annotations

from collections.abc import Callable

from defiwatch.config import Sinks
from defiwatch.errors import UsageError
from defiwatch.sinks.notify.channel import Channel
from defiwatch.sinks.notify.digest import Digest
from defiwatch.sinks.notify.notifier import Notifier

__all__ = ["Channel", "Digest", "Notifier", "channel", "channels", "notifiers"]


def channels(sinks: Sinks) -> dict[str, str]:
    """The configured channels: full name ("exec.phone") to the name that the configuration gives ("phone")."""
    return {f"exec.{name}": name for name in sinks.exec} | {f"webhook.{name}": name for name in sinks.webhook}


def channel(sinks: Sinks, name: str) -> Channel:
    """The channel of that name, full or short. UsageError, listing the known, if there is none or it may be two."""
    known = channels(sinks)
    found = [full for full, short in known.items() if name in (full, short)]
    if not found:
        listed = f"configured: {', '.join(sorted(known))}" if known else "none is configured under [sinks]"
        raise UsageError(f"no channel is called {name!r} ({listed})")
    if len(found) > 1:
        raise UsageError(f"{name!r} is both {' and '.join(found)}: say which")
    return _open(sinks, found[0])


def notifiers(sinks: Sinks, tell: Callable[[str], None]) -> tuple[Notifier, ...]:
    """A notifier for every configured channel."""
    found: list[Notifier] = []
    for full, short in channels(sinks).items():
        section = sinks.exec[short] if full.startswith("exec.") else sinks.webhook[short]
        found.append(Notifier(_open(sinks, full), section.min_severity, tell))
    return tuple(found)


def _open(sinks: Sinks, full: str) -> Channel:
    kind, _, name = full.partition(".")
    if kind == "exec":
        from defiwatch.sinks.notify.program import Program

        return Program(full, sinks.exec[name])
    from defiwatch.sinks.notify.webhook import Webhook

    return Webhook(full, sinks.webhook[name])
