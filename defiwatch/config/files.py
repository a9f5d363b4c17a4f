"""Text files that the user named."""

from __future__ import annotations

from pathlib import Path

from defiwatch.errors import UsageError


def read_text(path: Path, fault: type[UsageError] = UsageError) -> str:
    """The text of a file in UTF-8; `fault`, which names the file and why, if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise fault(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise fault(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
