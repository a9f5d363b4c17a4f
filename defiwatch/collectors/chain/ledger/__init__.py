"""The block ledger of one chain: what to ask next, given what came. A pure state machine: no I/O, no clock of its own.

Promise: the frames it hands out form one chain. Every block's parent is the block before it; a block that a reorg took
away is removed, newest first, before its successor comes; each block comes once (again only after it was removed), with
the logs of that very block. Whatever is lost, late, doubled or out of order in between, it ends at the node's own
chain.

How: a notice of a head is a hint. A head that extends ours is taken at once; one that would remove blocks is first
confirmed by asking the node for its newest block (`AskLatest`), whose answer counts more than any notice before it.
Close to the head, blocks are joined by walking back from the target along parent hashes, and logs are asked by block
hash. Far below it, a `Segment` is fetched by heights. Times are seconds of any steady clock.

    stack     the blocks that were handed out, linked; grows and shrinks at its top
    target    the head that is worked towards, and when to ask what is newest
    walk      from the target back along parent hashes to the stack: the next few blocks and their logs, by hash
    far       blocks far below the head, by height: a `segment` at a time, with a search for the `fork` where it does
              not stand on the stack
    doubts    answers without logs where the header's bloom names some
    asks      the questions, each open, failed or given up
    machine   what came, what is wanted, the next frame: the only part that knows the others
"""

from __future__ import annotations

from defiwatch.collectors.chain.ledger.asks import Ask, AskHeader, AskHeaders, AskLatest, AskLogs, AskRange
from defiwatch.collectors.chain.ledger.machine import Ledger

__all__ = ["Ask", "AskHeader", "AskHeaders", "AskLatest", "AskLogs", "AskRange", "Ledger"]
