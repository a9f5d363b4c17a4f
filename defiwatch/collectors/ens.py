"""ENS names to addresses, asked of the user's own Ethereum endpoint: registry, then the name's resolver.

EIP-137 (namehash, resolver, addr), ENSIP-15 (normalisation; by web3's `ens`, which loads only for names that need it).
Names whose resolver answers off-chain (CCIP-Read) or by wildcard are not resolved.
"""

from __future__ import annotations

import re

from defiwatch.collectors.chain.glance import Glance
from defiwatch.config import Chain
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.keccak import keccak
from defiwatch.errors import ReadError, UsageError
from defiwatch.protocols.abi import decode, function

ETHEREUM = 1
REGISTRY = "0x00000000000c2e074ec69a0dfb2997ba6c7d2e1e"
"""ensdomains/ens ENSRegistryWithFallback, on Ethereum."""

_RESOLVER = function("resolver(bytes32)", "address")
_ADDR = function("addr(bytes32)", "address")
_PLAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def is_name(text: str) -> bool:
    """Whether a text can be an ENS name: labels with dots between them."""
    return "." in text and not text.startswith("0x") and not re.search(r"[\s/:@]|^\.|\.$|\.\.", text)


def normalised(name: str) -> str:
    """The name as it is hashed. UsageError for one that ENSIP-15 does not admit."""
    if _PLAIN.fullmatch(name) and not any(label[2:4] == "--" for label in name.split(".")):
        return name.lower()
    from ens.exceptions import InvalidName
    from ens.utils import normalize_name

    try:
        return str(normalize_name(name))
    except InvalidName as error:
        raise UsageError(f"{name!r} is no ENS name: {error}") from error
    except AttributeError as error:  # pyunormalize 18 against its bounds
        raise UsageError(
            f"{name!r} cannot be normalised with the pyunormalize that is installed; with one below 18 it can"
        ) from error


def namehash(name: str) -> str:
    """EIP-137's hash of a normalised name, as hex."""
    node = bytes(32)
    for label in reversed(name.split(".")):
        node = keccak(node + keccak(label.encode()))
    return "0x" + node.hex()


async def resolve(name: str, chain: Chain, *, registry: Address = REGISTRY) -> Address:
    """The address that a name stands for now. UsageError if none, SourceError if the chain cannot be reached."""
    node = namehash(normalised(name))
    async with Glance(chain) as glance:
        header = await glance.header()
        address = ZERO_ADDRESS
        asked = _RESOLVER.call(registry, node)
        for follow in (True, False):
            (answer, *_) = [*await glance.reads([asked], header), None]
            if answer is None or answer.error is not None or not answer.result or len(answer.result) < 66:
                raise UsageError(f"{name} is not an ENS name that leads to an address")
            try:
                (address,) = decode(("address",), answer.result)
            except ReadError as error:
                raise UsageError(f"{name}: its resolver's answer was not understood") from error
            if address == ZERO_ADDRESS:
                raise UsageError(f"{name} is not an ENS name that leads to an address")
            if follow:
                asked = _ADDR.call(address, node)
        return address.lower()
