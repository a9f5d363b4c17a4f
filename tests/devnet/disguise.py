"""What an endpoint makes of a node's words: questions as the node is asked them, answers as they are shown."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from defiwatch.domain.keccak import keccak

from .weather import Faults

Json = dict[str, Any]


class Disguise:
    """`faults` says what is wrong now, `strikes(fault)` whether one strikes this time; `happened` counts them."""

    def __init__(
        self,
        rng: random.Random,
        happened: Counter[str],
        strikes: Callable[[str], bool],
        faults: Callable[[], Faults],
    ) -> None:
        self._rng = rng
        self._happened = happened
        self._strikes = strikes
        self._faults = faults
        self._forged: dict[str, str] = {}
        """A real hash -> the one shown for it."""
        self._genuine: dict[str, str] = {}

    def inward(self, request: Json) -> Any:
        """The question as the node is asked it."""
        params = request["params"]
        if self._genuine and self._faults().forked_from is not None:
            params = json.loads(_swapped(json.dumps(params), self._genuine))
        stuck = self._faults().stuck_at
        if stuck is not None and request["method"] == "eth_getBlockByNumber" and params[0] == "latest":
            return [hex(stuck), *params[1:]]
        if stuck is not None and request["method"] == "eth_getLogs" and "toBlock" in params[0]:
            return [{**params[0], "toBlock": hex(min(stuck, int(params[0]["toBlock"], 16)))}]
        return params

    def outward(self, request: Json, answer: Json) -> Json:
        """The node's answer as it is shown."""
        faults = self._faults()
        stuck = faults.stuck_at
        result = answer.get("result")
        method = request["method"]
        if method == "eth_chainId" and faults.chain_id is not None:
            return {**answer, "result": hex(faults.chain_id)}
        if method.startswith("eth_getBlockBy") and result is not None:
            if stuck is not None and int(result["number"], 16) > stuck:
                return {**answer, "result": None}
            return {**answer, "result": self.forge(result)}
        if method == "eth_getLogs" and isinstance(result, list):
            result = self._falsify(result)
        elif method == "eth_getBlockReceipts" and isinstance(result, list):
            if stuck is not None and any(int(receipt["blockNumber"], 16) > stuck for receipt in result):
                return {**answer, "result": None}
            full = [receipt for receipt in result if receipt["logs"]]
            if full and self._strikes("alter_receipts"):
                receipt = self._rng.choice(full)
                receipt["logs"] = self._altered(receipt["logs"])
        if self._forged and result is not None and faults.forked_from is not None:
            result = json.loads(_swapped(json.dumps(result), self._forged))
        return {**answer, "result": result} if "result" in answer else answer

    def _falsify(self, logs: list[Json]) -> list[Json]:
        if logs and self._strikes("empty_logs"):
            return []
        if logs and self._strikes("truncate_logs"):
            gone = self._rng.randrange(len(logs))
            logs = logs[:gone] + logs[gone + 1 :]
        if logs and self._strikes("alter_logs"):
            logs = self._altered(logs)
        if logs and self._strikes("removed_logs"):
            logs = [{**log, "removed": True} for log in logs]
        return logs

    def _altered(self, logs: list[Json]) -> list[Json]:
        """One log with another amount: the last of its data that is not empty, else one log less."""
        full = [i for i, log in enumerate(logs) if len(log["data"]) > 2]
        if not full:
            return logs[:-1]
        at = self._rng.choice(full)
        data = logs[at]["data"]
        last = f"{int(data[-1], 16) ^ 1:x}"
        return [*logs[:at], {**logs[at], "data": data[:-1] + last}, *logs[at + 1 :]]

    def forge(self, header: Json) -> Json:
        """A header as a forked endpoint shows it: another hash, on another parent."""
        since = self._faults().forked_from
        if since is None or int(header["number"], 16) < since:
            return header
        self._happened["forged"] += 1
        names = ["hash"] if int(header["number"], 16) == since else ["hash", "parentHash"]
        for name in names:
            fake = "0x" + keccak(bytes.fromhex(header[name][2:])).hex()
            self._forged[header[name]], self._genuine[fake] = fake, header[name]
        return {**header, **{name: self._forged[header[name]] for name in names}}


def _swapped(text: str, names: dict[str, str]) -> str:
    for one, other in names.items():
        text = text.replace(one, other)
    return text
