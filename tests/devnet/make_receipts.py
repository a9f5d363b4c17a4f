"""Record one block with a transaction of every type, as tests/unit/collectors/verify/types.json keeps it.

Run as `python -m tests.devnet.make_receipts FILE`. The blob's commitment takes some seconds to compute.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from eth_account import Account

from .node import MNEMONIC, Anvil

ECHO = "0x3660006000373033366000a200"
"""Code that logs its call data under two topics: its own address and its caller's, each as a word."""
FAIL = "0x60006000fd"
ECHO_AT, FAIL_AT = "0x" + "ec" * 20, "0x" + "fa" * 20
FEES = {"maxFeePerGas": hex(10**10), "maxPriorityFeePerGas": hex(1)}


def prepare(node: Anvil) -> None:
    """Put both contracts in place."""
    node.rpc("anvil_setCode", ECHO_AT, ECHO)
    node.rpc("anvil_setCode", FAIL_AT, FAIL)


def send_plain(node: Anvil, sender: str, kinds: tuple[int, ...]) -> None:
    """A transaction of each of `kinds` (0, 1, 2) that logs, and one that fails."""
    for kind in kinds:
        body: dict[str, Any] = {"from": sender, "to": ECHO_AT, "data": "0x" + f"{kind:02x}" * 40, "gas": hex(200_000)}
        body |= FEES if kind == 2 else {"gasPrice": hex(10**10)}
        body |= {"accessList": [{"address": ECHO_AT, "storageKeys": []}]} if kind == 1 else {}
        node.rpc("eth_sendTransaction", body | {"type": hex(kind)})
    failing = {"from": sender, "to": FAIL_AT, "gas": hex(100_000), "gasPrice": hex(10**10), "type": "0x0"}
    node.rpc("eth_sendTransaction", failing)


def send_set_code(node: Anvil, place: int) -> None:
    """A transaction of type 4 (EIP-7702) from account number `place`."""
    Account.enable_unaudited_hdwallet_features()
    signer = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{place}")
    grant = signer.sign_authorization(
        {"chainId": int(node.rpc("eth_chainId"), 16), "address": bytes.fromhex(ECHO_AT[2:]), "nonce": 1}
    )
    node.rpc("eth_sendRawTransaction", _signed(node, signer, {"type": 4, "authorizationList": [grant]}))


def send_blob(node: Anvil, place: int) -> None:
    """A transaction of type 3 (EIP-4844) with one empty blob from account number `place`."""
    Account.enable_unaudited_hdwallet_features()
    signer = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{place}")
    more = {"type": 3, "maxFeePerBlobGas": 10**10}
    node.rpc("eth_sendRawTransaction", _signed(node, signer, more, blobs=[bytes(131_072)]))


def _signed(node: Anvil, signer: Any, more: dict[str, Any], **blobs: Any) -> str:
    body = {
        "chainId": int(node.rpc("eth_chainId"), 16),
        "nonce": 0,
        "to": bytes.fromhex(ECHO_AT[2:]),
        "gas": 200_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 1,
        "value": 0,
        "data": b"typed",
    }
    return str(signer.sign_transaction(body | more, **blobs).raw_transaction.to_0x_hex())


def main(path: Path) -> None:
    """Write the block's header and receipts."""
    with Anvil(accounts=4) as node:
        prepare(node)
        send_plain(node, node.accounts()[0], (0, 1, 2))
        send_set_code(node, 1)
        send_blob(node, 2)
        number = node.mine()
        header, receipts = node.block(number), node.rpc("eth_getBlockReceipts", hex(number))
    path.write_text(json.dumps({"header": header, "receipts": receipts}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
