"""The well-known deployments of each chain: what is watched where the configuration names none for a chain.

Addresses are those of the npm packages @aave-dao/aave-address-book 4.68.1 (Aave v3's PoolAddressesProvider and the
price sources of its oracle) and @uniswap/v3-sdk 3.31.5 (factory and init code, from which a pool's address follows by
CREATE2). `scan` is off: who has a position is learnt as accounts act, and from the watch list; the whole market is a
day's requests.
"""

from __future__ import annotations

from defiwatch.config.sections import Deployment

AAVE_V3: dict[int, str] = {
    1: "0x2f39d218133afab8f2b819b1066c7e434ad94e9e",
    10: "0xa97684ead0e402dc232d5a977953df7ecbab3cdb",
    56: "0xff75b6da14ffbbfd355daf7a2731456b3562ba6d",
    100: "0x36616cf17557639614c1cddb356b1b83fc0b2132",
    137: "0xa97684ead0e402dc232d5a977953df7ecbab3cdb",
    8453: "0xe20fcbdbffc4dd138ce8b2e6fbb6cb49777ad64d",
    42161: "0xa97684ead0e402dc232d5a977953df7ecbab3cdb",
    43114: "0xa97684ead0e402dc232d5a977953df7ecbab3cdb",
    534352: "0x69850d0b276776781c063771b161bd8894bcdd04",
}
"""Chain id → PoolAddressesProvider of Aave v3's main market."""

UNISWAP_V3: dict[int, tuple[str, ...]] = {
    1: (
        "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640",  # USDC/WETH 0.05 %
        "0x8ad599c3a0ff1de082011efddc58f1908eb6e6d8",  # USDC/WETH 0.3 %
        "0x11b815efb8f581194ae79006d24e0d814b7697f6",  # WETH/USDT 0.05 %
        "0xcbcdf9626bc03e24f779434178a73a0b4bad62ed",  # WBTC/WETH 0.3 %
        "0x4585fe77225b41b697c938b018e2ac67ac5a20c0",  # WBTC/WETH 0.05 %
        "0x3416cf6c708da44db2624d63ea0aaef7113527c6",  # USDC/USDT 0.01 %
        "0x5777d92f208679db4b9778590fa3cab3ac9e2168",  # DAI/USDC 0.01 %
    ),
}
"""Chain id → busy Uniswap v3 pools."""

POSITIONS_V3: dict[int, str] = {
    1: "0xc36442b4a4522e871399cd717abdd847ab11fe88",
}
"""Chain id → Uniswap v3's NonfungiblePositionManager (npm package @uniswap/sdk-core, addresses.ts)."""

CHAINLINK: dict[int, tuple[str, ...]] = {
    1: (
        "0x5424384b256154046e9667ddfaaa5e550145215e",  # WETH
        "0xdaa4b74c6bac4e25188e64ebc68db5050b690cac",  # WBTC
        "0x3f73f03aa83b2a48ed27e964ed0fdb590332095b",  # USDC
        "0x260326c220e469358846b187ee53328303efe19c",  # USDT
        "0x5c66322ca59bb61e867b28195576dbd8da4b08de",  # DAI
    ),
}
"""Chain id → the price sources that Aave v3 reads."""


def well_known(name: str, chain_id: int) -> tuple[Deployment, ...]:
    """What is watched on a chain by default; () for a chain that is not known."""
    found: list[Deployment] = []
    if chain_id in AAVE_V3:
        found.append(Deployment(chain=name, protocol="aave_v3", address=AAVE_V3[chain_id], scan=False))
    if chain_id in UNISWAP_V3:
        manager = POSITIONS_V3.get(chain_id, "")
        found.append(Deployment(chain=name, protocol="uniswap_v3", pools=UNISWAP_V3[chain_id], positions=manager))
    if chain_id in CHAINLINK:
        found.append(Deployment(chain=name, protocol="chainlink", feeds=CHAINLINK[chain_id]))
    return tuple(found)
