"""The program `defiwatch`, also as `python -m defiwatch`."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType


def main() -> None:
    """Run the command line; ends the process with one of `errors.ExitCode`."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(0)


def _run() -> None:
    from defiwatch.cli import cli
    from defiwatch.cli.ending import on_fault
    from defiwatch.cli.options import Settings

    settings = Settings()
    tell = on_fault(settings)

    def tell_thread(caught: threading.ExceptHookArgs) -> None:
        if caught.exc_value is not None:
            tell(caught.exc_type, caught.exc_value, caught.exc_traceback)

    sys.excepthook = tell
    threading.excepthook = tell_thread
    cli.main(obj=settings)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
