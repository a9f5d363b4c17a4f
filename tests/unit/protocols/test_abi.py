"""The ABI room against eth_abi, which shares no code with it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode as eth_encode
from hypothesis import assume, given
from hypothesis import strategies as st

from defiwatch.domain.events import Event
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import Address
from defiwatch.errors import DecodeError, ReadError
from defiwatch.protocols import abi

ADDRESS = "0x" + "ab" * 20
TOPIC = "0x" + "00" * 12 + "ab" * 20


def elementary() -> st.SearchStrategy[str]:
    return st.one_of(
        st.integers(1, 32).map(lambda n: f"uint{8 * n}"),
        st.integers(1, 32).map(lambda n: f"int{8 * n}"),
        st.integers(1, 32).map(lambda n: f"bytes{n}"),
        st.sampled_from(["address", "bool", "bytes", "string"]),
    )


def types() -> st.SearchStrategy[str]:
    return st.recursive(
        elementary(),
        lambda inner: st.one_of(
            inner.map(lambda kind: f"{kind}[]"),
            st.tuples(inner, st.integers(1, 3)).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
            st.lists(inner, min_size=1, max_size=3).map(lambda kinds: f"({','.join(kinds)})"),
        ),
        max_leaves=5,
    )


def values(kind: str) -> st.SearchStrategy[Any]:
    """Values of a type in our form: lower-case "0x…" for addresses and bytes, tuples for arrays and tuples."""
    if kind.endswith("]"):
        inner, count = kind[: kind.rindex("[")], kind[kind.rindex("[") + 1 : -1]
        low, high = (int(count), int(count)) if count else (0, 3)
        return st.lists(values(inner), min_size=low, max_size=high).map(tuple)
    if kind.startswith("("):
        return st.tuples(*(values(part) for part in abi.split_types(kind[1:-1])))
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    if kind.startswith("int"):
        half = 2 ** (int(kind[3:]) - 1)
        return st.integers(-half, half - 1)
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    size = int(kind[5:]) if kind != "bytes" else None
    return st.binary(min_size=size or 0, max_size=size or 70).map(lambda raw: "0x" + raw.hex())


def theirs(kind: str, value: Any) -> Any:
    """Our value as eth_abi takes it."""
    if kind.endswith("]"):
        return [theirs(kind[: kind.rindex("[")], item) for item in value]
    if kind.startswith("("):
        return tuple(theirs(part, item) for part, item in zip(abi.split_types(kind[1:-1]), value, strict=True))
    if kind.startswith("bytes"):
        return bytes.fromhex(value[2:])
    return value


@st.composite
def typed(draw: st.DrawFn) -> tuple[list[str], list[Any]]:
    kinds = draw(st.lists(types(), min_size=1, max_size=4))
    return kinds, [draw(values(kind)) for kind in kinds]


@given(typed())
def test_decodes_what_eth_abi_encodes(pair: tuple[list[str], list[Any]]) -> None:
    kinds, plain = pair
    encoded = eth_encode(kinds, [theirs(k, v) for k, v in zip(kinds, plain, strict=True)])
    assert abi.decode(kinds, "0x" + encoded.hex()) == tuple(plain)


@given(typed())
def test_encodes_as_eth_abi_does(pair: tuple[list[str], list[Any]]) -> None:
    kinds, plain = pair
    encoded = eth_encode(kinds, [theirs(k, v) for k, v in zip(kinds, plain, strict=True)])
    assert abi.encode(kinds, plain) == encoded.hex()


@given(typed(), st.data())
def test_a_truncated_answer_is_a_read_error(pair: tuple[list[str], list[Any]], data: st.DataObject) -> None:
    kinds, plain = pair
    encoded = eth_encode(kinds, [theirs(k, v) for k, v in zip(kinds, plain, strict=True)]).hex()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    padding_only = not abi.is_dynamic(f"({','.join(kinds)})")
    assume(padding_only or cut < 64 * sum(abi.head_words(kind) for kind in kinds))
    with pytest.raises(ReadError):
        abi.decode(kinds, "0x" + encoded[:cut])


@given(st.binary(max_size=200), st.lists(types(), min_size=1, max_size=3))
def test_nonsense_is_a_read_error_or_a_value(raw: bytes, kinds: list[str]) -> None:
    try:
        decoded = abi.decode(kinds, "0x" + raw.hex())
    except ReadError:
        return
    assert len(decoded) == len(kinds)


def test_an_array_that_claims_more_than_there_is() -> None:
    with pytest.raises(ReadError, match="array of"):
        abi.decode(["uint256[]"], "0x" + f"{32:064x}" + "f" * 64)


@pytest.mark.parametrize(("kind", "value"), [("uint256", -1), ("uint256", 2**256), ("int256", 2**255)])
def test_a_number_that_does_not_fit_is_refused(kind: str, value: int) -> None:
    with pytest.raises(ValueError, match=r"is no u?int256"):
        abi.encode([kind], [value])


class Plain(Event, frozen=True):
    who: Address
    amount: int
    delta: int
    flag: bool
    tag: str


PLAIN = abi.event("Plain(address indexed who, uint256 amount, int24 delta, bool flag, bytes4 tag)", Plain)


class Odd(Event, frozen=True):
    pair: str
    single: tuple[int, ...]
    grid: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, str], ...]
    note: str
    raw: str


ODD = abi.event(
    "Odd(uint256[2] indexed pair, uint8[1] single, uint16[2][] grid, (uint256, bytes)[] rows, string note, bytes raw)",
    Odd,
)


def log_of(spec: abi.EventSpec[Any], data: str, *topics: str, **more: Any) -> RawLog:
    return RawLog(address=ADDRESS.upper().replace("X", "x"), topics=(spec.topic0, *topics), data=data, **more)


@given(st.integers(0, 2**256 - 1), st.integers(-(2**23), 2**23 - 1), st.booleans(), st.binary(min_size=4, max_size=4))
def test_a_plain_event(amount: int, delta: int, flag: bool, tag: bytes) -> None:
    data = eth_encode(["uint256", "int24", "bool", "bytes4"], [amount, delta, flag, tag])
    log = log_of(PLAIN, "0x" + data.hex(), TOPIC, transaction_hash="0x01", log_index="0x7")
    assert PLAIN.decode(log) == Plain(
        address=ADDRESS,
        tx="0x01",
        log_index=7,
        who=ADDRESS,
        amount=amount,
        delta=delta,
        flag=flag,
        tag="0x" + tag.hex(),
    )
    assert PLAIN.fits(log)


ODD_KINDS = ["uint8[1]", "uint16[2][]", "(uint256,bytes)[]", "string", "bytes"]


@given(values("(uint8[1],uint16[2][],(uint256,bytes)[],string,bytes)"))
def test_an_event_of_odd_types(plain: tuple[Any, ...]) -> None:
    assert ODD.signature == "Odd(uint256[2],uint8[1],uint16[2][],(uint256,bytes)[],string,bytes)"
    data = eth_encode(ODD_KINDS, [theirs(k, v) for k, v in zip(ODD_KINDS, plain, strict=True)])
    decoded = ODD.decode(log_of(ODD, "0x" + data.hex(), "0x" + "cd" * 32))
    assert (decoded.single, decoded.grid, decoded.rows, decoded.note, decoded.raw) == plain
    assert decoded.pair == "0x" + "cd" * 32  # an indexed array is only its hash
    assert (decoded.tx, decoded.log_index) == ("", -1)


@pytest.mark.parametrize(
    ("topics", "data"),
    [
        ((TOPIC,), "0x" + "0" * 255),
        ((TOPIC,), "0x"),
        ((TOPIC,), ""),
        ((TOPIC,), "0x" + "0" * 320),
        ((), "0x" + "0" * 256),
        ((TOPIC, TOPIC), "0x" + "0" * 256),
        (("0x1234",), "0x" + "0" * 256),
        ((TOPIC,), "0x" + "g" * 256),
    ],
)
def test_a_log_that_does_not_fit_names_block_and_log(topics: tuple[str, ...], data: str) -> None:
    log = log_of(PLAIN, data, *topics, block_number="0x10", log_index="0x7")
    with pytest.raises(DecodeError, match=r"^Plain: .*block 0x10, log 0x7") as caught:
        PLAIN.decode(log)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_a_dynamic_event_cut_short_names_block_and_log(data: st.DataObject) -> None:
    plain = data.draw(values("(uint8[1],uint16[2][],(uint256,bytes)[],string,bytes)"))
    encoded = eth_encode(ODD_KINDS, [theirs(k, v) for k, v in zip(ODD_KINDS, plain, strict=True)]).hex()
    cut = data.draw(st.integers(0, 64 * 5 - 1))
    with pytest.raises(DecodeError, match="block 0x1, log 0x2"):
        ODD.decode(log_of(ODD, "0x" + encoded[:cut], "0x" + "cd" * 32, block_number="0x1", log_index="0x2"))


def test_fields_that_are_not_the_abis_are_refused_at_import() -> None:
    with pytest.raises(TypeError, match="fields"):
        abi.event("Plain(address indexed who, uint256 amount)", Plain)


@pytest.mark.parametrize(
    ("name", "field"),
    [("amount0In", "amount0_in"), ("sqrtPriceX96", "sqrt_price_x96"), ("_to", "to"), ("roundId", "round_id")],
)
def test_field_names(name: str, field: str) -> None:
    assert abi.snake(name) == field


def test_a_function_asks_and_reads() -> None:
    balance = abi.function("balanceOf(address)", "uint256")
    assert balance.selector == "0x70a08231"
    call = balance.call(ADDRESS, ADDRESS)
    assert call.data == "0x70a08231" + "00" * 12 + "ab" * 20
    answer = CallResult(to=ADDRESS, data=call.data.upper().replace("0X", "0x"), result="0x" + f"{5:064x}")
    assert balance.matches(answer)
    assert balance.arguments(answer) == (ADDRESS,)
    assert balance.result(answer) == (5,)
    assert balance.result(CallResult(to=ADDRESS, data=call.data, error="0x08c379a0")) is None
    assert balance.result(CallResult(to=ADDRESS, data=call.data, result="0x")) is None
    with pytest.raises(ReadError):
        balance.result(CallResult(to=ADDRESS, data=call.data, result="0x1234"))
    with pytest.raises(ReadError):
        balance.arguments(CallResult(to=ADDRESS, data="0x70a08231"))


def test_words() -> None:
    assert abi.words(None) == abi.words("0x") == ()
    assert abi.words("0x" + f"{7:064x}" + f"{8:064x}" + "ff") == (7, 8)
