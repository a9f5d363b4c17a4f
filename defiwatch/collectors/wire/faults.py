"""What a refusal means: JSON-RPC and HTTP errors as providers phrase them, told apart into our own.

No standard says how a node refuses for size, so the wording decides. Sources of the wordings: the providers' answers
collected in ponder-sh/ponder@00dce05 packages/utils/src/getLogsRetryHelper.ts, INFURA/infura#237, boba_legacy#827,
erigon#7072 and #17245, go-ethereum#26681, besu#4951, EIP-1474 (error codes).
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import msgspec

from defiwatch.config import mask
from defiwatch.domain.text import harmless
from defiwatch.errors import AnswerError, EndpointError, LimitError, NodeError, UnknownBlockError

_TOO_LARGE = re.compile(
    r"returned more than \d+"  # Infura, zkSync, zkEVM, most forks of geth
    r"|response size (?:exceeded|should not)"  # Alchemy, 1RPC
    r"|response (?:is )?too (?:large|big)"  # geth -32003, proxyd, jsonrpsee
    r"|exceeded max(?:imum)? (?:response|limit)"
    r"|block range (?:is )?(?:too|limit|exceed|greater)"  # Optimism, Base, Ankr, Chainstack, Swell, Somnia
    r"|max(?:imum)? (?:\w+ )?(?:block )?range"  # Cloudflare "Max range: 800", publicnode, BSC, Hyperliquid
    r"|range (?:\d+ )?(?:is )?(?:too large|bigger than|exceeds)"  # Tenderly, Infura, Merkle
    r"|limited to (?:a )?[\d,.]+"  # QuickNode, 1RPC, BlockPI
    r"|requested too many blocks"  # Avalanche
    r"|number of requested blocks"  # thirdweb
    r"|exceeds? (?:the )?(?:max(?:imum)? results|range allowed)"  # LlamaRPC, Ankr, Blast
    r"|exceeds limit of \d+"  # Arbitrum
    r"|limit the query to"  # Coinbase
    r"|must be smaller than size"  # Harmony
    r"|blocks distance"  # Ankr TAC
    r"|up to a [\d,.]+ block range"  # Aurora, Alchemy's free plan
    r"|query timeout|execution (?:aborted|timeout)|request timed out"  # geth, Infura
    r"|batch (?:limit|size|too large|request(?:s)? (?:too|limit|was too))|too large a batch|requests in (?:a )?batch"
    r"|entity too large|payload too large|request body too large",
    re.IGNORECASE,
)

_RATE = re.compile(
    r"rate.?limit|too many requests|request(?:s)?.{0,20} limit|limit exceeded|exceeded its|compute units"
    r"|capacity|quota|daily request|request count exceeded|request rate exceeded|throttl|credits",
    re.IGNORECASE,
)
_RATE_CODES = frozenset({429, -32005, -32007, -32016, -32029, -32097})

_UNKNOWN_BLOCK = re.compile(
    r"missing trie node|header (?:for hash )?not found"
    r"|block (?:#?\S+ )?(?:was )?not found|unknown block|could not find block"
    r"|^(?:requested )?resource not found"  # EIP-1474's words for -32001: anvil of a block hash it does not have
    r"|state (?:\S+ ){0,6}?(?:is |are )?(?:not available|unavailable|pruned|missing)"
    r"|historical state|due to pruning|is pruned|(?:no|missing) state"
    r"|block ?out ?of ?range|archive|proof window|requested but not|not currently canonical|unfinalized data"
    r"|block number (?:is )?(?:too|out)|after last accepted block",
    re.IGNORECASE,
)


class Fault(msgspec.Struct, frozen=True):
    """The error object of a JSON-RPC answer."""

    code: int = 0
    message: str = ""
    data: object = None


def scrub(text: str, url: str) -> str:
    """`text` without the secrets of `url`, on one line and not endless: fit to be shown."""
    text = text.replace(url, mask(url))
    parts = urlsplit(url)
    secrets = [part for part in parts.path.split("/") if len(part) >= 16]
    secrets += [part.partition("=")[2] or part for part in parts.query.split("&") if part]
    secrets += [part for part in (parts.username, parts.password) if part]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return harmless(text, 300)


def refused(fault: Fault, url: str, method: str) -> EndpointError:
    """The error that stands for what the node answered; the URL's secrets are masked."""
    detail = fault.message if not isinstance(fault.data, str) else f"{fault.message} {fault.data}"
    if not isinstance(fault.data, str) and fault.data is not None:
        detail = f"{fault.message} {msgspec.json.encode(fault.data).decode()}"
    text = f"{mask(url)}: {method}: {scrub(fault.message or 'refused', url)} (code {fault.code})"
    if _reverted(fault):
        return NodeError(text, code=fault.code, message=fault.message, data=fault.data)
    if _UNKNOWN_BLOCK.search(fault.message):
        return UnknownBlockError(text, code=fault.code, message=fault.message, data=fault.data)
    if _TOO_LARGE.search(detail):
        return LimitError(text, too_large=True)
    if fault.code in _RATE_CODES or _RATE.search(fault.message):
        return LimitError(text)
    return NodeError(text, code=fault.code, message=fault.message, data=fault.data)


def _reverted(fault: Fault) -> bool:
    """Whether the contract reverted: its own words are no word of the node's."""
    return fault.code == 3 or fault.message.lower().startswith(("execution reverted", "vm execution error", "reverted"))


def refused_http(status: int, retry_after: str | None, body: bytes, url: str, now: float) -> EndpointError:
    """The error for an HTTP status that is not 200 and whose body holds no JSON-RPC error."""
    text = f"{mask(url)}: HTTP {status}"
    words = scrub(body[:200].decode("utf-8", "replace"), url)
    if words and not words.startswith("<"):
        text = f"{text}: {words}"
    seconds = _seconds(retry_after, now)
    if status == 429 or (status == 503 and seconds is not None):
        return LimitError(text, retry_after=seconds)
    if status == 413:
        return LimitError(text, too_large=True)
    if status in (401, 403):
        return EndpointError(f"{text} (is the key right?)")
    if status >= 500 or status in (404, 408):
        return EndpointError(text)
    return AnswerError(text)


def _seconds(header: str | None, now: float) -> float | None:
    """A Retry-After header in seconds from `now` (Unix seconds); None where there is none or it is no time."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None
