"""What the market says of the assets of some positions, asked once: the venues and pools that the configuration names.

Nothing waits for long: what has not come within some seconds is missing, and said to be.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from defiwatch.clock import time_of
from defiwatch.collectors.chain.glance import Glance
from defiwatch.collectors.quotes import collect_quotes
from defiwatch.collectors.quotes.base import split
from defiwatch.config import Chain, Config, Quotes
from defiwatch.domain.frames import BlockFrame, Frame, Header, QuoteFrame, ReadsFrame
from defiwatch.domain.risk import Feed, Pool, Position
from defiwatch.domain.units import from_hex
from defiwatch.engine.glimpse import LENDERS, alone
from defiwatch.engine.intake import Intake
from defiwatch.errors import SourceError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.registry import create
from defiwatch.state.prices import PriceBook

PATIENCE_S = 4.0
"""How long venues, and then pools, are waited for."""
ROUNDS = 3
"""Rounds of reads for the pools' prices; what their depth takes beyond that is not asked."""
MOST = 400
"""Reads in one of them."""


async def venues(quotes: Quotes, *, patience: float = PATIENCE_S) -> tuple[list[QuoteFrame], list[str]]:
    """The first quote of every pair of every venue, and in words what did not come in time."""
    missing = {(name, *split(pair)) for name, venue in quotes.enabled().items() for pair in venue.pairs}
    if not missing:
        return [], []
    found: list[QuoteFrame] = []
    whole = asyncio.Event()

    async def emit(frame: Frame) -> None:
        if isinstance(frame, QuoteFrame):
            found.append(frame)
            missing.discard((frame.venue, frame.base, frame.quote))
            if not missing:
                whole.set()

    task = asyncio.create_task(collect_quotes(quotes, emit))
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await whole.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return found, [
        f"no quote of {base}-{quote} from {name} within {patience:g} s" for name, base, quote in sorted(missing)
    ]


async def pools(
    config: Config, chain: Chain, glance: Glance, header: Header, *, patience: float = PATIENCE_S
) -> tuple[list[Pool], list[Feed], list[str]]:
    """The chain's configured pools and feeds at a block, as far as their state came in time, and what did not."""
    named = [
        d for d in config.deployments if d.chain == chain.name and d.protocol not in LENDERS and d.protocol != "erc20"
    ]
    instances = [create(chain.chain_id, deployment) for deployment in named if deployment.pools or deployment.feeds]
    if not instances:
        return [], [], []
    intake = Intake(chain.chain_id, instances, journal=1)
    intake.on_block(BlockFrame(chain.chain_id, alone(header)))
    told: list[str] = []
    asked: set[Call] = set()
    try:
        async with asyncio.timeout(patience):
            for _ in range(ROUNDS):
                calls = [call for call in intake.wants() if call not in asked][:MOST]
                if not calls:
                    break
                asked.update(calls)
                answers = await glance.reads(calls, header)
                intake.on_reads(ReadsFrame(chain.chain_id, header.number, tuple(answers), header.hash))
    except TimeoutError:
        told.append(f"{chain.name}: its pools did not answer within {patience:g} s")
    except SourceError as error:
        told.append(f"{chain.name}: its pools were not read: {error}")
    book = intake.book
    return (
        [pool for instance in instances for pool in instance.pools(book)],
        [feed for instance in instances for feed in instance.feeds(book)],
        told,
    )


def prices(
    chain_id: int,
    quotes: Sequence[QuoteFrame],
    around: tuple[Sequence[Pool], Sequence[Feed]],
    header: Header,
    positions: Sequence[Position],
) -> PriceBook:
    """All of it in one book, as of the block."""
    book = PriceBook(chain_id)
    book.refresh(around[1], around[0], float(from_hex(header.timestamp)), positions)
    for frame in quotes:
        moment = time_of(frame)
        if moment is not None:
            book.on_quote(frame, moment)
    return book
