"""`python -m tests.devnet serve`: a live chain with the story playing on it, for trying the program by hand."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from itertools import islice
from pathlib import Path
from types import FrameType

from .config import config_toml
from .deploy import deploy
from .node import GENESIS_TIME, Anvil, available
from .prices import TOTAL
from .scenario import INTERVAL, Played, Scenario
from .venue import Venue

OPENING_BLOCKS = 20
"""At least as many blocks as deploying and opening take."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when stopped by the user, 3 when no chain can run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.devnet", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start a chain, deploy, play the story until Ctrl-C")
    serve.add_argument("--seed", type=int, default=1, help="chooses prices, trades and who acts (default 1)")
    serve.add_argument("--block-time", type=float, default=1.0, help="seconds between blocks, 1 or more (default 1)")
    serve.add_argument(
        "--history", type=int, default=0, help="steps of the story to play at once before the first wait"
    )
    serve.add_argument("--port", type=int, default=0, help="the node's port (default: a free one)")
    serve.add_argument("--venue-port", type=int, default=0, help="the port of the local venue for quotes")
    serve.add_argument("--no-run", action="store_true", help="deploy and open positions, then mine nothing")
    serve.add_argument("--fixed-time", action="store_true", help="the chain's own clock from 2026-01-01, 12 s a block")
    serve.add_argument("--config-out", type=Path, help="write a configuration for this chain to this path")
    options = parser.parse_args(arguments)
    if options.block_time < 1.0 and not options.fixed_time:
        parser.error("--block-time: under 1 s the chain's clock runs ahead of the wall's; add --fixed-time to do so")
    reason = available()
    if reason is not None:
        print(f"devnet: {reason}", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _serve(options)
    except KeyboardInterrupt:
        print("devnet: stopped", file=sys.stderr)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _serve(options: argparse.Namespace) -> None:
    history = max(0, min(options.history, TOTAL))
    behind = (OPENING_BLOCKS + history) * INTERVAL
    genesis = GENESIS_TIME if options.fixed_time else int(time.time()) - behind
    with Anvil(genesis_time=genesis, port=options.port) as node, Venue(options.venue_port) as venue:
        started = time.monotonic()
        story = Scenario(deploy(node), options.seed)
        story.prepare()
        print(f"devnet: {node.ws_url} and {node.http_url}, deployed in {time.monotonic() - started:.1f} s")
        print(f"devnet: venue at {venue.url}")
        if options.config_out is not None:
            options.config_out.write_text(config_toml(story.devnet))
            print(f"devnet: configuration in {options.config_out}", flush=True)
        venue.quote_all(story.prices, node.timestamp())
        steps = story.steps()
        for step in islice(steps, history):
            step.run()
        if history:
            print(f"devnet: {history} steps played, at block {node.height()}", flush=True)
        if options.no_run:
            while True:
                time.sleep(3600)
        if not options.fixed_time:
            story.clock = time.time
            story.interval = max(1, round(options.block_time))
        due = time.monotonic()
        for step in steps:
            due = _wait(due, options.block_time)
            _tell(step.title, step.run(), story, venue)
        print("devnet: the story is over; small trades go on until Ctrl-C", flush=True)
        while True:
            due = _wait(due, options.block_time)
            _tell("idle", [story.idle()], story, venue)


def _wait(due: float, seconds: float) -> float:
    time.sleep(max(0.0, due - time.monotonic()))
    return max(due, time.monotonic() - seconds) + seconds


def _tell(title: str, blocks: list[Played], story: Scenario, venue: Venue) -> None:
    for played in blocks:
        words = [what for what in played.what if not what.startswith(("swap ", "Morpho WETH", "Morpho wstETH"))]
        swaps = sum(what.startswith("swap ") for what in played.what)
        price = story.prices["WETH"]
        text = "; ".join([f"{swaps} swaps", *words])
        print(f"{played.number} {title} | WETH {price:,.2f} | {text}", flush=True)
        venue.quote_all(story.prices, played.timestamp)


if __name__ == "__main__":
    sys.exit(main())
