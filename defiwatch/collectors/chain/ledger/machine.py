"""The machine itself: takes what came, says what is wanted, hands out the next frame. See the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from defiwatch.collectors.chain.ledger.asks import Ask, Key, Questions, Sent
from defiwatch.collectors.chain.ledger.doubts import Doubts
from defiwatch.collectors.chain.ledger.far import Far
from defiwatch.collectors.chain.ledger.segment import ordered
from defiwatch.collectors.chain.ledger.stack import Stack
from defiwatch.collectors.chain.ledger.target import Target
from defiwatch.collectors.chain.ledger.walk import Below, Walk
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Header, RawLog, RemovedFrame
from defiwatch.domain.ids import ChainId, Hash
from defiwatch.domain.units import from_hex

_LATEST: Key = ("latest", "", 0, 0)
_PARALLEL = 8
_SMALLEST_SEGMENT = 8


class Ledger:
    """See the package. `own` are the blocks that the line has (oldest first, linked), `first` the height to begin at.

    Without both it begins `lookback` blocks below the first head. `confirmations` bounds how close to the head ranges
    are trusted; `depth` is how many blocks are kept to find a fork; `segment`, `log_range` and `header_batch` count
    blocks (the last two shrink when a node refuses); `patience` is when a question counts as lost. `doubts(header,
    logs)` says that an answer cannot be whole.
    """

    def __init__(
        self,
        chain_id: ChainId,
        *,
        own: Sequence[BlockRef] = (),
        first: int | None = None,
        lookback: int = 300,
        confirmations: int = 12,
        depth: int = 256,
        segment: int = 256,
        log_range: int = 256,
        header_batch: int = 50,
        patience: float = 60.0,
        block_time: float = 12.0,
        doubts: Callable[[Header, Sequence[RawLog]], bool] = lambda _header, _logs: False,
    ) -> None:
        self.chain_id = chain_id
        self.log_range = log_range
        self.header_batch = header_batch
        self.reorgs = 0
        self.notices: list[str] = []
        """What the user should be told; the shell takes them out."""
        self._stack = Stack(own, first, lookback, depth)
        self._target = Target(block_time)
        self._walk = Walk()
        self._doubts = Doubts(doubts)
        self._far = Far(self._stack, self._target, self._doubts)
        self._questions = Questions(patience)
        self._resumed = bool(self._stack) or first is not None
        self._near = min(max(confirmations, 8), 32)
        self._segment_size = segment

    # -- what it knows ---------------------------------------------------------------------------------------------

    @property
    def tip(self) -> tuple[int, Hash] | None:
        """The newest block handed out, None before the first."""
        return (self._stack.tip, self._stack.top) if self._stack else None

    @property
    def height(self) -> int | None:
        """The height of the head it works towards, None before any."""
        return self._target.number

    @property
    def next_number(self) -> int | None:
        """The height of the next block, None before any head at a cold start."""
        return self._stack.following

    @property
    def at_head(self) -> bool:
        """Whether everything up to the newest known head was handed out."""
        head = self._target.header
        return head is not None and not self._stack.shrinking and self._stack.has(from_hex(head.number), head.hash)

    @property
    def behind(self) -> int:
        """How many blocks are still to come, as far as is known."""
        height, following = self.height, self.next_number
        return 0 if height is None or following is None else max(0, height - following + 1)

    @property
    def resumed(self) -> bool:
        """Whether blocks that are missing are a gap: some were handed out, or were there before."""
        return self._resumed

    def owns(self, number: int, block_hash: Hash) -> bool:
        """Whether that block was handed out and not removed, nor is about to be."""
        return self._stack.stands(number, block_hash)

    def take_settled(self) -> list[Header]:
        """Blocks whose logs came after an answer had none, though the bloom names some: who gave none left them out."""
        settled, self._doubts.settled = self._doubts.settled, []
        return settled

    # -- what came -------------------------------------------------------------------------------------------------

    def pace(self, first: float, again: float) -> None:
        """Ask for the newest block `first` seconds after the last new head, and then every `again` seconds."""
        self._target.pace(first, again)

    def on_head(self, header: Header, now: float) -> None:
        """A notice of a head (a subscription's): a hint."""
        number = from_hex(header.number)
        target = self._target
        known = target.header
        if known is None:
            self._aim(header, confirmed=False, now=now)
        elif header.hash == known.hash:
            return
        elif self._stack.has(number, header.hash):
            target.wanted = target.wanted or number < self._stack.tip
        elif header.parent_hash == known.hash:
            self._aim(header, confirmed=target.confirmed, now=now)
        elif number > from_hex(known.number):
            self._aim(header, confirmed=False, now=now)
        else:
            self._walk.keep(header)
            target.wanted = True

    def recheck(self) -> None:
        """Ask what is newest: a log came with `removed: true`, or another endpoint serves from now on."""
        self._target.wanted = True

    def correct(self, header: Header, logs: Sequence[RawLog]) -> None:
        """A block that was handed out was not what its hash stands for: it, and all above, come again.

        `header` and `logs` are what it should have been.
        """
        number = from_hex(header.number)
        if not self.owns(number, header.hash):
            return
        self._far.drop()
        self._walk.keep(header)
        self._walk.put_logs(header.hash, logs)
        self._cut(number - 1)
        self._target.wanted = True

    def on_latest(self, ask: int, header: Header | None, now: float) -> None:
        """The answer to `AskLatest`."""
        sent = self._questions.close(ask)
        if sent is None or not self._target.awaits(ask):
            return
        if header is None or not header.hash:
            self._questions.failed(sent.key, now)
            return
        self._questions.answered(sent.key)
        self._target.wanted = False
        number = from_hex(header.number)
        leads = self._walk.leads(self._target.header, header, self._stack)
        if number < self._stack.tip and (leads or self._stack.has(number, header.hash)):
            if self._target.went_back(now):
                self._aim(header, confirmed=True, now=now)
                self._far.drop()
                self._cut(number)
        elif leads:
            self._target.confirm()
            self._walk.stale = True
        else:
            self._aim(header, confirmed=True, now=now)

    def on_header(self, ask: int, header: Header | None, now: float) -> None:
        """The answer to `AskHeader`; None where the node has no such block."""
        sent = self._questions.close(ask)
        if sent is None:
            return
        if header is None or header.hash != sent.key[1]:
            self._contradicted(sent, now)
            return
        self._questions.answered(sent.key)
        self._walk.on_parent(header)

    def on_headers(self, ask: int, headers: Sequence[Header | None], now: float) -> None:
        """The answer to `AskHeaders`, in order of height; None where the node has no such block."""
        sent = self._questions.close(ask)
        if sent is None:
            return
        _, _, first, last = sent.key
        found = [header for header in headers if header is not None and header.hash]
        if len(found) != last - first + 1 or any(from_hex(h.number) != first + i for i, h in enumerate(found)):
            self._contradicted(sent, now)
            return
        self._questions.answered(sent.key)
        if self._far.busy:
            fork = self._far.on_headers(found, first, last, now)
            if fork is not None:
                self._cut(fork)
        else:
            self._walk.on_window(found)

    def on_logs(self, ask: int, logs: Sequence[RawLog], now: float) -> None:
        """The answer to `AskLogs`: the wanted logs of one block."""
        sent = self._questions.close(ask)
        if sent is None or sent.version != self._questions.version:
            return
        block_hash = sent.key[1]
        if any(log.removed or log.block_hash not in (None, block_hash) for log in logs):
            self._contradicted(sent, now)
            return
        header = self._walk.find(block_hash) or self._far.find(block_hash)
        if header is None:
            return
        weight = self._doubts.weigh(header, logs)
        if weight == "again":
            self._questions.failed(sent.key, now, delay=0.2)
            return
        if weight == "given up":
            self.notices.append(
                f"block {from_hex(header.number)}: no logs were given, although its bloom names some that are watched"
            )
        self._questions.answered(sent.key)
        if not self._far.put_logs(header, tuple(logs)):
            self._walk.put_logs(block_hash, logs)

    def on_range(self, ask: int, logs: Sequence[RawLog], now: float) -> None:
        """The answer to `AskRange`: the wanted logs of many blocks."""
        sent = self._questions.close(ask)
        if sent is None or not self._far.fetching or sent.version != self._questions.version:
            return
        _, _, first, last = sent.key
        if self._far.put_range(first, last, logs, now):
            self._questions.answered(sent.key)
        else:
            self._questions.failed(sent.key, now)

    def on_failure(self, ask: int, now: float, *, too_large: bool = False, delay: float = 0.0) -> None:
        """No answer: an error, or nothing. `too_large`: ask for less; `delay`: seconds to wait at least."""
        sent = self._questions.close(ask)
        if sent is None:
            return
        kind, _, first, last = sent.key
        size = last - first + 1
        if too_large and kind == "range":
            if size > 1:
                self.log_range = min(self.log_range, (size + 1) // 2)
            else:
                self._far.too_many(first)
            return
        if too_large and kind == "headers" and size > 1:
            self.header_batch = min(self.header_batch, (size + 1) // 2)
            return
        if self._questions.failed(sent.key, now, delay) >= 2 and kind != "latest":
            self._target.wanted = True

    def on_filter(self) -> None:
        """The filter changed: logs that were not handed out yet are asked again."""
        self._questions.outdate()
        self._walk.forget_logs()
        self._doubts.clear()
        self._far.forget_logs()

    # -- what it wants ---------------------------------------------------------------------------------------------

    def asks(self, now: float) -> list[Ask]:
        """The questions to send now. Ask again after every answer, and at `wake`."""
        for number in self._questions.lost(now):
            self.on_failure(number, now)
        self._settle()
        found: list[Ask] = []
        for key in self._needs(now):
            if self._questions.is_open(key) or self._questions.until(key) > now:
                continue
            if len(self._questions) >= _PARALLEL and key != _LATEST:
                continue
            ask = self._questions.ask(key, now)
            if key == _LATEST:
                self._target.asked(ask.id, now)
            found.append(ask)
        return found

    def wake(self, now: float) -> float:
        """When to call `asks` again at the latest."""
        times = self._questions.wakes(now)
        if not self._questions.is_open(_LATEST):
            times.append(self._latest_due())
        if (pause := self._far.pause) is not None and pause > now:
            times.append(pause)
        return max(now, min(times))

    def take(self) -> BlockFrame | RemovedFrame | None:
        """The next frame, None while something is missing. Hand it out before the next is taken."""
        self._settle()
        if self._stack.shrinking:
            number, block_hash = self._stack.pop()
            return RemovedFrame(self.chain_id, hex(number), block_hash)
        found = self._far.take() if self._far.fetching else self._walk.take(self._stack)
        if found is None:
            return None
        frame = self._hand_out(*found)
        if self._far.close():
            # Fetched by heights, so perhaps not below the target: what was confirmed before is no news any more.
            self._target.confirmed = False
            self._walk.stale = True
        return frame

    # -- inside ----------------------------------------------------------------------------------------------------

    def _aim(self, header: Header, *, confirmed: bool, now: float) -> None:
        self._walk.keep(header)
        if self._target.aim(header, confirmed=confirmed, now=now):
            self._walk.start()
        if not self._far.fetching:
            self._stack.begin_below(from_hex(header.number))

    def _contradicted(self, sent: Sent, now: float) -> None:
        """The answer is not of the chain that the question was about: the node's chain may be another by now."""
        self._questions.failed(sent.key, now)
        self._target.wanted = True

    def _latest_due(self) -> float:
        return self._target.due(self._questions.until(_LATEST))

    def _needs(self, now: float) -> Iterable[Key]:
        if self._latest_due() <= now:
            yield _LATEST
        if self._stack.shrinking or self._target.header is None:
            return
        if self._far.busy:
            yield from self._far.needs(self._questions.open_keys(), self.header_batch, self.log_range, now)
        else:
            yield from self._walk.needs(self._stack, self.header_batch)

    def _settle(self) -> None:
        """Bring the plan up to date with what is known."""
        if self._stack.done_shrinking():
            self._walk.stale = True
        target = self._target.header
        if target is None or self._stack.shrinking or self._far.busy:
            return
        following = self._stack.following
        if following is None:
            return
        last = from_hex(target.number) - self._near
        if last - following + 1 >= _SMALLEST_SEGMENT:
            self._walk.clear()
            if self._target.confirmed:
                self._far.begin(following, min(following + self._segment_size - 1, last))
            else:
                self._target.wanted = True
        elif self._walk.stale:
            self._join(target)

    def _join(self, target: Header) -> None:
        joined = self._walk.join(target, self._stack)
        if isinstance(joined, Below):
            self._walk.stale = self._stack.begin_lower(joined.number)
        elif joined is not None:
            if not self._stack or joined.ancestor == self._stack.tip:
                self._walk.route = list(joined.path)
            elif joined.path and self._target.confirmed:
                self._cut(joined.ancestor)
            elif joined.path:
                self._target.wanted = True

    def _cut(self, ancestor: int) -> None:
        self.reorgs += 1
        if ancestor < self._stack.base and self._stack.full:
            self.notices.append(
                f"a reorg went below block {self._stack.base}, the oldest that is kept: "
                "what was read there may be wrong"
            )
        self._stack.doom(ancestor)
        self._walk.route = []

    def _hand_out(self, header: Header, logs: tuple[RawLog, ...]) -> BlockFrame:
        self._stack.push(from_hex(header.number), header.hash)
        self._resumed = self._resumed or self.at_head
        self._walk.forget(header.hash)
        self._doubts.forget(header.hash)
        return BlockFrame(self.chain_id, header, ordered(logs))
