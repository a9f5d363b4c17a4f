"""Each protocol's own arithmetic on legs says what its positions say, and settles remedies to the unit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from defiwatch.config.load import checked_deployment
from defiwatch.domain.frames import BlockFrame, HeaderFrame, ReadsFrame
from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.engine.intake import Intake
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.compound_v3 import CompoundV3
from defiwatch.protocols.morpho_blue import MorphoBlue, shares
from defiwatch.state.lending import exact
from defiwatch.state.lending.remedies import after, remedies
from tests.convert import read_recording
from tests.unit.protocols.comet_model import Comet
from tests.unit.protocols.compound_line import PEOPLE, Line, comet
from tests.unit.protocols.compound_line import WBTC as COMET_WBTC
from tests.unit.protocols.compound_line import WETH as COMET_WETH
from tests.unit.protocols.test_morpho_blue import ALICE, ID, USDC, WETH, born


def test_morpho() -> None:
    it = born()
    assert isinstance(it.instance, MorphoBlue)
    position = it.instance.position(it.book, it.now, ALICE)
    scene = it.instance.totals(it.book, it.now, ID)
    assert position is not None and scene is not None
    health = exact.of_morpho(scene)
    assert health(position.legs) == position.health_factor
    crossing = position.liquidation_prices[WETH]
    assert health(exact.with_prices(position.legs, {WETH: crossing})) < WAD
    assert health(exact.with_prices(position.legs, {WETH: crossing + 1})) >= WAD
    found = {(item.action, item.asset): item for item in remedies(position, health, 1.5)}
    assert set(found) == {("repay", USDC), ("supply", WETH)}
    for item in found.values():
        left = after(position.legs, item.action, item.asset, item.amount)
        lltv = scene.market.lltv
        assert shares.health_factor(left[0].collateral, scene.price, lltv, left[1].debt) >= item.target
        less = after(position.legs, item.action, item.asset, item.amount - 1)
        assert shares.health_factor(less[0].collateral, scene.price, lltv, less[1].debt) < item.target


def test_compound() -> None:
    model: Comet = comet()
    line = Line(model)
    assert isinstance(line.instance, CompoundV3)
    who = PEOPLE[0]
    model.supply_collateral(who, COMET_WETH, 10**19)
    model.supply_collateral(who, COMET_WBTC, 5 * 10**7)
    model.withdraw(who, 40_000 * 10**6)
    line.block(1000)
    line.block()
    position = line.instance.position(line.book, line.at, who)
    assert position is not None
    health = exact.of_compound(line.instance.scene(line.book, line.at))
    assert health(position.legs) == position.health_factor
    assert health(position.legs[:1]) == UINT256_MAX
    for asset, price in position.liquidation_prices.items():
        assert health(exact.with_prices(position.legs, {asset: price})) < WAD
    for item in remedies(position, health, 1.4):
        assert item.possible
        assert health(after(position.legs, item.action, item.asset, item.amount)) >= item.target
        assert health(after(position.legs, item.action, item.asset, item.amount - 1)) < item.target


@pytest.mark.data
@pytest.mark.parametrize("name", ["rev11", "rev8to9"])
def test_aave_on_recorded_chains(data_folder: Path, name: str) -> None:
    """Every twentieth block: what the legs say under the revision's form is what the whole account says."""
    folder = data_folder / "aave_v3_revisions" / name
    (path,) = [found for found in sorted(folder.glob("*.gz")) if "truth" not in found.name and "record" in found.name]
    frames = read_recording(path)
    header = frames[0]
    assert isinstance(header, HeaderFrame)
    raw = next(item for item in map(msgspec.json.decode, header.deployments) if item["protocol"] == "aave_v3")
    chain_id = header.chains[0].chain_id
    instance = AaveV3(chain_id, checked_deployment(raw, "header"))
    intake = Intake(chain_id, [instance], journal=64)
    compared = blocks = 0
    for frame in frames[1:]:
        if isinstance(frame, BlockFrame):
            intake.on_block(frame)
        elif isinstance(frame, ReadsFrame):
            intake.on_reads(frame)
            head = intake.head
            assert head is not None
            blocks += 1
            if blocks % 20:
                continue
            form = instance.scene(intake.book, head).form
            for position in instance.positions(intake.book, head):
                if not position.unknown:
                    assert exact.of_aave(form)(position.legs) == position.health_factor
                    compared += 1
    assert compared > 50
