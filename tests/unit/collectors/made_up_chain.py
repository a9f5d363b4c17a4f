"""A made-up chain with forks: blocks whose hashes follow from their content, and the logs in them."""

from __future__ import annotations

import msgspec

from defiwatch.collectors.verify import Receipt, header_hash, receipts_root
from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.keccak import keccak

START_TIME = 1_700_000_000
BLOCK_TIME = 12
TOKEN = "0x" + "aa" * 20
OTHER = "0x" + "bb" * 20
STRANGER = "0x" + "cc" * 20
SWAP = "0x" + "11" * 32
SYNC = "0x" + "22" * 32


class MadeUp(msgspec.Struct, frozen=True):
    """One block and every log in it."""

    number: int
    header: Header
    logs: tuple[RawLog, ...]
    receipts: tuple[Receipt, ...] = ()
    """Of a chain that is `hashed`: one transaction a block, with every log."""

    @property
    def hash(self) -> str:
        return self.header.hash


def bloom_of(logs: list[tuple[str, str]]) -> str:
    """The bloom of (address, topic) pairs, by the yellow paper's M3:2048."""
    bits = 0
    for pair in logs:
        for item in pair:
            digest = keccak(bytes.fromhex(item[2:]))
            for i in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[i : i + 2], "big") & 2047)
    return f"0x{bits:0512x}"


class MadeUpChain:
    """Mines and reorganises at will. `blocks` knows every block ever made, `canonical` the chain of now.

    `hashed`: headers have the hashes and the roots that a real chain's have, so that blocks can be proved.
    """

    def __init__(self, length: int = 1, *, block_time: float = BLOCK_TIME, hashed: bool = False) -> None:
        self.block_time = block_time
        self.hashed = hashed
        self.blocks: dict[str, MadeUp] = {}
        self.canonical: list[MadeUp] = []
        self._salt = 0
        self.mine(length)

    @property
    def head(self) -> MadeUp:
        return self.canonical[-1]

    def mine(self, count: int = 1, salt: int = 0) -> None:
        """Add blocks; `salt` makes them others than those that were at their heights before."""
        for _ in range(count):
            number = len(self.canonical)
            parent = self.canonical[-1].hash if self.canonical else "0x" + "00" * 32
            found = [(TOKEN, SWAP)] * (number % 3) + [(OTHER, SYNC)] * (number % 2) + [(STRANGER, SWAP)] * (number % 2)
            header = Header(
                number=hex(number),
                timestamp=hex(int(START_TIME + self.block_time * number)),
                hash="0x" + keccak(f"{parent}:{number}:{salt}".encode()).hex(),
                parent_hash=parent,
                logs_bloom=bloom_of(found),
            )
            if self.hashed:
                header = _hashed(header, found, salt)
            logs = _logs(header, found)
            receipts = (_receipt(header, found, logs),) if self.hashed else ()
            block = MadeUp(number, header, logs, receipts)
            self.blocks[block.hash] = block
            self.canonical.append(block)

    def reorg(self, depth: int, length: int) -> None:
        """Replace the newest `depth` blocks by `length` others."""
        self.rollback(depth)
        self._salt += 1
        self.mine(length, self._salt)

    def rollback(self, depth: int) -> None:
        """Take the newest `depth` blocks away; the first block stays."""
        keep = max(1, len(self.canonical) - depth)
        del self.canonical[keep:]

    def at(self, number: int) -> MadeUp | None:
        return self.canonical[number] if 0 <= number < len(self.canonical) else None


def _logs(header: Header, found: list[tuple[str, str]]) -> tuple[RawLog, ...]:
    return tuple(
        RawLog(
            address=address,
            topics=(topic,),
            data="0x" + f"{i:064x}",
            block_number=header.number,
            block_hash=header.hash,
            transaction_hash="0x" + keccak(f"{header.hash}:{i}".encode()).hex(),
            transaction_index="0x0",
            log_index=hex(i),
        )
        for i, (address, topic) in enumerate(found)
    )


def _receipt(header: Header, found: list[tuple[str, str]], logs: tuple[RawLog, ...]) -> Receipt:
    return Receipt(
        cumulative_gas_used="0x5208",
        logs=logs,
        transaction_index="0x0",
        block_hash=header.hash,
        type="0x2",
        status="0x1",
        logs_bloom=bloom_of(found),
    )


def _hashed(header: Header, found: list[tuple[str, str]], salt: int) -> Header:
    """The header with everything that its hash is made of."""
    root = receipts_root((_receipt(header, found, _logs(header, found)),))
    whole = msgspec.structs.replace(
        header,
        sha3_uncles="0x" + "01" * 32,
        miner="0x" + "02" * 20,
        state_root=header.hash,
        transactions_root="0x" + "03" * 32,
        receipts_root="0x" + root.hex(),
        difficulty="0x0",
        gas_limit="0x1c9c380",
        gas_used="0x5208",
        extra_data=f"0x{salt:04x}",
        mix_hash="0x" + "04" * 32,
        nonce="0x" + "00" * 8,
        base_fee_per_gas="0x7",
    )
    return msgspec.structs.replace(whole, hash="0x" + header_hash(whole).hex())
