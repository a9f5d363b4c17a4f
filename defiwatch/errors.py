"""Every error that defiwatch raises on purpose, in one tree.

DefiwatchError
├── UsageError            exit 2: the command line cannot mean anything
│   └── ConfigError       exit 2: file, key and what was expected
├── SourceError           exit 3: no source could be reached
│   ├── EndpointError     one endpoint failed; another may serve
│   │   ├── LimitError    it refused for size or rate: ask for less, or later
│   │   ├── AnswerError   it answered nonsense
│   │   └── NodeError     it answered with a JSON-RPC error of its own
│   │       └── UnknownBlockError  it lacks that block, or no longer has its state
│   └── WrongChainError   it serves another chain than the configuration says
├── RecordingError        exit 2: a recording that cannot be read at all
├── DecodeError           a log that does not fit its event; counted, told once, skipped
├── ReadError             a contract's answer that does not fit its call
├── DifferenceError       exit 4: `prove` or `journal verify` found a difference
├── StoreError            exit 1: our own data on disk is damaged or locked
└── DeliveryError         exit 1: a channel (program, webhook) did not take what it was sent
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process answers to its caller; part of the interface."""

    OK = 0
    FAULT = 1
    USAGE = 2
    NO_SOURCE = 3
    FOUND = 4


class DefiwatchError(Exception):
    """The root; `exit_code` is what the command line leaves with."""

    exit_code: ExitCode = ExitCode.FAULT


class UsageError(DefiwatchError):
    """The command line cannot mean anything."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A configuration that is refused; the text names file, key and what was expected."""


class SourceError(DefiwatchError):
    """No source could be reached."""

    exit_code = ExitCode.NO_SOURCE


class EndpointError(SourceError):
    """One endpoint failed; another may serve."""


class LimitError(EndpointError):
    """The endpoint refused for size or rate.

    `retry_after` is in seconds where the endpoint named it, else None; `too_large` says that the range or
    batch must be halved rather than sent again later.
    """

    def __init__(self, text: str, *, retry_after: float | None = None, too_large: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.too_large = too_large


class BudgetError(LimitError):
    """Our own budget does not allow the question now: nothing was sent."""


class AnswerError(EndpointError):
    """The endpoint answered something that the question does not admit."""


class NodeError(EndpointError):
    """The node answered with a JSON-RPC error; `code`, `message` and `data` are as it gave them."""

    def __init__(self, text: str, *, code: int = 0, message: str = "", data: object = None) -> None:
        super().__init__(text)
        self.code = code
        self.message = message
        self.data = data

    @property
    def answer(self) -> dict[str, object]:
        """The error object, as a recording keeps it."""
        kept: dict[str, object] = {"code": self.code, "message": self.message}
        if self.data is not None:
            kept["data"] = self.data
        return kept


class UnknownBlockError(NodeError):
    """The node does not have the block that was named, or no longer (or not yet) its state."""


class WrongChainError(SourceError):
    """The endpoint serves another chain than the configuration says."""


class RecordingError(DefiwatchError):
    """A recording that cannot be read at all (not gzip, no header, another schema)."""

    exit_code = ExitCode.USAGE


class DecodeError(DefiwatchError):
    """A log that does not fit the event that its first topic names."""


class ReadError(DefiwatchError):
    """A contract's answer that does not fit its call."""


class DifferenceError(DefiwatchError):
    """`prove` or `journal verify` found a difference."""

    exit_code = ExitCode.FOUND


class StoreError(DefiwatchError):
    """Our own data on disk is damaged, locked or from another version."""


class DeliveryError(DefiwatchError):
    """A channel (a program, a webhook) did not take what it was sent; the text says what it answered."""
