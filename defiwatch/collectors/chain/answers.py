"""A ledger's questions as JSON-RPC, and what hands their answers back to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from defiwatch.collectors.chain import headers, logs
from defiwatch.collectors.chain.filters import Wanted
from defiwatch.collectors.chain.health import Health
from defiwatch.collectors.chain.ledger import Ask, AskHeader, AskHeaders, AskLatest, AskLogs, Ledger
from defiwatch.collectors.chain.omissions import Omissions
from defiwatch.collectors.chain.trust import Verifier
from defiwatch.collectors.wire import HEADER, Rpc
from defiwatch.domain.units import from_hex


class Answers:
    """Puts questions of one ledger to endpoints; `health`, `verifier` and `omissions` are told who said what."""

    def __init__(self, ledger: Ledger, health: Health, verifier: Verifier, omissions: Omissions) -> None:
        self._ledger = ledger
        self._health = health
        self._verifier = verifier
        self._omissions = omissions

    async def put(self, ask: Ask, wanted: Wanted, index: int, rpc: Rpc) -> Callable[[float], None]:
        """Put a question to an endpoint. Returns what hands the answer to the ledger, at a time."""
        ledger, verifier = self._ledger, self._verifier
        if isinstance(ask, AskLatest):
            latest = await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)
            if latest is not None and latest.hash:
                self._health.head(index, from_hex(latest.number), asyncio.get_running_loop().time())
            verifier.header_from(index, latest)
            return partial(ledger.on_latest, ask.id, latest)
        if isinstance(ask, AskHeader):
            header = await rpc.call("eth_getBlockByHash", [ask.hash, False], HEADER)
            verifier.header_from(index, header)
            return partial(ledger.on_header, ask.id, header)
        if isinstance(ask, AskHeaders):
            found_headers = await headers.of_range(rpc, ask.first, ask.last)
            for header in found_headers:
                verifier.header_from(index, header)
            return partial(ledger.on_headers, ask.id, found_headers)
        if isinstance(ask, AskLogs):
            found = await logs.of_block(rpc, wanted, ask.hash)
            verifier.logs_from(index, ask.hash)
            self._omissions.gave(index, ask.hash, some=bool(found))
            return partial(ledger.on_logs, ask.id, found)
        found = await logs.of_range(rpc, wanted, ask.first, ask.last)
        verifier.range_from(index, ask.first, ask.last)
        self._omissions.gave_range(index, ask.first, ask.last)
        return partial(ledger.on_range, ask.id, found)
