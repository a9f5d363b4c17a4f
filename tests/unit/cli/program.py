"""`python -m tests.unit.cli.program …`: the whole program on the fake engine, for tests that need a process.

FAKE_BLOCKS, FAKE_PAUSE and FAKE_WHAT (unreachable, fault, warm_up) shape the live run.
"""

from __future__ import annotations

import os

import defiwatch.session
from defiwatch.__main__ import main
from tests.unit.cli.fakes import parts

if __name__ == "__main__":
    what = os.environ.get("FAKE_WHAT")
    door = parts(
        blocks=int(os.environ.get("FAKE_BLOCKS", "4")),
        pause=float(os.environ.get("FAKE_PAUSE", "0")),
        **({what: True} if what else {}),
    )
    defiwatch.session.load_parts = lambda: door
    main()
