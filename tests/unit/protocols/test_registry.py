"""The registry: deployments become instances, logs find their decoder."""

from __future__ import annotations

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.frames import RawLog
from defiwatch.errors import ConfigError, DecodeError
from defiwatch.protocols import erc20, foreign, uniswap_v2
from defiwatch.protocols.registry import PROTOCOLS, create, decode_any, decoders
from tests.unit.protocols.play import raw

POOL = "0x" + "aa" * 20
WHO = ("address", "0x" + "01" * 20)


def test_every_protocol_says_what_it_is() -> None:
    names = [spec.name for spec in PROTOCOLS]
    assert len(names) == len(set(names))
    for spec in PROTOCOLS:
        assert spec.title
        assert spec.keys <= set(Deployment.__struct_fields__)
        assert spec.events


def test_a_deployment_becomes_its_protocol() -> None:
    instance = create(5, Deployment(chain="x", protocol="uniswap_v2", pools=(POOL,)))
    assert isinstance(instance, uniswap_v2.UniswapV2)
    assert instance.chain_id == 5


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"'unicorn' is not known \(known: .*chainlink, .*erc20.*uniswap_v2, uniswap_v3, uniswap_v4\)"
    ):
        create(1, Deployment(chain="x", protocol="unicorn"))


def test_a_key_that_a_protocol_does_not_take_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"uniswap_v3 does not take the key 'feeds' \(it takes: factory, label, pools, positions\)"
    ):
        create(1, Deployment(chain="x", protocol="uniswap_v3", pools=(POOL,), feeds=(POOL,)))


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (raw(erc20.TRANSFER.topic0, POOL, [WHO, WHO], [("uint256", 1)]), erc20.Transfer),
        (raw(erc20.TRANSFER.topic0, POOL, [WHO, WHO, ("uint256", 1)], []), foreign.NftTransfer),
        (raw(erc20.APPROVAL.topic0, POOL, [WHO, WHO], [("uint256", 1)]), erc20.Approval),
        (raw(erc20.APPROVAL.topic0, POOL, [WHO, WHO, ("uint256", 1)], []), foreign.NftApproval),
        (raw(uniswap_v2.MINT.topic0, POOL, [WHO], [("uint256", 1), ("uint256", 2)]), uniswap_v2.V2Mint),
        (raw(uniswap_v2.MINT.topic0, POOL, [], [WHO, ("uint256", 1), ("uint256", 2)]), foreign.CTokenMint),
    ],
)
def test_shared_first_topics_are_told_apart(log: RawLog, kind: type) -> None:
    assert type(decode_any(log)) is kind


def test_a_log_that_nobody_knows() -> None:
    assert decode_any(RawLog(address=POOL, topics=())) is None
    assert decode_any(RawLog(address=POOL, topics=("0x" + "00" * 32,))) is None
    assert decode_any(RawLog(address=POOL, topics=(erc20.TRANSFER.topic0,), data="0x")) is None


def test_a_log_that_is_known_and_damaged() -> None:
    log = raw(erc20.TRANSFER.topic0, POOL, [WHO, WHO], [("uint256", 1)])
    broken = RawLog(address=POOL, topics=log.topics, data="0x" + "zz" * 32, block_number="0x1", log_index="0x2")
    with pytest.raises(DecodeError, match="block 0x1, log 0x2"):
        decode_any(broken)


def test_no_two_decoders_fit_the_same_shape() -> None:
    for topic0, specs in decoders().items():
        shapes = [(spec.topics, spec.data_words) for spec in specs]
        assert len(shapes) == len(set(shapes)), topic0
