"""Whom a command means: an address, or an ENS name that leads to one."""

from __future__ import annotations

from defiwatch.config import Config
from defiwatch.domain.ids import Address, is_address
from defiwatch.errors import UsageError


async def address_of(config: Config, name: str) -> Address:
    """An address as it is written, or the one that an ENS name leads to. UsageError for anything else."""
    if is_address(name):
        return name.lower()
    from defiwatch.collectors import ens

    if not ens.is_name(name):
        raise UsageError(f"expected an address (0x and 40 hex digits) or an ENS name, got {name!r}")
    home = next((one for one in config.chains if one.chain_id == ens.ETHEREUM and one.rpc), None)
    if home is None:
        raise UsageError(f"{name}: ENS names are looked up on Ethereum, and no chain with chain_id 1 has an endpoint")
    return await ens.resolve(name, home)
