"""The block ledger of one chain: what to ask next, given what came. A pure state machine: no I/O, no clock of its own.

Promise: the frames it hands out form one chain. Every block's parent is the block before it; a block that a reorg took
away is removed, newest first, before its successor comes; each block comes once (again only after it was removed), with
the logs of that very block. Whatever is lost, late, doubled or out of order in between, it ends at the node's own
chain.

How: a notice of a head is a hint. A head that extends ours is taken at once; one that would remove blocks is first
confirmed by asking the node for its newest block (`AskLatest`), whose answer counts more than any notice before it.
Close to the head, blocks are joined by walking back from the target along parent hashes, and logs are asked by block
hash. Far below it, a `Segment` is fetched by heights. Times are seconds of any steady clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from defiwatch.collectors.chain.asks import Ask, Key, Questions
from defiwatch.collectors.chain.segment import Segment, ordered
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Header, RawLog, RemovedFrame
from defiwatch.domain.ids import ChainId, Hash
from defiwatch.domain.units import from_hex

_LATEST: Key = ("latest", "", 0, 0)
_PARALLEL = 8
_MAX_POOL = 4096
_MAX_LOGGED = 128
_MAX_DOUBTS = 2
_SMALLEST_SEGMENT = 8


class Ledger:
    """See the module. `own` are the blocks that the line has (oldest first, linked), `first` the height to begin at.

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
        self._own: dict[int, Hash] = {}
        for ref in own:
            if self._own and (ref.number - 1 not in self._own or ref.parent not in ("", self._own[ref.number - 1])):
                self._own.clear()
            self._own[ref.number] = ref.hash
        self._tip = max(self._own, default=-1)
        self._base = min(self._own, default=0)
        self._first = first
        self._cold = first is None and not self._own
        self._began = bool(self._own)
        self._resumed = bool(self._own) or first is not None
        self._reached = False
        self._lookback = lookback
        self._depth = depth
        self._near = min(max(confirmations, 8), 32)
        self._segment_size = segment
        self._doubts = doubts
        self._target: Header | None = None
        self._confirmed = False
        self._pool: dict[Hash, Header] = {}
        self._logs: dict[Hash, tuple[RawLog, ...]] = {}
        self._doubted: dict[Hash, int] = {}
        self._route: list[Header] = []
        """The blocks from the target (first) down to our next one (last)."""
        self._dirty = True
        self._missing: tuple[Hash, int] | None = None
        self._windowed: set[Hash] = set()
        self._descent = 0
        self._segment: Segment | None = None
        self._misfits = 0
        self._search = 0
        """How many of our newest blocks are compared at once while a fork is looked for; 0 while none is."""
        self._search_top = 0
        self._remove_to: int | None = None
        self._questions = Questions(patience)
        self._want_latest = True
        self._news_at = 0.0
        self._latest_at = float("-inf")
        self._latest_id = 0
        self._below_since: float | None = None
        self._below_after = max(3 * block_time, 3.0)
        self._pace = (2.5 * block_time, block_time)

    # -- what it knows ---------------------------------------------------------------------------------------------

    @property
    def tip(self) -> tuple[int, Hash] | None:
        """The newest block handed out, None before the first."""
        return (self._tip, self._own[self._tip]) if self._own else None

    @property
    def height(self) -> int | None:
        """The height of the head it works towards, None before any."""
        return None if self._target is None else from_hex(self._target.number)

    @property
    def next_number(self) -> int | None:
        """The height of the next block, None before any head at a cold start."""
        return self._tip + 1 if self._own else self._first

    @property
    def at_head(self) -> bool:
        """Whether everything up to the newest known head was handed out."""
        target = self._target
        return (
            target is not None
            and self._remove_to is None
            and bool(self._own)
            and self._own.get(from_hex(target.number)) == target.hash
        )

    @property
    def behind(self) -> int:
        """How many blocks are still to come, as far as is known."""
        height, following = self.height, self.next_number
        return 0 if height is None or following is None else max(0, height - following + 1)

    @property
    def resumed(self) -> bool:
        """Whether blocks that are missing are a gap: some were handed out, or were there before."""
        return self._resumed or self._reached

    def owns(self, number: int, block_hash: Hash) -> bool:
        """Whether that block was handed out and not removed, nor is about to be."""
        return self._own.get(number) == block_hash and (self._remove_to is None or number <= self._remove_to)

    # -- what came -------------------------------------------------------------------------------------------------

    def pace(self, first: float, again: float) -> None:
        """Ask for the newest block `first` seconds after the last new head, and then every `again` seconds."""
        self._pace = (first, again)

    def on_head(self, header: Header, now: float) -> None:
        """A notice of a head (a subscription's): a hint."""
        number = from_hex(header.number)
        target = self._target
        if target is None:
            self._aim(header, confirmed=False, now=now)
        elif header.hash == target.hash:
            return
        elif self._own.get(number) == header.hash:
            self._want_latest = self._want_latest or number < self._tip
        elif header.parent_hash == target.hash:
            self._aim(header, confirmed=self._confirmed, now=now)
        elif number > from_hex(target.number):
            self._aim(header, confirmed=False, now=now)
        else:
            self._keep(header)
            self._want_latest = True

    def recheck(self) -> None:
        """Ask what is newest: a log came with `removed: true`, or another endpoint serves from now on."""
        self._want_latest = True

    def correct(self, header: Header, logs: Sequence[RawLog]) -> None:
        """A block that was handed out was not what its hash stands for: it, and all above, come again.

        `header` and `logs` are what it should have been.
        """
        number = from_hex(header.number)
        if not self.owns(number, header.hash):
            return
        self._segment = None
        self._search = 0
        self._keep(header)
        self._logs[header.hash] = tuple(logs)
        self._cut(number - 1)
        self._want_latest = True

    def on_latest(self, ask: int, header: Header | None, now: float) -> None:
        """The answer to `AskLatest`."""
        sent = self._questions.close(ask)
        if sent is None or ask != self._latest_id:
            return
        if header is None or not header.hash:
            self._questions.failed(sent.key, now)
            return
        self._questions.answered(sent.key)
        self._want_latest = False
        number = from_hex(header.number)
        leads = self._leads_to(header)
        if number < self._tip and (leads or self._own.get(number) == header.hash):
            self._fall_back(header, number, now)
            return
        self._below_since = None
        if leads:
            self._confirmed = True
            self._dirty = True
        else:
            self._aim(header, confirmed=True, now=now)

    def on_header(self, ask: int, header: Header | None, now: float) -> None:
        """The answer to `AskHeader`; None where the node has no such block."""
        sent = self._questions.close(ask)
        if sent is None:
            return
        if header is None or header.hash != sent.key[1]:
            self._questions.failed(sent.key, now)
            self._want_latest = True
            return
        self._questions.answered(sent.key)
        self._descent += 1
        self._keep(header)

    def on_headers(self, ask: int, headers: Sequence[Header | None], now: float) -> None:
        """The answer to `AskHeaders`, in order of height; None where the node has no such block."""
        sent = self._questions.close(ask)
        if sent is None:
            return
        _, _, first, last = sent.key
        found = [header for header in headers if header is not None and header.hash]
        if len(found) != last - first + 1 or any(from_hex(h.number) != first + i for i, h in enumerate(found)):
            self._questions.failed(sent.key, now)
            self._want_latest = True
            return
        self._questions.answered(sent.key)
        segment = self._segment
        if segment is not None:
            if segment.first <= first and last <= segment.last:
                segment.put_headers(found)
                self._examine(segment, now)
        elif self._search:
            if last == self._search_top:
                self._compare(found)
        else:
            if self._missing is not None:
                self._windowed.add(self._missing[0])
            self._descent += 1
            for header in found:
                self._keep(header)

    def on_logs(self, ask: int, logs: Sequence[RawLog], now: float) -> None:
        """The answer to `AskLogs`: the wanted logs of one block."""
        sent = self._questions.close(ask)
        if sent is None or sent.version != self._questions.version:
            return
        block_hash = sent.key[1]
        if any(log.removed or log.block_hash not in (None, block_hash) for log in logs):
            self._questions.failed(sent.key, now)
            self._want_latest = True
            return
        segment = self._segment
        header = self._pool.get(block_hash) or (None if segment is None else segment.find(block_hash))
        if header is None:
            return
        if self._doubts(header, logs):
            count = self._doubted.get(block_hash, 0)
            self._doubted[block_hash] = count + 1
            if count < _MAX_DOUBTS:
                self._questions.failed(sent.key, now, delay=0.2)
                return
            self.notices.append(
                f"block {from_hex(header.number)}: no logs were given, although its bloom names some that are watched"
            )
        self._questions.answered(sent.key)
        if segment is None or not segment.put_logs(header, tuple(logs)):
            self._logs[block_hash] = tuple(logs)

    def on_range(self, ask: int, logs: Sequence[RawLog], now: float) -> None:
        """The answer to `AskRange`: the wanted logs of many blocks."""
        sent = self._questions.close(ask)
        segment = self._segment
        if sent is None or segment is None or sent.version != self._questions.version:
            return
        _, _, first, last = sent.key
        if any(log.removed for log in logs) or not segment.put_range(first, last, logs):
            self._questions.failed(sent.key, now)
            return
        self._questions.answered(sent.key)
        self._examine(segment, now)

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
            elif self._segment is not None:
                self._segment.single.add(first)
            return
        if too_large and kind == "headers" and min(size, self.header_batch) > 1:
            self.header_batch = (min(size, self.header_batch) + 1) // 2
            return
        if self._questions.failed(sent.key, now, delay) >= 2 and kind != "latest":
            self._want_latest = True

    def on_filter(self) -> None:
        """The filter changed: logs that were not handed out yet are asked again."""
        self._questions.outdate()
        self._logs.clear()
        self._doubted.clear()
        if self._segment is not None:
            self._segment.forget_logs(self._tip)

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
                self._latest_at, self._latest_id = now, ask.id
            found.append(ask)
        return found

    def wake(self, now: float) -> float:
        """When to call `asks` again at the latest."""
        times = self._questions.wakes(now)
        if not self._questions.is_open(_LATEST):
            times.append(self._latest_due())
        if self._segment is not None and self._segment.pause > now:
            times.append(self._segment.pause)
        return max(now, min(times))

    def take(self) -> BlockFrame | RemovedFrame | None:
        """The next frame, None while something is missing. Hand it out before the next is taken."""
        self._settle()
        if self._remove_to is not None:
            return self._pop()
        segment = self._segment
        if segment is not None:
            if not segment.whole:
                return None
            header = segment.headers[self._tip + 1 if self._own else segment.first]
            if not self._fits(header):
                self._seek_fork()
                return None
            frame = self._append(header, segment.logs.pop(header.hash, ()))
            if self._tip == segment.last:
                # Fetched by heights, so perhaps not below the target: what was confirmed before is no news any more.
                self._segment = None
                self._misfits = 0
                self._confirmed = False
                self._dirty = True
            return frame
        if not self._route:
            return None
        header = self._route[-1]
        if not self._fits(header):
            self._dirty = True
            return None
        logs = self._logs.pop(header.hash, None)
        if logs is None:
            return None
        self._route.pop()
        return self._append(header, logs)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _aim(self, header: Header, *, confirmed: bool, now: float) -> None:
        self._keep(header)
        if self._target is None or header.hash != self._target.hash:
            self._news_at = now
            self._descent = 0
        self._target = header
        self._confirmed = confirmed
        self._below_since = None
        if self._cold and not self._own and self._segment is None:
            self._first = max(0, from_hex(header.number) - self._lookback)

    def _keep(self, header: Header) -> None:
        self._pool[header.hash] = header
        self._dirty = True
        if len(self._pool) > _MAX_POOL:
            by_height = sorted(self._pool.values(), key=lambda kept: from_hex(kept.number), reverse=True)
            self._pool = {kept.hash: kept for kept in by_height[: _MAX_POOL // 2]}

    def _leads_to(self, header: Header) -> bool:
        """Whether the target is `header`, or is known to stand on it."""
        current = self._target
        number = from_hex(header.number)
        while current is not None and from_hex(current.number) > number:
            below = from_hex(current.number) - 1
            if self._own.get(below) == current.parent_hash:
                return self._own.get(number) == header.hash
            current = self._pool.get(current.parent_hash)
        return current is not None and current.hash == header.hash

    def _fall_back(self, header: Header, number: int, now: float) -> None:
        """The node's newest block is one of ours below our tip: it lags, or it went back without a successor."""
        if self._below_since is None:
            self._below_since = now
        elif now - self._below_since >= self._below_after:
            self._aim(header, confirmed=True, now=now)
            self._segment = None
            self._search = 0
            self._cut(number)

    def _latest_due(self) -> float:
        floor = self._questions.until(_LATEST)
        if self._target is None:
            return floor
        first, again = self._pace
        if self._want_latest:
            return max(floor, self._latest_at + min(0.2, again))
        return max(floor, self._news_at + first, self._latest_at + again)

    def _needs(self, now: float) -> Iterable[Key]:
        if self._latest_due() <= now:
            yield _LATEST
        if self._remove_to is not None or self._target is None:
            return
        if self._segment is not None:
            if self._segment.pause <= now:
                yield from self._segment.needs(self._questions.open_keys(), self.header_batch, self.log_range)
        elif self._search:
            size = min(self._search, self.header_batch)
            yield ("headers", "", max(self._base, self._search_top - size + 1), self._search_top)
        elif self._missing is not None:
            yield self._header_need(*self._missing)
        else:
            for header in self._route[: -_PARALLEL - 1 : -1]:
                if header.hash not in self._logs:
                    yield ("logs", header.hash, 0, 0)

    def _floor(self) -> int:
        """The lowest height that a walk back may reach."""
        return self._base if self._own else (self._first or 0)

    def _header_need(self, block_hash: Hash, number: int) -> Key:
        """How to ask for a parent: by hash, which is certain; by heights first where several will be missing."""
        if block_hash not in self._windowed:
            if number > self._tip:
                low = max(self._floor(), self._tip + 1, number - self.header_batch + 1)
            elif self._descent > 0:
                size = min(8 << (2 * min(self._descent - 1, 3)), self.header_batch)
                low = max(self._floor(), number - size + 1)
            else:
                low = number
            if low < number:
                return ("headers", "", low, number)
        return ("header", block_hash, 0, 0)

    def _settle(self) -> None:
        """Bring the plan up to date with what is known."""
        if self._remove_to is not None and (not self._own or self._tip <= self._remove_to):
            self._remove_to = None
            self._dirty = True
        if self._target is None or self._remove_to is not None or self._segment is not None or self._search:
            return
        following = self.next_number
        if following is None:
            return
        last = from_hex(self._target.number) - self._near
        if last - following + 1 >= _SMALLEST_SEGMENT:
            self._route = []
            self._missing = None
            if self._confirmed:
                self._segment = Segment(following, min(following + self._segment_size - 1, last))
            else:
                self._want_latest = True
        elif self._dirty:
            self._walk(self._target)

    def _walk(self, header: Header) -> None:
        """Join the target to our chain along parent hashes."""
        self._dirty = False
        self._missing = None
        self._route = []
        floor = self._floor()
        path: list[Header] = []
        while True:
            number = from_hex(header.number)
            if self._own.get(number) == header.hash:
                self._linked(path, number)
                return
            if number < floor and not self._own:
                self._start_lower(number)
                return
            if number < floor:
                self._linked([*path, header], floor - 1)
                return
            path.append(header)
            if self._own.get(number - 1) == header.parent_hash:
                self._linked(path, number - 1)
                return
            if number == floor:
                self._linked(path, floor - 1)
                return
            parent = self._pool.get(header.parent_hash)
            if parent is None or from_hex(parent.number) != number - 1:
                self._missing = (header.parent_hash, number - 1)
                return
            header = parent

    def _linked(self, path: list[Header], ancestor: int) -> None:
        """The target stands on our block at height `ancestor` (one below our oldest: on none that is kept)."""
        self._descent = 0
        self._windowed.clear()
        if not self._own or ancestor == self._tip:
            self._route = path
        elif path:
            if self._confirmed:
                self._cut(ancestor)
            else:
                self._want_latest = True

    def _start_lower(self, number: int) -> None:
        """Nothing stands, and the head lies below where we began or wanted to begin."""
        if self._cold:
            self._first = max(0, number - self._lookback)
        elif self._began:
            self._first = number
        self._dirty = self._cold or self._began

    def _cut(self, ancestor: int) -> None:
        self.reorgs += 1
        if ancestor < self._base and len(self._own) >= self._depth:
            self.notices.append(
                f"a reorg went below block {self._base}, the oldest that is kept: what was read there may be wrong"
            )
        self._remove_to = ancestor
        self._route = []

    def _pop(self) -> RemovedFrame:
        block_hash = self._own.pop(self._tip)
        frame = RemovedFrame(self.chain_id, hex(self._tip), block_hash)
        self._tip -= 1
        if not self._own:
            self._first, self._tip, self._cold = self._base, -1, False
        return frame

    def _append(self, header: Header, logs: tuple[RawLog, ...]) -> BlockFrame:
        number = from_hex(header.number)
        if not self._own:
            self._base = number
        self._own[number] = header.hash
        self._tip = number
        self._reached = self._reached or self.at_head
        self._cold, self._began = False, True
        self._pool.pop(header.hash, None)
        self._doubted.pop(header.hash, None)
        if len(self._logs) > _MAX_LOGGED:
            ahead = {waiting.hash for waiting in self._route}
            self._logs = {kept: found for kept, found in self._logs.items() if kept in ahead}
        while len(self._own) > self._depth:
            del self._own[self._base]
            self._base += 1
        return BlockFrame(self.chain_id, header, ordered(logs))

    def _examine(self, segment: Segment, now: float) -> None:
        """Judge what a segment has so far; ask anew for the parts that do not fit."""
        if not segment.has_headers:
            return
        if not segment.mend(self._tip):
            self._misfits += 1
            segment.pause = now + min(0.1 * 2.0**self._misfits, 8.0)
            self._want_latest = True
        elif segment.first == self._tip + 1 and not self._fits(segment.headers[segment.first]):
            self._seek_fork()
        elif segment.whole:
            for block_hash in segment.doubt(self._tip, self._doubts):
                self._doubted.setdefault(block_hash, 0)

    def _fits(self, header: Header) -> bool:
        """Whether a block can come next. The first of all fits anywhere."""
        return not self._own or self._own[self._tip] == header.parent_hash

    def _seek_fork(self) -> None:
        """What was fetched by heights does not stand on our tip: find out since when."""
        self._segment = None
        self._search, self._search_top = 8, self._tip

    def _compare(self, headers: Sequence[Header]) -> None:
        """Find where the node's chain leaves ours, from its headers at heights of ours."""
        for header in reversed(headers):
            number = from_hex(header.number)
            if self._own.get(number) == header.hash:
                self._search = 0
                if number < self._tip:
                    self._cut(number)
                return
        low = from_hex(headers[0].number)
        if low > self._base:
            self._search, self._search_top = self._search * 4, low - 1
        else:
            self._search = 0
            self._cut(self._base - 1)
