"""Blocks of every fork that the devnet can be, verified; and what a lying node would say of them, found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from defiwatch.collectors.verify import Receipt, unknown_fields, verify_block
from defiwatch.domain.frames import Header

from .make_receipts import prepare, send_plain, send_set_code
from .node import Anvil, available

pytestmark = pytest.mark.devnet

FORKS: list[tuple[str, tuple[int, ...], list[str]]] = [
    ("byzantium", (0,), []),
    ("berlin", (0, 1), []),
    ("london", (0, 1, 2), ["baseFeePerGas"]),
    ("shanghai", (0, 1, 2), ["baseFeePerGas", "withdrawalsRoot"]),
    ("cancun", (0, 1, 2), ["parentBeaconBlockRoot", "blobGasUsed", "excessBlobGas"]),
    ("prague", (0, 1, 2, 4), ["requestsHash"]),
    ("osaka", (0, 1, 2, 4), ["requestsHash"]),
]


def block(node: Anvil, number: int) -> tuple[dict[str, Any], Header, list[Receipt]]:
    """A block as the node tells it, and read."""
    raw = node.block(number)
    receipts = node.rpc("eth_getBlockReceipts", hex(number))
    return raw, msgspec.convert(raw, Header), msgspec.convert(receipts, list[Receipt])


@pytest.mark.parametrize(("fork", "kinds", "fields"), FORKS, ids=[fork for fork, _, _ in FORKS])
def test_every_type_of_every_fork(fork: str, kinds: tuple[int, ...], fields: list[str]) -> None:
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with Anvil(accounts=4, hardfork=fork) as node:
        prepare(node)
        send_plain(node, node.accounts()[0], tuple(kind for kind in kinds if kind < 3))
        if 4 in kinds:
            send_set_code(node, 1)
        number = node.mine()
        empty = node.mine()
        raw, header, receipts = block(node, number)
        assert set(fields) <= set(raw)
        assert unknown_fields(raw) == ()
        assert {int(receipt.type or "0x0", 16) for receipt in receipts} == set(kinds)
        assert {receipt.status for receipt in receipts} == {"0x0", "0x1"}
        assert verify_block(header, receipts).outcome == "consistent"
        _, header, receipts = block(node, empty)
        assert receipts == []
        assert verify_block(header, receipts).outcome == "consistent"
