"""A local node: start, talk, snapshot, reorganise, leave nothing behind.

Amounts are wei, times are seconds since 1970 (UTC), heights are block numbers.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from .turns import turn

CHAIN_ID = 31337
GENESIS_TIME = 1_767_225_600
"""2026-01-01T00:00:00Z: the default start of every chain, so that two runs are the same."""
MNEMONIC = "test test test test test test test test test test test junk"
"""The node's well-known test phrase; the accounts hold no real money on any chain."""
BLOCK_GAS_LIMIT = 400_000_000
START_TIMEOUT_S = 20.0
_LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
_GUARD = 'read -r _; kill -9 "$1" 2>/dev/null; rm -rf "$2"'


def home() -> Path:
    """The folder that `.ci/devnet-install` fills."""
    override = os.environ.get("DEFIWATCH_DEVNET_HOME")
    return Path(override) if override else Path.home() / ".cache" / "defiwatch-devnet"


def binary() -> Path:
    """Where the node's program is, whether or not it is there yet."""
    return home() / "packages" / "anvil" / "bin" / "anvil"


def available() -> str | None:
    """Why no chain can run here, or None if one can."""
    hint = "run .ci/devnet-install"
    if not binary().is_file():
        return f"no node at {binary()}: {hint}"
    if not os.access(binary(), os.X_OK):
        return f"the node at {binary()} is not executable: {hint}"
    for name in ("chainlink", "morpho-blue"):
        if not (home() / "compiled" / f"{name}.json").is_file():
            return f"{name} is not compiled in {home()}: {hint}"
    return None


class RpcError(Exception):
    """The node answered with a JSON-RPC error. `data` is the revert data (0x-hex) where there is any."""

    def __init__(self, method: str, code: int, message: str, data: object) -> None:
        super().__init__(f"{method}: {message} (code {code}{f', data {data}' if data else ''})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data if isinstance(data, str) else None


class NodeError(Exception):
    """The node could not be started, or is gone."""


class Anvil:
    """One node, manual mining, in a temporary folder of its own. Use as a context manager.

    genesis_time   timestamp of block 0, seconds
    accounts       funded, unlocked accounts, derived from `MNEMONIC`
    port           0 picks a free one
    hardfork       the rules of the chain, by the node's name for them

    The same requests in the same order give the same blocks, hashes included.
    """

    def __init__(
        self,
        *,
        genesis_time: int = GENESIS_TIME,
        accounts: int = 64,
        port: int = 0,
        hardfork: str = "prague",
    ) -> None:
        reason = available()
        if reason is not None:
            raise NodeError(reason)
        self.genesis_time = genesis_time
        self.account_count = accounts
        self.hardfork = hardfork
        self.port = port
        self._dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._local = threading.local()
        self._connections: list[HTTPConnection] = []
        """One for each thread that asks."""
        self._next_id = 0

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the node and wait until it answers. Raises `NodeError` with the node's last words if it does not."""
        if self._process is not None:
            raise NodeError("this node is running already")
        self._dir = Path(tempfile.mkdtemp(prefix="defiwatch-devnet-"))
        log = self._dir / "node.log"
        command = [str(binary()), "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--chain-id", str(CHAIN_ID), "--timestamp", str(self.genesis_time)]
        command += ["--no-mining", "--order", "fifo", "--hardfork", self.hardfork]
        command += ["--accounts", str(self.account_count), "--balance", "1000000", "--mnemonic", MNEMONIC]
        command += ["--gas-limit", str(BLOCK_GAS_LIMIT), "--slots-in-an-epoch", "4"]
        command += ["--no-request-size-limit", "--cache-path", str(self._dir / "cache"), "--threads", "2"]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self._dir,
                env={**os.environ, "TMPDIR": str(self._dir), "NO_COLOR": "1"},
                start_new_session=True,
            )
        # A second process holds the other end of a pipe: when this one dies, however hard, it ends the node.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "devnet-guard", str(self._process.pid), str(self._dir)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        atexit.register(self.stop)
        try:
            self.port = self._wait(log)
            chain_id = int(self.rpc("eth_chainId"), 16)
            if chain_id != CHAIN_ID:
                raise NodeError(f"the node at {self.http_url} says chain {chain_id}, expected {CHAIN_ID}")
        except BaseException:
            self.stop()
            raise
        return self

    def _wait(self, log: Path) -> int:
        deadline = time.monotonic() + START_TIMEOUT_S
        assert self._process is not None
        while time.monotonic() < deadline:
            words = log.read_text(errors="replace")
            found = _LISTENING.search(words)
            if found:
                return int(found.group(1))
            if self._process.poll() is not None:
                raise NodeError(f"the node left with {self._process.returncode}: {words[-2000:].strip()}")
            time.sleep(0.01)
        raise NodeError(f"the node did not listen within {START_TIMEOUT_S:.0f} s: {log.read_text()[-2000:]}")

    def stop(self) -> None:
        """End the node and delete its folder. Safe to call twice."""
        atexit.unregister(self.stop)
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._local = threading.local()
        process, guard = self._process, self._guard
        self._process = self._guard = None
        if guard is not None:
            guard.kill()
            guard.wait()
            if guard.stdin is not None:
                guard.stdin.close()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._dir is not None:
            shutil.rmtree(self._dir)
            self._dir = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The node's process id; raises `NodeError` when it is not running."""
        if self._process is None:
            raise NodeError("this node is not running")
        return self._process.pid

    @property
    def directory(self) -> Path:
        """The node's own folder (log, spilled states); gone after `stop`."""
        if self._dir is None:
            raise NodeError("this node is not running")
        return self._dir

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    # -- requests --------------------------------------------------------------------------------------------------

    def rpc(self, method: str, *params: object) -> Any:
        """One JSON-RPC call, its result. Raises `RpcError` with the node's words."""
        answer = self._post(self._request(method, params))
        return self._result(method, cast("dict[str, Any]", answer))

    def batch(self, calls: Iterable[tuple[str, Sequence[object]]]) -> list[Any | RpcError]:
        """Many calls in one request, answers in the order asked; an error stands in its place, not raised.

        The node may work on them in any order: do not batch what must happen one after the other.
        """
        requests = [self._request(method, params) for method, params in calls]
        if not requests:
            return []
        answers = {answer["id"]: answer for answer in cast("list[dict[str, Any]]", self._post(requests))}
        results: list[Any | RpcError] = []
        for request in requests:
            try:
                results.append(self._result(cast("str", request["method"]), answers[request["id"]]))
            except RpcError as error:
                results.append(error)
        return results

    def _request(self, method: str, params: Sequence[object]) -> dict[str, object]:
        self._next_id += 1
        return {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}

    def _post(self, body: object) -> object:
        if self._process is None:
            raise NodeError("this node is not running")
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection("127.0.0.1", self.port, timeout=120.0)
            self._connections.append(connection)
        connection.request("POST", "/", json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != 200:
            raise NodeError(f"HTTP {answer.status}: {told[:200]!r}")
        return json.loads(told)

    @staticmethod
    def _result(method: str, answer: dict[str, Any]) -> Any:
        error = answer.get("error")
        if error is not None:
            raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        return answer["result"]

    # -- the chain -------------------------------------------------------------------------------------------------

    def accounts(self) -> list[str]:
        """The unlocked accounts, lower-case addresses, in the order of derivation."""
        return [address.lower() for address in self.rpc("eth_accounts")]

    def height(self) -> int:
        """The number of the newest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def block(self, number: int | str = "latest", *, full: bool = False) -> dict[str, Any]:
        """A block by height or tag, as the node gives it (hex strings); raises `NodeError` if there is none."""
        tag = hex(number) if isinstance(number, int) else number
        block = self.rpc("eth_getBlockByNumber", tag, full)
        if block is None:
            raise NodeError(f"no block {number}")
        return cast("dict[str, Any]", block)

    def timestamp(self, number: int | str = "latest") -> int:
        """A block's time, seconds."""
        return int(self.block(number)["timestamp"], 16)

    def mine(self, timestamp: int | None = None) -> int:
        """Mine one block with everything pending, at `timestamp` (s) if given; returns its height."""
        if timestamp is not None:
            self.rpc("evm_setNextBlockTimestamp", timestamp)
        with turn(self.http_url):
            self.rpc("evm_mine")
        return self.height()

    def snapshot(self) -> str:
        """Keep the present state; give the answer to `revert`, once."""
        return cast("str", self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Back to a snapshot, which is used up by it."""
        with turn(self.http_url):
            done = self.rpc("evm_revert", snapshot)
        if done is not True:
            raise NodeError(f"snapshot {snapshot} is unknown: each can be used once")

    def reorg(self, depth: int, txs: Sequence[tuple[dict[str, str], int]] = (), *, interval: int = 12) -> None:
        """Replace the newest `depth` blocks by as many others, `interval` seconds apart.

        `txs` are (transaction, offset): offset 0 is the lowest of the new blocks. What was in the old blocks is
        dropped unless it is among `txs`. The node tells it by heads that go back in height, never by removed logs.
        """
        self.rpc("anvil_setBlockTimestampInterval", interval)
        try:
            with turn(self.http_url):
                self.rpc("anvil_reorg", depth, [[tx, offset] for tx, offset in txs])
        finally:
            self.rpc("anvil_removeBlockTimestampInterval")
