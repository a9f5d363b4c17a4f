"""Who shows a block as theirs: what endpoints announced by themselves, and what they are asked for."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.wire import HEADER, Rpc
from defiwatch.config import Chain
from defiwatch.domain.frames import Header
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex
from defiwatch.errors import EndpointError

_LONGEST_HEARING = 0.25
"""Seconds that an announcement is waited for."""
_FIRST_HESITATION = 0.1
_LONGEST_HESITATION = 1.0
_EASE = 0.9
"""What is left of a hesitation after a block that the endpoint had."""
_LATELY = 0.75
"""Of a block's time: who was heard of since is not asked for its head."""
_UNWILLING_S = 600.0
"""Seconds for which one that refused the question for receipts is not asked for them as a witness."""


class Agreement:
    """Asks endpoints for a chain's blocks, and counts who shows which."""

    def __init__(self, chain: Chain, endpoints: Endpoints) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._hesitations: dict[int, float] = {}
        """Seconds that an endpoint had blocks later than the one that serves, about: so long it is not asked."""
        self._late: dict[int, Hash] = {}
        """The block that an endpoint was last found not to have."""
        self._hesitated: Hash = ""
        """The block for which that was waited out already."""
        self._unwilling: dict[int, float] = {}
        """Until when an endpoint is not asked for receipts as a witness."""

    def told(self, header: Header, source: int | None) -> set[int]:
        """Who showed this block without being asked; `source` gave the header."""
        usable = self._endpoints.usable()
        told = {index for index in self._endpoints.shown_by(header.hash) if index in usable}
        if source is not None:
            told.add(source)
        return told

    # -- one witness -----------------------------------------------------------------------------------------------

    async def witness(self, header: Header, source: int | None, *, near: bool) -> int | None:
        """Who is to be asked so that two show this block; None if two do, or nobody is left to ask.

        `near` the head it waits for announcements, and as long as that endpoint is late by habit.
        """
        if near:
            await self.announced(header, 2)
        told = self.told(header, source)
        if len(told) > 1:
            return None
        now = asyncio.get_running_loop().time()
        for index in self._live():
            if index not in told and self._unwilling.get(index, now) <= now:
                if near:
                    await self._hesitate(index, header)
                return index
        return None

    def shows(self, index: int, header: Header) -> None:
        """That endpoint, asked for what is at this height, answered for this very block."""
        self._endpoints.has(index, header)
        self._ease(index)

    async def lacks(self, index: int, header: Header, *, near: bool) -> None:
        """That endpoint had no such block when asked: near the head it is asked a little later from the next on."""
        if near and self._late.get(index) != header.hash:
            self._late[index] = header.hash
            longer = max(2 * self._hesitations.get(index, 0.0), _FIRST_HESITATION)
            self._hesitations[index] = min(longer, _LONGEST_HESITATION, self._chain.block_time / 8)
        if near and self._unheard(index):
            with contextlib.suppress(EndpointError):
                await self._endpoints.look(index)

    def unwilling(self, index: int) -> None:
        """That endpoint does not give receipts."""
        self._unwilling[index] = asyncio.get_running_loop().time() + _UNWILLING_S

    def _ease(self, index: int) -> None:
        self._hesitations[index] = _EASE * self._hesitations.get(index, 0.0)

    async def _hesitate(self, index: int, header: Header) -> None:
        """Wait as long as that endpoint is late by habit; once a block, whoever is asked after."""
        wait = self._hesitations.get(index, 0.0)
        if wait > 0.0 and header.hash != self._hesitated:
            self._hesitated = header.hash
            await asyncio.sleep(wait)

    def _live(self) -> list[int]:
        now = asyncio.get_running_loop().time()
        health = self._endpoints.health
        return [index for index in self._endpoints.usable() if health.condition(index, now) == "live"]

    def _unheard(self, index: int) -> bool:
        """Whether nothing was heard of an endpoint for a block's time."""
        _, heard = self._endpoints.health.shown(index)
        return asyncio.get_running_loop().time() - heard >= _LATELY * self._chain.block_time

    def within_reach(self, needed: int) -> bool:
        """Whether so many endpoints are well that they can all be expected to show a block."""
        return len(self._live()) >= needed

    # -- many ------------------------------------------------------------------------------------------------------

    async def announced(self, header: Header, needed: int) -> None:
        """Wait a little for what other endpoints announce by themselves: who announced the block need not be asked."""
        endpoints = self._endpoints
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(self._chain.block_time / 8, _LONGEST_HEARING)):
                while len(told := endpoints.shown_by(header.hash)) < needed:
                    if all(index in told or not self._may_announce(index, header) for index in endpoints.usable()):
                        return
                    endpoints.heard.clear()
                    await endpoints.heard.wait()

    def _may_announce(self, index: int, header: Header) -> bool:
        """Whether an endpoint may still announce this block: it announces blocks, and none as high so far."""
        height, _ = self._endpoints.health.shown(index)
        return self._endpoints.pushes[index] and (height is None or height < from_hex(header.number))

    async def reached(self, header: Header, source: int | None, needed: int, *, near: bool) -> tuple[bool, str]:
        """Whether `needed` endpoints show this block at its height. Those outvoted by as many are distrusted.

        `near` the head, endpoints that announce their heads may do so in a moment. EndpointError where too few answer.
        """
        if near:
            await self.announced(header, needed)
        told = self.told(header, source)
        votes: dict[Hash, list[int]] = {header.hash: sorted(told)} if told else {}
        for index in self._endpoints.usable():
            if len(votes.get(header.hash, [])) >= needed:
                return True, ""
            if index in told:
                continue
            try:
                shown = await self._shown(index, header, near=near)
            except EndpointError:
                continue
            if shown is not None and shown.hash:
                votes.setdefault(shown.hash, []).append(index)
        if len(votes.get(header.hash, [])) >= needed:
            return True, ""
        ours = votes.get(header.hash, [])
        for other, voters in sorted(votes.items()):
            if other != header.hash and len(voters) >= needed:
                for index in ours:
                    self._endpoints.distrust(
                        index, f"block {from_hex(header.number):,}: {len(voters)} endpoints show another block"
                    )
                return False, f"{len(voters)} endpoints show another block"
        if len(votes) < 2 and sum(map(len, votes.values())) < needed:
            raise EndpointError(f"only {sum(map(len, votes.values()))} of {needed} endpoints showed the block")
        return False, f"{len(ours)} of {needed} endpoints show this block"

    async def _shown(self, index: int, header: Header, *, near: bool) -> Header | None:
        """What an endpoint has at the block's height, None if it has none there.

        One that is not well is asked for its head in place of it: that tells whether it is back.
        """
        number = from_hex(header.number)
        if near and index not in self._live() and self._unheard(index):
            head = await self._endpoints.look(index)
            if head is None or from_hex(head.number) <= number:
                return head if head is not None and from_hex(head.number) == number else None
        elif near:
            await self._hesitate(index, header)
        shown = await self._endpoints.put(index, partial(_block, header.number))
        if shown is None:
            await self.lacks(index, header, near=near)
            return None
        if shown.hash:
            self._endpoints.showed(index, shown)
        if near:
            self._ease(index)
        return shown


async def _block(number: str, _: int, rpc: Rpc) -> Header | None:
    return await rpc.call("eth_getBlockByNumber", [number, False], HEADER)
