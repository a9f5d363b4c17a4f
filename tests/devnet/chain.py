"""Transactions, blocks and reads on a node: every transaction is checked, none fails unseen.

Amounts are in the token's smallest unit, times in seconds, heights are block numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from . import abi
from .node import Anvil, RpcError

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
DEPLOY_GAS = 12_000_000
TX_GAS = 3_000_000
CALL_GAS = 300_000_000


class TransactionError(Exception):
    """A transaction that should have succeeded did not; says which and why."""


@dataclass(frozen=True, slots=True)
class Tx:
    """A transaction to send. `to` None creates a contract; `value` in wei; `may_fail` allows a revert."""

    sender: str
    to: str | None
    data: str
    what: str
    value: int = 0
    may_fail: bool = False
    gas: int = TX_GAS


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction the node has taken: `request` is what it was sent as, nonce included."""

    tx: Tx
    hash: str
    request: dict[str, str]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction. `logs` as the node gives them."""

    sent: Sent
    ok: bool
    gas_used: int
    logs: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Block:
    """A mined block. `timestamp` in seconds."""

    number: int
    hash: str
    timestamp: int
    receipts: list[Receipt]


@dataclass(frozen=True, slots=True)
class Call:
    """A read: what to ask, and the types of the answer."""

    to: str
    signature: str
    args: tuple[object, ...]
    returns: str

    @property
    def data(self) -> bytes:
        """The call data; worked out once for each call, which must therefore have hashable arguments."""
        return _call_data(self)


@lru_cache(maxsize=8192)
def _call_data(call: Call) -> bytes:
    return bytes.fromhex(abi.encode(call.signature, *call.args)[2:])


@dataclass
class Chain:
    """A node with nonces kept on this side, so that many transactions go out in one request."""

    node: Anvil
    accounts: list[str] = field(default_factory=list)
    _nonces: dict[str, int] = field(default_factory=dict)
    _pending: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.accounts = self.node.accounts()

    # -- writing ---------------------------------------------------------------------------------------------------

    def nonce(self, sender: str) -> int:
        """The nonce that the next transaction of `sender` will carry."""
        if sender not in self._nonces:
            self._nonces[sender] = int(self.node.rpc("eth_getTransactionCount", sender, "latest"), 16)
        return self._nonces[sender]

    def forget(self) -> None:
        """Forget nonces and pending transactions: after a reorg or a revert they are the node's to tell."""
        self._nonces.clear()
        self._pending.clear()

    def request(self, tx: Tx) -> dict[str, str]:
        """The transaction as the node takes it; uses up a nonce."""
        nonce = self.nonce(tx.sender)
        self._nonces[tx.sender] = nonce + 1
        body = {
            "from": tx.sender,
            "data": tx.data,
            "nonce": hex(nonce),
            "gas": hex(tx.gas),
            "value": hex(tx.value),
        }
        body |= {"maxFeePerGas": hex(200 * 10**9), "maxPriorityFeePerGas": hex(10**9), "chainId": hex(31337)}
        return body if tx.to is None else body | {"to": tx.to}

    def send(self, txs: Iterable[Tx]) -> list[Sent]:
        """Hand transactions to the node in this order; `mine` puts them into a block."""
        wanted = list(txs)
        requests = [self.request(tx) for tx in wanted]
        answers = self.node.batch([("eth_sendTransaction", [request]) for request in requests])
        sent: list[Sent] = []
        for tx, request, answer in zip(wanted, requests, answers, strict=True):
            if isinstance(answer, RpcError):
                raise TransactionError(f"{tx.what}: refused: {answer}") from answer
            sent.append(Sent(tx, cast("str", answer), request))
        self._pending += sent
        return sent

    def mine(self, timestamp: int | None = None, txs: Iterable[Tx] = ()) -> Block:
        """Send `txs`, mine one block with everything pending, check each; raises `TransactionError`."""
        self.send(txs)
        number = self.node.mine(timestamp)
        pending, self._pending = self._pending, []
        block = self.read_block(number, pending)
        if len(block.receipts) != len(pending):
            raise TransactionError(f"block {number} took {len(block.receipts)} of {len(pending)} transactions")
        return block

    def read_block(self, number: int, sent: Sequence[Sent]) -> Block:
        """A mined block with those of `sent` that are in it; raises `TransactionError` on an unexpected revert."""
        header = self.node.block(number)
        by_hash = {item.hash: item for item in sent}
        receipts: list[Receipt] = []
        for raw in self.node.rpc("eth_getBlockReceipts", hex(number)):
            item = by_hash.get(raw["transactionHash"])
            if item is None:
                raise TransactionError(f"block {number} has a transaction that was not sent: {raw['transactionHash']}")
            ok = raw["status"] == "0x1"
            if not ok and not item.tx.may_fail:
                raise TransactionError(f"{item.tx.what}: {self._why(item, number)}")
            receipts.append(Receipt(item, ok, int(raw["gasUsed"], 16), raw["logs"]))
        return Block(number, header["hash"], int(header["timestamp"], 16), receipts)

    def read_replaced(self, number: int, sent: Sequence[Sent]) -> Block:
        """A block that a reorg put in, known by sender and nonce: hashes may be new. Checks as `read_block` does."""
        raw = self.node.block(number, full=True)["transactions"]
        by_nonce = {(item.request["from"], int(item.request["nonce"], 16)): item for item in sent}
        found = [
            Sent(item.tx, tx["hash"], item.request)
            for tx in raw
            if (item := by_nonce.get((tx["from"].lower(), int(tx["nonce"], 16)))) is not None
        ]
        if len(found) != len(sent):
            raise TransactionError(f"block {number} took {len(found)} of {len(sent)} transactions")
        return self.read_block(number, found)

    def _why(self, item: Sent, number: int) -> str:
        call = {key: value for key, value in item.request.items() if key in ("from", "to", "data", "value", "gas")}
        try:
            self.node.rpc("eth_call", call, hex(number - 1))
        except RpcError as error:
            return f"reverted: {abi.revert_reason(error.data) or error.message}"
        return f"reverted in block {number}, but not on the state before it"

    def deploy(self, sender: str, init_code: str, what: str, types: str = "", *args: object) -> str:
        """Send a contract creation, return the address that it will have once mined."""
        address = abi.create_address(sender, self.nonce(sender))
        data = init_code + (abi.encode_arguments(types, *args) if types else "")
        self.send([Tx(sender, None, data, f"deploy {what}", gas=DEPLOY_GAS)])
        return address

    # -- reading ---------------------------------------------------------------------------------------------------

    def call(
        self, to: str, signature: str, *args: object, returns: str = "uint256", block: int | str = "latest"
    ) -> tuple[Any, ...]:
        """One `eth_call` at `block`, decoded."""
        request = {"to": to, "data": abi.encode(signature, *args), "gas": hex(CALL_GAS)}
        return abi.decode(returns, self.node.rpc("eth_call", request, tag(block)))

    def value(
        self, to: str, signature: str, *args: object, returns: str = "uint256", block: int | str = "latest"
    ) -> Any:
        """`call` for an answer of one value."""
        return abi.first(self.call(to, signature, *args, returns=returns, block=block))

    def multicall(self, calls: Sequence[Call], block: int | str = "latest") -> list[tuple[Any, ...] | None]:
        """Many reads in one `eth_call` through Multicall3, all at `block`; None where one reverted."""
        if not calls:
            return []
        inner = [(call.to, call.data) for call in calls]
        request = {"to": MULTICALL3, "data": abi.encode_calls(inner), "gas": hex(CALL_GAS)}
        results = abi.decode_results(self.node.rpc("eth_call", request, tag(block)))
        return [
            abi.decode(call.returns, data.hex()) if ok else None
            for call, (ok, data) in zip(calls, results, strict=True)
        ]

    def reads(self, calls: Sequence[Call], block: int | str = "latest") -> list[tuple[Any, ...]]:
        """`multicall` where nothing may revert; raises `TransactionError` naming the first that did."""
        answers: list[tuple[Any, ...]] = []
        for call, answer in zip(calls, self.multicall(calls, block), strict=True):
            if answer is None:
                raise TransactionError(f"{call.signature} on {call.to} reverted at block {block}")
            answers.append(answer)
        return answers


def tag(block: int | str) -> str:
    """A height as the node takes it; names of tags pass."""
    return hex(block) if isinstance(block, int) else block
