"""`python -m tests.tui.play [--step N] [--fast] [--error]`: the dashboard on sample snapshots, for the eye."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.tui.app import run
from defiwatch.tui.feed import OnEnd
from tests.tui.samples import STEPS, changes, story


class PlayFeed:
    """Plays the story from a thread of its own, as an engine would."""

    def __init__(self, first: int, pause_s: float, error: str | None) -> None:
        self._first = first
        self._pause_s = pause_s
        self._error = error
        self._stopped = threading.Event()
        self.sent: list[InputFrame] = []

    def start(
        self, post_snapshot: Callable[[Snapshot], None], post_alert: Callable[[Alert], None], on_end: OnEnd
    ) -> None:
        """Begin."""

        def play() -> None:
            told = 0
            for step in range(STEPS + 1):
                if step > self._first and self._stopped.wait(self._pause_s):
                    return
                news = changes(step)
                for alert in news[told:]:
                    post_alert(alert)
                told = len(news)
                post_snapshot(story(step))
            on_end(self._error)

        threading.Thread(target=play, daemon=True).start()

    def send(self, frame: InputFrame) -> None:
        """Remember it."""
        self.sent.append(frame)

    def stop(self) -> None:
        """Stop playing."""
        self._stopped.set()


if __name__ == "__main__":
    first = int(sys.argv[sys.argv.index("--step") + 1]) if "--step" in sys.argv else 0
    pause_s = 0.1 if "--fast" in sys.argv else 1.0
    error = "no source could be reached: wss://mainnet.infura.io/ws/v3/*** refused" if "--error" in sys.argv else None
    sys.exit(run(PlayFeed(first, pause_s, error)))
