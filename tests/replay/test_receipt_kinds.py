"""Every kind of event that the recorded receipts of ten chains are counted by, decoded, with the same counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from defiwatch.protocols.aave_v3.events import pool as aave
from defiwatch.protocols.balancer_v2 import events as balancer
from defiwatch.protocols.compound_v3 import events as comet
from defiwatch.protocols.curve import events as curve
from defiwatch.protocols.erc20 import Approval, Transfer
from defiwatch.protocols.foreign import CTokenMint, NftApproval, NftTransfer, WrapDeposit, WrapWithdrawal
from defiwatch.protocols.heard import exchanges, lenders, vaults
from defiwatch.protocols.morpho_blue import events as morpho
from defiwatch.protocols.registry import decode_any, decoders
from defiwatch.protocols.uniswap_v2 import V2Burn, V2Mint, V2Swap, V2Sync
from defiwatch.protocols.uniswap_v3 import events as v3
from defiwatch.protocols.uniswap_v4 import events as v4
from tests import convert

pytestmark = pytest.mark.data

KINDS: dict[str, tuple[int, tuple[type, ...]]] = {
    "ERC20/721 Transfer": (5069, (Transfer, NftTransfer)),
    "Approval": (1089, (Approval, NftApproval)),
    "UniV4 ModifyLiquidity": (353, (v4.V4ModifyLiquidity,)),
    "UniV3 Swap": (103, (v3.V3Swap,)),
    "WETH Deposit": (81, (WrapDeposit,)),
    "UniV2 Sync": (72, (V2Sync,)),
    "WETH Withdrawal": (71, (WrapWithdrawal,)),
    "UniV2 Swap": (69, (V2Swap,)),
    "Aave ReserveDataUpdated": (29, (aave.ReserveDataUpdated,)),
    "UniV4 Swap": (29, (v4.V4Swap,)),
    "BalancerV2 Swap": (24, (balancer.BalancerSwap,)),
    "Morpho AccrueInterest": (24, (morpho.AccrueInterest,)),
    "ERC4626 Deposit": (22, (vaults.VaultDeposit,)),
    "CoW Trade": (18, (exchanges.CowTrade,)),
    "UniV2 Mint": (17, (V2Mint, CTokenMint)),
    "ERC4626 Withdraw": (16, (vaults.VaultWithdraw,)),
    "UniV3 Collect": (14, (v3.V3Collect,)),
    "UniV3 Burn": (13, (v3.V3Burn,)),
    "PancakeV3 Swap": (13, (v3.PancakeSwap,)),
    "Curve AddLiquidity2/3/4": (4 + 11 + 1, (curve.AddLiquidity,)),
    "AaveV2/3 Withdraw": (10, (aave.Withdraw,)),
    "UniV3 Mint": (10, (v3.V3Mint,)),
    "Curve TokenExchange(int128)": (10, (curve.TokenExchange,)),
    "Solidly/Velodrome Swap": (9, (exchanges.SolidlySwap,)),
    "UniV3 IncreaseLiquidity": (7, (exchanges.PositionIncreased,)),
    "AaveV3 Supply": (7, (aave.Supply,)),
    "Morpho Withdraw": (7, (morpho.Withdraw,)),
    "Morpho Supply": (7, (morpho.Supply,)),
    "Compound AccrueInterest": (5, (lenders.CTokenAccrueInterest,)),
    "CompoundV3 Supply": (5, (comet.Supply,)),
    "UniV3 DecreaseLiquidity": (4, (exchanges.PositionDecreased,)),
    "Curve TokenExchange(uint256)": (4, (curve.CryptoExchange,)),
    "AaveV3 Repay": (4, (aave.Repay,)),
    "CompoundV3 Withdraw": (4, (comet.Withdraw,)),
    "Compound RepayBorrow": (3, (lenders.CTokenRepayBorrow,)),
    "Liquity TroveUpdated": (3, (lenders.LiquityTroveUpdated,)),
    "0x RfqOrderFilled": (3, (exchanges.RfqOrderFilled,)),
    "UniV2 Burn": (3, (V2Burn,)),
    "AaveV3 Borrow": (3, (aave.Borrow,)),
    "CompoundV3 SupplyCollateral": (3, (comet.SupplyCollateral,)),
    "crvUSD Borrow": (3, (lenders.CrvUsdBorrow,)),
    "BalancerV2 PoolBalanceChanged": (3, (balancer.PoolBalanceChanged,)),
    "Curve RemoveLiquidityOne3": (3, (curve.RemoveLiquidityOneSupply,)),
    "Morpho Borrow": (3, (morpho.Borrow,)),
    "Curve TokenExchange(ng)": (3, (curve.CryptoExchangeNg,)),
    "Compound Borrow": (2, (lenders.CTokenBorrow,)),
    "AaveV2 Borrow": (2, (lenders.AaveV2Borrow,)),
    "Curve TokenExchangeUnderlying": (2, (curve.TokenExchangeUnderlying,)),
    "Compound Redeem": (2, (lenders.CTokenRedeem,)),
    "Maker PSM BuyGem": (2, (exchanges.PsmBuyGem,)),
    "BalancerV3 Swap": (2, (exchanges.BalancerV3Swap, exchanges.GmxSwap)),
    "Morpho SupplyCollateral": (2, (morpho.SupplyCollateral,)),
    "Compound LiquidateBorrow": (1, (lenders.CTokenLiquidateBorrow,)),
    "AaveV1 LiquidationCall": (1, (lenders.AaveV1LiquidationCall,)),
    "Curve RemoveLiquidityOne": (1, (curve.RemoveLiquidityOne,)),
    "BalancerV2 FlashLoan": (1, (balancer.BalancerFlashLoan, exchanges.MakerFlashLoan)),
    "AaveV2/3 LiquidationCall": (1, (aave.LiquidationCall,)),
    "CompoundV3 WithdrawCollateral": (1, (comet.WithdrawCollateral,)),
    "Maker PSM SellGem": (1, (exchanges.PsmSellGem,)),
    "Curve RemoveLiquidityImbalance2": (1, (curve.RemoveLiquidityImbalance,)),
    "DODO Swap": (1, (exchanges.DodoSwap,)),
    "AaveV2 Deposit": (1, (lenders.AaveV2Deposit,)),
    "Morpho Repay": (1, (morpho.Repay,)),
    "Morpho WithdrawCollateral": (1, (morpho.WithdrawCollateral,)),
    "UniV4 Initialize": (1, (v4.V4Initialize,)),
}
"""The folder's PROVENANCE.md: its names by first topic, its counts; where several share a topic, all of them."""

TOLD_APART = {
    Transfer: 5047,
    NftTransfer: 22,
    NftApproval: 1,
    V2Mint: 16,
    CTokenMint: 1,
    exchanges.BalancerV3Swap: 1,
    exchanges.GmxSwap: 1,
    balancer.BalancerFlashLoan: 0,
    exchanges.MakerFlashLoan: 1,
}


@pytest.fixture(scope="module")
def found(data_folder: Path) -> Counter[type]:
    """How many logs of each kind decode, of each exactly its own; new pools of Curve's count apart from old."""
    counts: Counter[type] = Counter()
    table = decoders()
    for blocks in convert.receipt_blocks(data_folder / "rotki_receipts" / "receipts.jsonl.gz").values():
        for block in blocks:
            for log in block.logs:
                event = decode_any(log)
                if event is None:
                    continue
                spec = next(spec for spec in table[log.topics[0]] if spec.fits(log))
                dynamic = isinstance(event, curve.AddLiquidity) and spec.dynamic
                counts[CurveNg if dynamic else type(event)] += 1
    return counts


class CurveNg:
    """Where liquidity into Curve's new pools is counted; the folder counts it under "other"."""


@pytest.mark.parametrize("name", KINDS)
def test_a_kind(found: Counter[type], name: str) -> None:
    count, kinds = KINDS[name]
    assert sum(found[kind] for kind in kinds) == count


def test_shared_first_topics_are_told_apart(found: Counter[type]) -> None:
    assert {kind: found[kind] for kind in TOLD_APART} == TOLD_APART
