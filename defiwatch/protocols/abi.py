"""Event decoders and contract calls, generated once from their ABI.

`event("Swap(address indexed sender, uint256 amount0In, …)", Swap)` compiles a decoder that slices the hex of a log
straight into the struct `Swap` (about 2 µs a log). The struct's fields are the ABI's names in snake_case, in any order.
ABI encoding: https://docs.soliditylang.org/en/latest/abi-spec.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from defiwatch.domain.events import Event
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import Address
from defiwatch.domain.keccak import selector, topic
from defiwatch.errors import DecodeError, ReadError

E = TypeVar("E", bound=Event)

_INT256 = 1 << 255
_UINT256 = 1 << 256


class Param(msgspec.Struct, frozen=True):
    """One parameter of an event or function."""

    type: str
    name: str
    indexed: bool = False


class EventSpec(msgspec.Struct, Generic[E], frozen=True):
    """An event with its generated decoder. `decode` raises DecodeError, naming what is wrong and where.

    Two events may share a first topic; `topics` (how many) and `data_words` (of the static head) tell most apart,
    the owner of the address tells the rest.
    """

    name: str
    signature: str
    topic0: str
    topics: int
    data_words: int
    dynamic: bool
    type: type[E]
    decode: Callable[[RawLog], E]

    def fits(self, log: RawLog) -> bool:
        """Whether the log has this event's topic, topic count and data size."""
        size = (len(log.data) - 2) // 64
        return (
            len(log.topics) == self.topics
            and log.topics[0] == self.topic0
            and (size >= self.data_words if self.dynamic else size == self.data_words)
        )


def split_types(text: str) -> list[str]:
    """A comma-separated list split at its own level: "address,(uint8,bytes)[],bool" gives three."""
    parts: list[str] = []
    depth, start = 0, 0
    for i, char in enumerate(text):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    if text[start:].strip():
        parts.append(text[start:].strip())
    return parts


_ARRAY = re.compile(r"^(.*)\[(\d*)\]$")


@lru_cache(maxsize=1024)
def is_dynamic(kind: str) -> bool:
    """Whether a type's size depends on its value."""
    if array := _ARRAY.match(kind):
        return array[2] == "" or is_dynamic(array[1])
    if kind.startswith("("):
        return any(is_dynamic(part) for part in split_types(kind[1:-1]))
    return kind in ("bytes", "string")


@lru_cache(maxsize=1024)
def head_words(kind: str) -> int:
    """How many 32-byte words a type takes in the head."""
    if is_dynamic(kind):
        return 1
    if array := _ARRAY.match(kind):
        return int(array[2]) * head_words(array[1])
    if kind.startswith("("):
        return sum(head_words(part) for part in split_types(kind[1:-1]))
    return 1


def _word(kind: str, text: str) -> Any:
    if kind == "address":
        return "0x" + text[24:64].lower()
    if kind.startswith("uint"):
        return int(text, 16)
    if kind.startswith("int"):
        value = int(text, 16)
        return value - _UINT256 if value >= _INT256 else value
    if kind == "bool":
        return int(text, 16) != 0
    if kind.startswith("bytes"):
        return "0x" + text[: 2 * int(kind[5:])]
    raise ValueError(f"unknown ABI type {kind!r}")


def _value(kind: str, body: str, at: int) -> Any:
    """One value of `body` (hex, no 0x) whose encoding starts at hex offset `at`; dynamic types start at their tail."""
    if kind in ("bytes", "string"):
        length = int(_slice(body, at, 64), 16)
        raw = _slice(body, at + 64, 2 * length)
        return "0x" + raw if kind == "bytes" else bytes.fromhex(raw).decode("utf-8", "replace")
    if array := _ARRAY.match(kind):
        inner = array[1]
        if array[2]:
            return _sequence([inner] * int(array[2]), body, at)
        length = int(_slice(body, at, 64), 16)
        if length * 64 > len(body):
            raise ValueError(f"array of {length} elements in {len(body) // 64} words")
        return _sequence([inner] * length, body, at + 64)
    if kind.startswith("("):
        return _sequence(split_types(kind[1:-1]), body, at)
    return _word(kind, _slice(body, at, 64))


def _slice(body: str, at: int, length: int) -> str:
    if at < 0 or at + length > len(body):
        raise ValueError(f"needs {at + length} hex digits, has {len(body)}")
    return body[at : at + length]


def _sequence(kinds: Sequence[str], body: str, at: int) -> tuple[Any, ...]:
    values: list[Any] = []
    head = at
    for kind in kinds:
        if is_dynamic(kind):
            values.append(_value(kind, body, at + 2 * int(_slice(body, head, 64), 16)))
        else:
            values.append(_value(kind, body, head))
        head += 64 * head_words(kind)
    return tuple(values)


def decode(types: Sequence[str], data: str) -> tuple[Any, ...]:
    """ABI-encoded `data` ("0x…") as Python values: int, bool, lower-case address, "0x…" bytes, str, tuples.

    ReadError if the data is too short or malformed.
    """
    try:
        return _sequence(types, data[2:], 0)
    except ValueError as error:
        raise ReadError(f"cannot read {','.join(types)} from {len(data) // 2 - 1} bytes: {error}") from error


def words(data: str | None) -> tuple[int, ...]:
    """A result as unsigned 32-byte words; () for "0x" or None."""
    if not data or len(data) <= 2:
        return ()
    return tuple(int(data[i : i + 64], 16) for i in range(2, len(data) - 63, 64))


def _encode_word(kind: str, value: Any) -> str:
    if kind == "address":
        return str(value)[2:].lower().rjust(64, "0")
    if kind.startswith(("uint", "int")):
        number = int(value)
        low, high = (0, _UINT256) if kind[0] == "u" else (-_INT256, _INT256)
        if not low <= number < high:
            raise ValueError(f"{number} is no {kind}")
        return f"{number % _UINT256:064x}"
    if kind == "bool":
        return f"{int(value):064x}"
    if kind.startswith("bytes") and kind != "bytes":
        return str(value)[2:].lower().ljust(64, "0")
    raise ValueError(f"cannot encode {kind!r}")


def encode(types: Sequence[str], values: Sequence[Any]) -> str:
    """Python values as ABI hex without "0x". Static types, `bytes`, `string`, arrays and tuples of them."""
    head: list[str] = []
    tail: list[str] = []
    head_size = 32 * sum(head_words(kind) for kind in types)
    tail_size = 0
    for kind, value in zip(types, values, strict=True):
        if is_dynamic(kind):
            head.append(f"{head_size + tail_size:064x}")
            body = _encode_tail(kind, value)
            tail.append(body)
            tail_size += len(body) // 2
        elif array := _ARRAY.match(kind):
            head.append(encode([array[1]] * int(array[2]), value))
        elif kind.startswith("("):
            head.append(encode(split_types(kind[1:-1]), value))
        else:
            head.append(_encode_word(kind, value))
    return "".join(head) + "".join(tail)


def _encode_tail(kind: str, value: Any) -> str:
    if kind in ("bytes", "string"):
        raw = str(value)[2:] if kind == "bytes" else str(value).encode().hex()
        return f"{len(raw) // 2:064x}" + raw.ljust((len(raw) + 63) // 64 * 64, "0")
    if array := _ARRAY.match(kind):
        length = "" if array[2] else f"{len(value):064x}"
        return length + encode([array[1]] * len(value), value)
    return encode(split_types(kind[1:-1]), value)


class Call(msgspec.Struct, frozen=True):
    """One contract read that is wanted: `to`, and the calldata as hex."""

    to: Address
    data: str


class Function(msgspec.Struct, frozen=True):
    """A view function: builds its calldata and reads its answer."""

    signature: str
    selector: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def call(self, to: Address, *args: Any) -> Call:
        """The read as data."""
        return Call(to, self.selector + encode(self.inputs, args))

    def matches(self, call: CallResult) -> bool:
        """Whether `call` asked this function."""
        return call.data[:10].lower() == self.selector

    def arguments(self, call: CallResult) -> tuple[Any, ...]:
        """What `call` asked with. ReadError if the calldata is malformed."""
        return decode(self.inputs, "0x" + call.data[10:])

    def result(self, call: CallResult) -> tuple[Any, ...] | None:
        """The answer's values, None if it reverted or is empty. ReadError if it does not fit."""
        if call.error is not None or call.result is None or len(call.result) <= 2:
            return None
        return decode(self.outputs, call.result)


def function(signature: str, outputs: str = "") -> Function:
    """A function from its canonical signature and its output types: ("balanceOf(address)", "uint256")."""
    inputs = tuple(split_types(signature[signature.index("(") + 1 : -1]))
    return Function(signature, selector(signature), inputs, tuple(split_types(outputs)))


def snake(name: str) -> str:
    """An ABI name as a field: amount0In → amount0_in, _to → to."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("_")).lower()


_TYPE = re.compile(r"(?:\(.*\)|[a-z0-9]+)(?:\[\d*\])*")
"""A type at the start of a parameter: a tuple or an elementary one, with any number of array brackets."""


def is_word(kind: str) -> bool:
    """Whether a type is one plain 32-byte word: no array, no tuple, of fixed size."""
    return not kind.endswith("]") and not kind.startswith("(") and not is_dynamic(kind)


def parse_params(text: str) -> list[Param]:
    """The parameters of "Name(type indexed name, …)"; unnamed ones are arg0, arg1, …"""
    inner = text[text.index("(") + 1 : text.rindex(")")]
    params: list[Param] = []
    for i, part in enumerate(split_types(inner)):
        match = _TYPE.match(part)
        if match is None:
            raise ValueError(f"expected a type, got {part!r}")
        kind, rest = match[0], part[match.end() :].split()
        indexed = "indexed" in rest
        names = [word for word in rest if word != "indexed"]
        params.append(Param(_canonical(kind), names[0] if names else f"arg{i}", indexed))
    return params


def _canonical(kind: str) -> str:
    kind = kind.replace(" ", "")
    return re.sub(r"\b(u?int)\b(?!\d)", r"\g<1>256", kind)


def event(declaration: str, into: type[E]) -> EventSpec[E]:
    """Compile the decoder of one event into the struct `into`.

    Raises TypeError at import if the struct's fields are not the ABI's names: a decoder cannot be half right.
    """
    name = declaration[: declaration.index("(")].strip()
    params = parse_params(declaration)
    signature = f"{name}({','.join(param.type for param in params)})"
    fields = [field for field in into.__struct_fields__ if field not in Event.__struct_fields__]
    expected = {snake(param.name) for param in params}
    if set(fields) != expected:
        raise TypeError(f"{into.__name__}: fields {sorted(fields)}, the ABI of {name} has {sorted(expected)}")
    data_params = [param for param in params if not param.indexed]
    dynamic = any(is_dynamic(param.type) for param in data_params)
    data_words = sum(head_words(param.type) for param in data_params)
    topics = 1 + sum(param.indexed for param in params)
    expressions: dict[str, str] = {}
    topic_at, data_at = 1, 0
    for param in params:
        if param.indexed:
            kind = param.type if is_word(param.type) else "bytes32"  # all else is hashed
            expressions[snake(param.name)] = _expression(kind, f"topics[{topic_at}]", 2)
            topic_at += 1
        elif is_word(param.type):
            expressions[snake(param.name)] = _expression(param.type, "data", 2 + 64 * data_at)
            data_at += 1
        else:
            at = (
                f"2 * int(data[{2 + 64 * data_at}:{66 + 64 * data_at}], 16)"
                if is_dynamic(param.type)
                else str(64 * data_at)
            )
            expressions[snake(param.name)] = f"value({param.type!r}, data[2:], {at})"
            data_at += head_words(param.type)
    body = ", ".join(f"{field}={expressions[field]}" for field in fields)
    size = 2 + 64 * data_words
    short_topic = "".join(f" or len(topics[{i}]) != 66" for i in range(1, topics))
    source = f"""
def decode(log):
    topics = log.topics
    data = log.data
    if len(topics) != {topics} or len(data) {"<" if dynamic else "!="} {size}{short_topic}:
        sizes = ", ".join(f"{{len(topic) / 2 - 1:g}}" for topic in topics)
        raise error("{name}: expected {topics} topics of 32 bytes and {data_words} words of data, got topics of "
                    f"[{{sizes}}] bytes and {{(len(data) - 2) / 64:g}} words "
                    f"(block {{log.block_number}}, log {{log.log_index}})")
    try:
        return into(address=log.address.lower(), tx=log.transaction_hash or "",
                    log_index=int(log.log_index, 16) if log.log_index else -1, {body})
    except ValueError as cause:
        raise error(f"{name}: {{cause}} (block {{log.block_number}}, log {{log.log_index}})") from cause
"""
    scope: dict[str, Any] = {"into": into, "error": DecodeError, "value": _value}
    exec(compile(source, f"<decoder {name}>", "exec"), scope)  # noqa: S102 - our own text, made from the ABI at import
    return EventSpec(
        name=name,
        signature=signature,
        topic0=topic(signature),
        topics=topics,
        data_words=data_words,
        dynamic=dynamic,
        type=into,
        decode=scope["decode"],
    )


def _expression(kind: str, source: str, at: int) -> str:
    word = f"{source}[{at}:{at + 64}]"
    if kind == "address":
        return f'"0x" + {source}[{at + 24}:{at + 64}].lower()'
    if kind.startswith("uint"):
        return f"int({word}, 16)"
    if kind.startswith("int"):
        return f"(int({word}, 16) ^ {_INT256}) - {_INT256}"
    if kind == "bool":
        return f"int({word}, 16) != 0"
    return f'"0x" + {source}[{at}:{at + 2 * int(kind[5:])}]'
