"""What refusals mean, in the providers' own wordings."""

from __future__ import annotations

import pytest

from defiwatch.collectors.wire import Fault, refused, refused_http, scrub
from defiwatch.errors import AnswerError, EndpointError, LimitError, NodeError, UnknownBlockError

KEY = "0123456789abcdef0123456789abcdef"
URL = f"https://user:hunter2secret@mainnet.example.org/v3/{KEY}?apikey=topsecret"

TOO_LARGE = [
    (-32005, "query returned more than 10000 results. Try with this block range [0x118dc91, 0x1198cc3]."),
    (-32602, "Query returned more than 10000 results. Try with this block range [0x118dc91, 0x1198cc3]."),
    (-32602, "range 1000000 exceeds limit of 10000"),
    (-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range"),
    (-32614, "eth_getLogs is limited to a 10,000 range"),
    (-32000, "requested too many blocks from 1 to 5000, maximum is set to 2048"),
    (-32047, "Invalid eth_getLogs request. Max range: 800"),
    (-32600, "block range is too wide"),
    (-32000, "eth_getLogs is limited to 1024 block range"),
    (-32602, "response size should not greater than 10000000 bytes"),
    (-32602, "query exceeds max results 20000, retry with the range 1-2"),
    (-32020, "backend response too large"),
    (-32000, "Block range is too large"),
    (-32000, "block range too large"),
    (-32000, "logs matched by query exceeds limit of 10000"),
    (-32600, "eth_getLogs exceeds the range allowed for your plan (5000 > 500)"),
    (-32002, "Block range limit exceeded. See more details at https://docs"),
    (-32602, "please limit the query to at most 1000 blocks"),
    (-32701, "exceed maximum block range: 50000"),
    (-32602, "query exceeds max block range 1000"),
    (-32000, "block range greater than 10000 max"),
    (-32000, "block range exceeds 1000"),
    (-32000, "eth_getLogs range is too large, max is 10k blocks"),
    (-32000, "query must be smaller than size 1024"),
    (-32000, "block range is too wide (maximum 1024)"),
    (-32000, "maximum [from, to] blocks distance: 2000"),
    (-32012, "requested range too large"),
    (-32000, "batch limit 100 exceeded: 142 requests given"),
    (-32600, "batch too large"),
    (-32602, "Number of requests in batch exceeds --rpc-max-batch-size."),
    (-32003, "response too large"),
    (-32000, "query timeout exceeded"),
    (-32000, "execution aborted (timeout = 5s)"),
]
RATE = [
    (-32005, "limit exceeded"),
    (429, "Your app has exceeded its compute units per second capacity"),
    (-32007, "50/second request limit reached - reduce calls per second"),
    (-32016, "over rate limit"),
    (-32005, "daily request count exceeded, request rate limited"),
    (-32000, "Too Many Requests"),
    (-32005, "project ID request rate exceeded"),
]
UNKNOWN = [
    (-32000, "missing trie node ef7df5d88cb1614dc3f143879a653cd90717ee42e967c5fabbcd7505a968f314 (path )"),
    (-32000, "header not found"),
    (-32001, "Resource not found"),
    (-32000, "header for hash not found"),
    (-32000, "required historical state unavailable (reexec=128)"),
    (-32603, "State at block #11052984 is pruned"),
    (4444, "old data not available due to pruning"),
    (-32001, "block not found: 0x12d4b2f"),
    (-32000, "unknown block"),
    (-32000, "state is not available"),
    (-32000, "World state unavailable"),
    (-32602, "BlockOutOfRangeError: block height is 5 but requested was 9"),
    (-32000, "hash 0x00 is not currently canonical"),
    (-32602, "distance to target block exceeds maximum proof window"),
]
OF_THE_CONTRACT = [
    (3, "execution reverted: rate limit exceeded"),
    (-32000, "execution reverted"),
    (3, "execution reverted: state is missing, header not found"),
    (-32015, "VM execution error."),
    (-32601, "the method eth_foo does not exist/is not available"),
]


@pytest.mark.parametrize(("code", "message"), TOO_LARGE)
def test_asking_for_too_much(code: int, message: str) -> None:
    error = refused(Fault(code, message), URL, "eth_getLogs")
    assert isinstance(error, LimitError)
    assert error.too_large


def test_the_reason_may_hide_in_the_data() -> None:
    fault = Fault(
        -32602, "invalid params", {"error_id": "4ed9", "payload": "range 9009594 is bigger than range limit 2000"}
    )
    error = refused(fault, URL, "eth_getLogs")
    assert isinstance(error, LimitError)
    assert error.too_large


@pytest.mark.parametrize(("code", "message"), RATE)
def test_asking_too_often(code: int, message: str) -> None:
    error = refused(Fault(code, message), URL, "eth_getLogs")
    assert isinstance(error, LimitError)
    assert not error.too_large


@pytest.mark.parametrize(("code", "message"), UNKNOWN)
def test_a_block_that_the_node_does_not_have(code: int, message: str) -> None:
    assert isinstance(refused(Fault(code, message), URL, "eth_call"), UnknownBlockError)


@pytest.mark.parametrize(("code", "message"), OF_THE_CONTRACT)
def test_what_is_an_answer_of_its_own(code: int, message: str) -> None:
    error = refused(Fault(code, message, "0x08c379a0"), URL, "eth_call")
    assert type(error) is NodeError
    assert error.answer == {"code": code, "message": message, "data": "0x08c379a0"}


def test_retry_after_as_seconds_and_as_a_date() -> None:
    soon = refused_http(429, "7", b"slow down", URL, 0.0)
    assert isinstance(soon, LimitError)
    assert soon.retry_after == 7.0
    dated = refused_http(429, "Wed, 21 Oct 2015 07:28:00 GMT", b"", URL, 1445412470.0)
    assert isinstance(dated, LimitError)
    assert dated.retry_after == 10.0
    unsaid = refused_http(429, "soon", b"", URL, 0.0)
    assert isinstance(unsaid, LimitError)
    assert unsaid.retry_after is None


@pytest.mark.parametrize(
    ("status", "kind"), [(413, LimitError), (401, EndpointError), (502, EndpointError), (400, AnswerError)]
)
def test_http_statuses(status: int, kind: type[EndpointError]) -> None:
    assert type(refused_http(status, None, b"<html>", URL, 0.0)) is kind


def test_no_secret_is_ever_shown() -> None:
    echo = f"no access to {URL} with key {KEY}, topsecret, hunter2secret\x1b[31m"
    for text in (
        scrub(echo, URL),
        str(refused(Fault(1, echo), URL, "x")),
        str(refused_http(403, None, echo.encode(), URL, 0)),
    ):
        assert KEY not in text
        assert "topsecret" not in text
        assert "hunter2secret" not in text
        assert "\x1b" not in text
        assert "mainnet.example.org" in text
