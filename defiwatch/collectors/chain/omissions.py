"""Who gave no logs of a block that has some: noted as answers come, asked once more, and then distrusted."""

from __future__ import annotations

from collections import OrderedDict, deque
from functools import partial

from defiwatch.collectors.chain import logs
from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.filters import Wanted
from defiwatch.collectors.wire import Rpc
from defiwatch.domain.frames import Header
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex
from defiwatch.errors import EndpointError

_KEPT = 512


class Omissions:
    """The answers to a ledger's questions for logs, by who gave them."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._empty: OrderedDict[Hash, set[int]] = OrderedDict()
        self._full: OrderedDict[Hash, set[int]] = OrderedDict()
        self._ranges: deque[tuple[int, int, int]] = deque(maxlen=_KEPT)

    def gave(self, index: int, block_hash: Hash, *, some: bool) -> None:
        """That endpoint gave `some` logs of this block, or none."""
        kept = self._full if some else self._empty
        kept.setdefault(block_hash, set()).add(index)
        while len(kept) > _KEPT:
            kept.popitem(last=False)

    def gave_range(self, index: int, first: int, last: int) -> None:
        """That endpoint gave the logs of these heights."""
        self._ranges.append((first, last, index))

    def suspects(self, header: Header) -> list[int]:
        """Who gave no logs of this block, of which another gave some."""
        number = from_hex(header.number)
        found = set(self._empty.get(header.hash, ()))
        found |= {index for first, last, index in self._ranges if first <= number <= last}
        return sorted(found - self._full.get(header.hash, set()))

    async def confront(self, header: Header, wanted: Wanted, index: int) -> None:
        """Ask that endpoint once more: one that was only late has them by now, one that left them out is distrusted."""
        try:
            found = await self._endpoints.put(index, partial(_logs_of, wanted, header.hash))
        except EndpointError:
            return
        if not found:
            self._endpoints.distrust(
                index, f"block {from_hex(header.number):,}: it gave no logs, another endpoint gave those it has"
            )


async def _logs_of(wanted: Wanted, block_hash: Hash, _: int, rpc: Rpc) -> bool:
    return bool(await logs.of_block(rpc, wanted, block_hash))
