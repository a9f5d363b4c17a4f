"""Roots and hashes against those that real chains committed to; whatever is altered is found."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defiwatch.collectors.verify import (
    Receipt,
    bloom_of,
    header_hash,
    lacking,
    logs_of,
    receipts_root,
    same_logs,
    strangers,
    unknown_fields,
    verify_block,
    verify_header,
)
from defiwatch.collectors.verify.rlp import encode_bytes, encode_int, encode_list
from defiwatch.domain.frames import Header, RawLog
from tests.unit.collectors.verify import samples

replace = msgspec.structs.replace


def test_rlp_by_the_examples_of_its_specification() -> None:
    assert encode_bytes(b"dog") == b"\x83dog"
    assert encode_list((encode_bytes(b"cat"), encode_bytes(b"dog"))) == b"\xc8\x83cat\x83dog"
    assert (encode_bytes(b""), encode_list(()), encode_int(0)) == (b"\x80", b"\xc0", b"\x80")
    assert (encode_int(15), encode_int(1024)) == (b"\x0f", b"\x82\x04\x00")
    text = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"
    assert encode_bytes(text) == b"\xb8\x38" + text
    assert encode_bytes(bytes(1024))[:3] == b"\xb9\x04\x00"


@pytest.mark.parametrize("name", list(samples.headers()))
def test_the_hash_of_a_real_header(name: str) -> None:
    header = samples.headers()[name]
    assert "0x" + header_hash(header).hex() == header.hash
    assert verify_header(header).header_fits


def test_a_block_without_transactions() -> None:
    header = samples.headers()["ethereum 0, Frontier"]
    assert verify_block(header, []).outcome == "consistent"


def test_a_receipt_from_before_byzantium() -> None:
    # Ethereum 46147, the first block with a transaction.
    receipt = Receipt(
        cumulative_gas_used="0x5208", root="0x96a8e009d2b88b1483e6941e6812e32263b05683fac202abc622a3e31aed1957"
    )
    assert receipts_root([receipt]).hex() == "fe2bf2a941abf41d72637e5b91750332a30283efd40c424dc522b77e6f0ed8c4"


@pytest.mark.data
def test_the_receipts_root_and_bloom_of_two_real_blocks(data_folder: Path) -> None:
    blocks = samples.real_blocks(data_folder)
    kinds = Counter(receipt.type for _, receipts in blocks for receipt in receipts)
    assert kinds == {"0x2": 250, "0x0": 48}
    for frame, receipts in blocks:
        assert "0x" + receipts_root(receipts).hex() == frame.header.receipts_root
        assert "0x" + bloom_of(frame.logs).to_bytes(256).hex() == frame.header.logs_bloom
        verdict = verify_block(frame.header, receipts)
        assert (verdict.outcome, verdict.detail) == ("unsupported", "the header lacks mix_hash")


def test_every_transaction_type() -> None:
    header, receipts = samples.typed()
    assert {receipt.type for receipt in receipts} == {"0x0", "0x1", "0x2", "0x3", "0x4"}
    assert {receipt.status for receipt in receipts} == {"0x0", "0x1"}
    assert verify_block(header, receipts).outcome == "consistent"


def test_a_given_bloom_that_is_wrong_or_absent_does_not_matter_where_the_logs_are_right() -> None:
    header, receipts = samples.typed()
    for bloom in (None, "0x" + "00" * 256):
        bare = [replace(receipt, logs_bloom=bloom) for receipt in receipts]
        assert verify_block(header, bare).outcome == "consistent"


def test_what_is_not_known_is_unsupported_and_not_wrong() -> None:
    header, receipts = samples.typed()
    deposit = [*receipts[:-1], replace(receipts[-1], type="0x7e")]
    verdict = verify_block(header, deposit)
    assert (verdict.outcome, verdict.header_fits) == ("unsupported", True)
    assert "0x7e" in verdict.detail
    other = replace(header, extra_data="0x00")
    assert verify_block(other, receipts).outcome == "untrusted"
    unknown = unknown_fields([*(field.encode_name for field in msgspec.structs.fields(Header)), "size", "blockGasCost"])
    assert unknown == ("blockGasCost",)
    assert verify_block(other, receipts, unknown).outcome == "unsupported"
    assert verify_block(header, receipts, unknown).outcome == "consistent"
    assert verify_block(replace(header, withdrawals_root=None), receipts).outcome == "unsupported"
    assert verify_block(replace(header, state_root=None), receipts).outcome == "unsupported"


def test_an_answer_that_is_no_hex_is_not_trusted() -> None:
    header, receipts = samples.typed()
    for bad in ("", "0xzz", "12", "-0x1"):
        assert verify_block(header, [replace(receipts[0], status=bad), *receipts[1:]]).outcome == "untrusted"
    assert verify_block(replace(header, miner="0x12"), receipts).outcome == "untrusted"
    assert verify_block(header, [replace(receipts[0], status=None), *receipts[1:]]).outcome == "untrusted"


def flip(text: str, at: int) -> str:
    """Hex data with one of its digits another one."""
    digits = text[2:]
    at %= len(digits)
    other = f"{int(digits[at], 16) ^ 1:x}"
    return f"0x{digits[:at]}{other}{digits[at + 1 :]}"


def with_logs(receipts: list[Receipt], index: int, logs: list[RawLog]) -> list[Receipt]:
    return [*receipts[:index], replace(receipts[index], logs=tuple(logs)), *receipts[index + 1 :]]


def drop_log(receipts: list[Receipt], index: int, rng: random.Random) -> list[Receipt]:
    logs = list(receipts[index].logs)
    logs.pop(rng.randrange(len(logs)))
    return with_logs(receipts, index, logs)


def double_log(receipts: list[Receipt], index: int, rng: random.Random) -> list[Receipt]:
    logs = list(receipts[index].logs)
    logs.insert(rng.randrange(len(logs) + 1), rng.choice(logs))
    return with_logs(receipts, index, logs)


def alter_log(receipts: list[Receipt], index: int, rng: random.Random) -> list[Receipt]:
    logs = list(receipts[index].logs)
    at = rng.randrange(len(logs))
    log, bit = logs[at], rng.randrange(1000)
    choices: list[RawLog] = [replace(log, address=flip(log.address, bit)), replace(log, data=log.data + "00")]
    if len(log.data) > 2:
        choices.append(replace(log, data=flip(log.data, bit)))
    if log.topics:
        choices.append(replace(log, topics=(*log.topics[:-1], flip(log.topics[-1], bit))))
        choices.append(replace(log, topics=log.topics[:-1]))
    logs[at] = rng.choice(choices)
    return with_logs(receipts, index, logs)


def move_log(receipts: list[Receipt], index: int, rng: random.Random) -> list[Receipt]:
    """A log of one transaction given to another."""
    others = [i for i in range(len(receipts)) if i != index]
    target = rng.choice(others)
    logs = list(receipts[index].logs)
    log = logs.pop(rng.randrange(len(logs)))
    return with_logs(with_logs(receipts, index, logs), target, [*receipts[target].logs, log])


def flip_status(receipts: list[Receipt], index: int, _: random.Random) -> list[Receipt]:
    other = "0x0" if receipts[index].status == "0x1" else "0x1"
    return [*receipts[:index], replace(receipts[index], status=other), *receipts[index + 1 :]]


def drop_receipt(receipts: list[Receipt], index: int, _: random.Random) -> list[Receipt]:
    return receipts[:index] + receipts[index + 1 :]


def swap_receipts(receipts: list[Receipt], index: int, rng: random.Random) -> list[Receipt]:
    other = rng.choice([i for i in range(len(receipts)) if i != index])
    swapped = list(receipts)
    swapped[index], swapped[other] = swapped[other], swapped[index]
    return swapped


def change_type(receipts: list[Receipt], index: int, rng: random.Random) -> list[Receipt]:
    kind = rng.choice([k for k in ("0x0", "0x1", "0x2", "0x3", "0x4") if k != receipts[index].type])
    return [*receipts[:index], replace(receipts[index], type=kind), *receipts[index + 1 :]]


def change_gas(receipts: list[Receipt], index: int, _: random.Random) -> list[Receipt]:
    gas = hex(int(receipts[index].cumulative_gas_used, 16) + 1)
    return [*receipts[:index], replace(receipts[index], cumulative_gas_used=gas), *receipts[index + 1 :]]


Alteration = Callable[[list[Receipt], int, random.Random], list[Receipt]]
ALTERATIONS: list[Alteration] = [
    drop_log,
    double_log,
    alter_log,
    move_log,
    flip_status,
    drop_receipt,
    swap_receipts,
    change_type,
    change_gas,
]


@settings(max_examples=150, deadline=None)
@given(how=st.sampled_from(ALTERATIONS), seed=st.integers(0, 2**32), keep_blooms=st.booleans())
def test_no_alteration_of_receipts_passes(how: Alteration, seed: int, *, keep_blooms: bool) -> None:
    header, receipts = samples.typed()
    rng = random.Random(seed)
    index = rng.choice([i for i, receipt in enumerate(receipts) if receipt.logs])
    altered = how(receipts, index, rng)
    if not keep_blooms:
        altered = [replace(receipt, logs_bloom=None) for receipt in altered]
    verdict = verify_block(header, altered)
    assert verdict.outcome == "untrusted", how.__name__
    assert verdict.header_fits
    if how in (drop_log, double_log, alter_log):
        assert not same_logs(logs_of(receipts), logs_of(altered))


@pytest.mark.data
def test_no_alteration_of_a_real_block_has_its_root(data_folder: Path) -> None:
    rng = random.Random(5)
    for frame, receipts in samples.real_blocks(data_folder):
        wanted = frame.header.receipts_root
        for how in ALTERATIONS:
            for _ in range(3):
                index = rng.choice([i for i, receipt in enumerate(receipts) if receipt.logs])
                altered = how(receipts, index, rng)
                assert "0x" + receipts_root(altered).hex() != wanted, how.__name__


@settings(max_examples=100, deadline=None)
@given(
    field=st.sampled_from([f.name for f in msgspec.structs.fields(Header) if f.name != "hash"]),
    seed=st.integers(0, 10_000),
)
def test_no_alteration_of_a_header_passes(field: str, seed: int) -> None:
    header, receipts = samples.typed()
    text = getattr(header, field)
    if text in (None, "0x"):
        return
    altered = flip(text, seed)
    if int(altered, 16) == int(text, 16):
        return
    assert verify_block(replace(header, **{field: altered}), receipts).outcome == "untrusted"


@pytest.mark.parametrize("field", ["log_index", "transaction_index", "block_hash"])
def test_a_log_that_claims_another_place_is_found(field: str) -> None:
    header, receipts = samples.typed()
    wrong = "0x" + "77" * 32 if field == "block_hash" else "0x9"
    log = replace(receipts[1].logs[0], **{field: wrong})
    altered = with_logs(receipts, 1, [log, *receipts[1].logs[1:]])
    assert verify_block(header, altered).outcome == "untrusted"


@pytest.mark.data
def test_a_bloom_tells_of_logs_that_are_missing_or_do_not_belong(data_folder: Path) -> None:
    rng = random.Random(11)
    (first, _), (second, _) = samples.real_blocks(data_folder)
    bloom = int(first.header.logs_bloom or "", 16)
    assert not lacking(bloom, first.logs)
    assert strangers(bloom, first.logs) == []
    alone = [
        log for log in first.logs if not any(log.address == other.address for other in first.logs if other is not log)
    ]
    for log in rng.sample(alone, 10):
        assert lacking(bloom, [other for other in first.logs if other is not log])
    foreign = strangers(bloom, second.logs)
    assert len(foreign) > 50
    assert all(log not in first.logs for log in foreign)
