"""ERC-20: transfers, and what tokens call themselves."""

from __future__ import annotations

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import Transferred
from defiwatch.domain.frames import CallResult
from defiwatch.errors import ConfigError
from defiwatch.protocols.erc20 import (
    APPROVAL,
    DECIMALS,
    NAME,
    OPEN,
    SYMBOL,
    TRANSFER,
    Erc20,
    Token,
    symbol_of,
    token_of,
)
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, raw

TOKEN = "0x" + "aa" * 20
OTHER = "0x" + "bb" * 20
ALICE = "0x" + "01" * 20
BOB = "0x" + "02" * 20


def player(*tokens: str) -> Player:
    it = Player(Deployment(chain="x", protocol="erc20", tokens=tokens or (TOKEN,)))
    it.block(at(1))
    return it


def bytes32(text: bytes) -> str:
    return "0x" + text.hex().ljust(64, "0")


def test_signatures() -> None:
    assert TRANSFER.topic0 == "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert APPROVAL.topic0 == "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"
    assert (SYMBOL.selector, DECIMALS.selector, NAME.selector) == ("0x95d89b41", "0x313ce567", "0x06fdde03")


def test_a_watched_tokens_transfers_are_facts() -> None:
    it = player()
    topics = [("address", ALICE), ("address", BOB)]
    transfer = raw(TRANSFER.topic0, TOKEN, topics, [("uint256", 2**256 - 1)], index=4)
    approval = raw(APPROVAL.topic0, TOKEN, topics, [("uint256", 7)])
    elsewhere = raw(TRANSFER.topic0, OTHER, topics, [("uint256", 1)])
    assert it.block(at(2), transfer, approval, elsewhere) == [
        Transferred(token=TOKEN, sender=ALICE, recipient=BOB, amount=2**256 - 1, tx="0x" + "11" * 32, log_index=4)
    ]


def test_each_question_is_asked_once() -> None:
    it = player(OTHER, TOKEN)
    questions = [(token, q.selector) for token in (TOKEN, OTHER) for q in (SYMBOL, DECIMALS, NAME)]
    assert it.wants() == questions
    assert it.book.tables() == {}  # asking writes nothing
    assert it.read(token_answers(TOKEN, "USDC", "USD Coin", 6)) == [True] * 3
    assert it.wants() == questions[3:]
    it.read(token_answers(OTHER, "DAI", "Dai Stablecoin", 18))
    assert it.wants(at(10_000)) == []
    assert token_of(it.book, TOKEN) == Token("USDC", "USD Coin", 6)
    assert it.book.size(OPEN) == 0


def test_what_was_refused_before_the_token_existed_is_asked_again() -> None:
    it = player()
    it.read([refusal(question, TOKEN) for question in (SYMBOL, DECIMALS, NAME)])
    it.block(at(9))
    it.read([CallResult(to=TOKEN, data=SYMBOL.selector, result=bytes32(b"USDC"))])  # somebody else asked
    assert token_of(it.book, TOKEN) == Token("USDC", None, None)
    assert {selector for _, selector in it.wants()} == {DECIMALS.selector, NAME.selector}
    it.read([refusal(NAME, TOKEN), answer(DECIMALS, TOKEN, 6)])
    assert token_of(it.book, TOKEN) == Token("USDC", "", 6)


def test_an_answer_for_a_token_that_nobody_watches_is_left_alone() -> None:
    it = player()
    assert it.read(token_answers(OTHER, "X", "X", 1)) == [False] * 3
    assert it.read([CallResult(to=TOKEN, data="0x12345678", result="0x")]) == [False]


def test_symbols_of_old_tokens_are_bytes32() -> None:
    it = player()
    it.read([CallResult(to=TOKEN, data=SYMBOL.selector, result=bytes32(b"MKR"))])
    it.read([CallResult(to=TOKEN, data=NAME.selector, result=bytes32(b"Maker"))])
    assert token_of(it.book, TOKEN) == Token("MKR", "Maker", None)


@pytest.mark.parametrize(
    "result",
    ["0x1234", "0x" + "zz" * 32, "0x" + "ff" * 64, bytes32(b"\xff\xfe")[:66], "0x" + f"{32:064x}" + f"{10**9:064x}"],
)
def test_nonsense_for_a_symbol_is_shown_as_the_address(result: str) -> None:
    it = player()
    it.read([CallResult(to=TOKEN, data=SYMBOL.selector, result=result)])
    assert symbol_of(it.book, TOKEN) in ("0xaaaa…aaaa", "\ufffd\ufffd")


def test_a_hostile_name_is_harmless() -> None:
    it = player()
    it.read(token_answers(TOKEN, "\x1b]0;x\x07[red]US\u202eDC" + "A" * 100_000, "\x00\u200b", 6))
    token = token_of(it.book, TOKEN)
    assert token.symbol is not None
    assert token.symbol.startswith("(red)USDCA")
    assert len(token.symbol) == 24
    assert token.name == ""


def test_decimals_that_cannot_be() -> None:
    for result, kept in ((f"{255:064x}", -1), ("f" * 64, -1), (f"{77:064x}", 77), (f"{0:064x}", 0), ("12", -1)):
        it = player()
        it.read([CallResult(to=TOKEN, data=DECIMALS.selector, result="0x" + result)])
        assert token_of(it.book, TOKEN).decimals == kept
        assert token_of(it.book, TOKEN).units == max(kept, 0)


def test_a_token_that_has_no_name_is_not_asked_forever() -> None:
    it = player()
    it.read([refusal(NAME, TOKEN), answer(SYMBOL, TOKEN, "X"), refusal(DECIMALS, TOKEN)])
    assert token_of(it.book, TOKEN) == Token("X", "", -1)
    assert it.wants(at(10_000)) == []


def test_an_address_without_a_contract_is_asked_again_later() -> None:
    it = player()
    it.read([refusal(question, TOKEN) for question in (SYMBOL, DECIMALS, NAME)])
    assert it.wants(at(1)) == it.wants(at(50)) == []
    assert len(it.wants(at(51))) == 3
    it.read(token_answers(TOKEN, "NEW", "New", 18), at(51))
    assert token_of(it.book, TOKEN) == Token("NEW", "New", 18)
    assert it.wants(at(200)) == []


def test_a_deployment_without_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="tokens = "):
        Erc20(1, Deployment(chain="x", protocol="erc20"))
