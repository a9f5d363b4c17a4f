"""ERC-20 tokens: transfers, and the table of what tokens call themselves, which every protocol shares.

EIP-20. `symbol` and `name` are strings, or bytes32 in tokens older than the standard (MKR, SAI). They are text of
strangers: `domain.text.harmless` is the only way in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, Transferred
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, ChainId, short
from defiwatch.domain.text import harmless
from defiwatch.errors import ConfigError, ReadError
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode, event, function, words
from defiwatch.protocols.spec import Book, Instance, LogFilter, ProtocolSpec, Table

SYMBOL_LIMIT = 24
NAME_LIMIT = 64
DECIMALS_LIMIT = 77
"""10**77 is the largest power of ten in a uint256; a token that claims more decimals cannot be shown."""

SYMBOL = function("symbol()", "string")
NAME = function("name()", "string")
DECIMALS = function("decimals()", "uint256")
BALANCE_OF = function("balanceOf(address)", "uint256")
_QUESTIONS = frozenset({SYMBOL.selector, NAME.selector, DECIMALS.selector})


class Token(msgspec.Struct, frozen=True):
    """What a token says of itself. None: not answered yet; "" and -1: it cannot be told."""

    symbol: str | None = None
    name: str | None = None
    decimals: int | None = None

    @property
    def whole(self) -> bool:
        """Whether every question was answered, one way or the other."""
        return self.symbol is not None and self.name is not None and self.decimals is not None

    @property
    def units(self) -> int:
        """Decimals to count with: 0 where they are not known."""
        return max(self.decimals or 0, 0)

    @property
    def known(self) -> bool:
        """Whether amounts can be shown in whole tokens."""
        return self.decimals is not None and self.decimals >= 0


TOKENS: Table[Address, Token] = Table("erc20.token")
OPEN: Table[Address, bool] = Table("erc20.open")
"""Tokens with questions not answered yet."""


def watch(book: Book, token: Address) -> None:
    """Want a token's symbol, name and decimals; nothing happens where they are known or wanted already."""
    if book.get(TOKENS, token) is None:
        book.put(TOKENS, token, Token())
        book.put(OPEN, token, True)


def token_of(book: Book, token: Address) -> Token:
    """What is known of a token; all None where nothing is."""
    return book.get(TOKENS, token) or Token()


def symbol_of(book: Book, token: Address) -> str:
    """A token's symbol as it may be shown: its address in short form where it has none."""
    return token_of(book, token).symbol or (short(token) if token else "?")


def token_wants(book: Book, at: BlockRef, also: Iterable[Address] = ()) -> list[Call]:
    """The questions to tokens that are still open at the block `at`: of those watched, and of `also`."""
    calls: list[Call] = []
    unseen = {token for token in also if book.get(TOKENS, token) is None}
    for address in sorted(unseen.union(token for token, _ in book.items(OPEN))):
        token = token_of(book, address)
        if token.symbol is None:
            calls.append(SYMBOL.call(address))
        if token.decimals is None:
            calls.append(DECIMALS.call(address))
        if token.name is None:
            calls.append(NAME.call(address))
    return reads.open_calls(book, at, calls)


def token_read(book: Book, at: BlockRef, call: CallResult, also: frozenset[Address] = frozenset()) -> bool:
    """Take an answer of a token that is watched or in `also`; False if it is none.

    A refusal counts as "cannot be told" where the token has answered another question (so it exists); else it is asked
    again.
    """
    kind = call.data.lower()
    if kind not in _QUESTIONS:
        return False
    address = call.to.lower()
    if address in also:
        watch(book, address)
    token = book.get(TOKENS, address)
    if token is None:
        return False
    if reads.empty(call):
        reads.refuse(book, at, call)
    else:
        reads.accept(book, call)
        token = _answered(token, kind, call.result or "")
        _forget_earlier(book, at, address)
    token = _settled(book, address, token)
    if token != book.get(TOKENS, address):
        book.put(TOKENS, address, token)
        if token.whole:
            book.drop(OPEN, address)
    return True


def _answered(token: Token, question: str, result: str) -> Token:
    if question == SYMBOL.selector:
        return msgspec.structs.replace(token, symbol=read_text(result, SYMBOL_LIMIT))
    if question == NAME.selector:
        return msgspec.structs.replace(token, name=read_text(result, NAME_LIMIT))
    decimals = (words(result) or (-1,))[0]
    return msgspec.structs.replace(token, decimals=decimals if decimals <= DECIMALS_LIMIT else -1)


def _forget_earlier(book: Book, at: BlockRef, address: Address) -> None:
    """A token that answers exists now: what was refused at an earlier block may have been before it did."""
    for question in (SYMBOL, NAME, DECIMALS):
        call = question.call(address)
        before = book.get(reads.REFUSED, (call.to, call.data))
        if before is not None and before < at.number:
            book.drop(reads.REFUSED, (call.to, call.data))


def _settled(book: Book, address: Address, token: Token) -> Token:
    """A token that answered something exists: what it refused to say, it does not have."""
    if token.symbol is None and token.name is None and token.decimals is None:
        return token
    if token.symbol is None and reads.refused(book, SYMBOL.call(address)):
        token = msgspec.structs.replace(token, symbol="")
    if token.name is None and reads.refused(book, NAME.call(address)):
        token = msgspec.structs.replace(token, name="")
    if token.decimals is None and reads.refused(book, DECIMALS.call(address)):
        token = msgspec.structs.replace(token, decimals=-1)
    return token


def read_text(result: str, limit: int) -> str:
    """A string or bytes32 answer as harmless text; "" where it is neither."""
    if len(result) == 66:
        try:
            raw = bytes.fromhex(result[2:])
        except ValueError:
            return ""
        return harmless(raw.rstrip(b"\0").decode("utf-8", "replace"), limit)
    try:
        (text,) = decode(("string",), result)
    except ReadError:
        return ""
    return harmless(text, limit)


class Transfer(Event, frozen=True):
    """`amount` of the token's units went from `sender` to `recipient`; mints come from the zero address."""

    sender: Address
    recipient: Address
    amount: int


class Approval(Event, frozen=True):
    """`owner` lets `spender` take up to `amount` units."""

    owner: Address
    spender: Address
    amount: int


TRANSFER = event("Transfer(address indexed sender, address indexed recipient, uint256 amount)", Transfer)
APPROVAL = event("Approval(address indexed owner, address indexed spender, uint256 amount)", Approval)


class Erc20(Instance):
    """The tokens that a user watches: their transfers become facts."""

    protocol = "erc20"
    events = (TRANSFER, APPROVAL)

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.tokens:
            raise ConfigError("erc20: expected tokens = [addresses]")
        self._tokens = frozenset(deployment.tokens)
        self._filter = LogFilter(self._tokens, frozenset({TRANSFER.topic0}))

    def filter(self, book: Book) -> LogFilter:  # noqa: ARG002 - always the same
        """Transfers of its tokens."""
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Symbol, decimals and name of each token, once."""
        return token_wants(book, at, self._tokens)

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:  # noqa: ARG002 - keeps no state
        """A transfer is a fact; approvals change nothing that is watched."""
        if isinstance(event, Transfer):
            return (
                Transferred(
                    token=event.address,
                    sender=event.sender,
                    recipient=event.recipient,
                    amount=event.amount,
                    tx=event.tx,
                    log_index=event.log_index,
                ),
            )
        return ()

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take what a token says of itself."""
        return token_read(book, at, call, self._tokens)


ERC20 = ProtocolSpec(
    name="erc20",
    title="ERC-20 tokens",
    events=(TRANSFER, APPROVAL),
    create=Erc20,
    keys=frozenset({"tokens", "label"}),
)
