"""The program `defiwatch`, also as `python -m defiwatch`."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType


def main() -> None:
    """Run the command line; ends the process with one of `errors.ExitCode`."""
    early = _Early()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, early)
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


class _Early:
    """What a signal does until a session listens. `asked` stays: what is raised while Python itself calls back (an
    import's end, a finaliser) is lost.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt


if __name__ == "__main__":
    main()
