"""Vaults by EIP-4626: what a share is worth, and how much of it could be taken out now.

The price of a share is what `convertToAssets` says of one whole share. What the vault holds of its asset itself could
be paid out at once; the rest it would have to call back from where it lent it. Read every `RECHECK_S` of block time and
after every deposit and withdrawal, for the price may also move without an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, ChainId, short
from defiwatch.domain.risk import Vault
from defiwatch.domain.text import harmless
from defiwatch.errors import ConfigError
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode, event, function
from defiwatch.protocols.erc20 import BALANCE_OF, symbol_of, token_of, token_read, token_wants, watch
from defiwatch.protocols.heard.vaults import VaultDeposit, VaultWithdraw
from defiwatch.protocols.pools import pool_addresses
from defiwatch.protocols.spec import Book, Instance, LogFilter, ProtocolSpec, Table

RECHECK_S = 60

ASSET = function("asset()", "address")
TOTAL_ASSETS = function("totalAssets()", "uint256")
TOTAL_SUPPLY = function("totalSupply()", "uint256")
CONVERT_TO_ASSETS = function("convertToAssets(uint256)", "uint256")

DEPOSIT = event("Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares)", VaultDeposit)
WITHDRAW = event(
    "Withdraw(address indexed sender, address indexed receiver, address indexed owner, uint256 assets, uint256 shares)",
    VaultWithdraw,
)


class VaultState(msgspec.Struct, frozen=True):
    """One vault. `asset` is "" until it is known; amounts are None until they were read.

    `price` is assets (smallest units) for one whole share. `read` holds, for each of `AMOUNTS`, block and time of its
    last answer (-1: none yet); `moved` is the block of the last deposit or withdrawal.
    """

    asset: Address = ""
    assets: int | None = None
    shares: int | None = None
    idle: int | None = None
    price: int | None = None
    read: tuple[tuple[int, int], ...] = ((-1, 0),) * 4
    moved: int = -1

    def due(self, amount: str, at: BlockRef) -> bool:
        """Whether an amount is to be read at the block `at`."""
        block, time = self.read[AMOUNTS.index(amount)]
        return block < 0 or block < self.moved or at.time - time >= RECHECK_S


AMOUNTS = ("assets", "shares", "idle", "price")
VAULTS: Table[Address, VaultState] = Table("erc4626.vault")


class Erc4626(Instance):
    """The vaults that a deployment names in `pools`."""

    protocol = "erc4626"
    events = (DEPOSIT, WITHDRAW)

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.pools:
            raise ConfigError("erc4626: expected pools = [addresses of vaults]")
        self._vaults = pool_addresses(deployment)
        self._known = frozenset(self._vaults)
        self._filter = LogFilter(self._known, frozenset(spec.topic0 for spec in self.events))

    def filter(self, book: Book) -> LogFilter:  # noqa: ARG002 - always the same
        """Deposits and withdrawals of its vaults."""
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Asset and decimals once; price, totals and what lies idle when they may have changed."""
        calls: list[Call] = []
        for address in self._vaults:
            state = book.get(VAULTS, address) or VaultState()
            if not state.asset:
                calls.append(ASSET.call(address))
            if state.due("assets", at):
                calls.append(TOTAL_ASSETS.call(address))
            if state.due("shares", at):
                calls.append(TOTAL_SUPPLY.call(address))
            if state.asset and state.due("idle", at):
                calls.append(BALANCE_OF.call(state.asset, address))
            if token_of(book, address).known and state.due("price", at):
                calls.append(CONVERT_TO_ASSETS.call(address, 10 ** token_of(book, address).units))
        return reads.open_calls(book, at, [*calls, *token_wants(book, at, self._vaults)])

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take what a vault, its asset or its share token said."""
        to, data = call.to.lower(), call.data.lower()
        if token_read(book, at, call, self._known):
            return True
        vault = to
        if data.startswith(BALANCE_OF.selector):
            vault = "0x" + data[-40:]
        state = book.get(VAULTS, vault) or VaultState()
        if vault not in self._known or data[:10] not in _QUESTIONS or (vault != to and to != state.asset):
            return False
        if reads.empty(call):
            reads.refuse(book, at, call)
            return True
        reads.accept(book, call)
        question = _QUESTIONS[data[:10]]
        (value,) = decode(("address",) if question == "asset" else ("uint256",), call.result or "")
        if question == "asset":
            watch(book, value)
            book.put(VAULTS, vault, msgspec.structs.replace(state, asset=value))
            return True
        i = AMOUNTS.index(question)
        read = (*state.read[:i], (at.number, at.time), *state.read[i + 1 :])
        book.put(VAULTS, vault, msgspec.structs.replace(state, read=read, **{question: value}))
        return True

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Something went in or out: read the vault again."""
        state = book.get(VAULTS, event.address) or VaultState()
        book.put(VAULTS, event.address, msgspec.structs.replace(state, moved=at.number))
        return ()

    def vaults(self, book: Book) -> Iterable[Vault]:
        """Its vaults as they were read last, in the order of the configuration."""
        return [self._vault(book, address) for address in self._vaults]

    def _vault(self, book: Book, address: Address) -> Vault:
        state = book.get(VAULTS, address) or VaultState()
        asset = token_of(book, state.asset)
        missing = [
            name
            for name, absent in (
                ("asset", not state.asset),
                ("the asset's decimals", not asset.known),
                ("share price", state.price is None),
                ("total assets", state.assets is None),
                ("what lies idle", state.idle is None),
            )
            if absent
        ]
        label = harmless(self.deployment.label, 48) if len(self._vaults) == 1 else ""
        symbol = symbol_of(book, address)
        return Vault(
            chain_id=self.chain_id,
            protocol=self.protocol,
            id=address,
            label=label or symbol or short(address),
            asset=state.asset,
            symbol=symbol_of(book, state.asset),
            decimals=asset.units,
            share_price=state.price or 0,
            assets=state.assets or 0,
            shares=state.shares or 0,
            idle=state.idle or 0,
            block=max(state.read[-1][0], 0),
            time=state.read[-1][1],
            unknown=f"{', '.join(missing)} not read" if missing else "",
        )


_QUESTIONS = {
    ASSET.selector: "asset",
    TOTAL_ASSETS.selector: "assets",
    TOTAL_SUPPLY.selector: "shares",
    CONVERT_TO_ASSETS.selector: "price",
    BALANCE_OF.selector: "idle",
}

ERC4626 = ProtocolSpec(
    name="erc4626",
    title="ERC-4626 vaults",
    events=Erc4626.events,
    create=Erc4626,
    keys=frozenset({"pools", "label"}),
)
