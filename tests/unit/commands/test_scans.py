"""What searching the past takes: requests by the range that one may span, hours by the budget that the head leaves."""

from __future__ import annotations

import pytest

from defiwatch.commands.scans import ScanNeeds, scan_needs, told
from defiwatch.config import Chain, Deployment

CHAIN = Chain(name="c", chain_id=1)
AAVE = Deployment(chain="c", protocol="aave_v3", address="0x" + "01" * 20, from_block=1_000)


def needs(
    *deployments: Deployment, budget: float | None = 600.0, asked: float = 60.0, latency: float | None = 0.1
) -> ScanNeeds | None:
    return scan_needs(
        CHAIN, deployments, head=10_999, span=100, learnt=True, budget=budget, asked=asked, latency_s=latency
    )


def test_requests_and_hours() -> None:
    """10,000 blocks, 100 in a request, for debt and for supply: 200 requests; 540 a minute are left."""
    found = needs(AAVE)
    assert found is not None
    assert (found.requests, found.blocks, found.deployments) == (200, 20_000, 1)
    assert found.hours == pytest.approx(200 / 540 / 60, abs=1e-3)
    assert "about 200 requests for logs (100 blocks each, learnt by an earlier run), about 22 s" in told(found)


def test_what_the_head_takes_leaves_a_tenth() -> None:
    found = needs(AAVE, asked=900.0)
    assert found is not None
    assert found.hours == pytest.approx(200 / 60 / 60, abs=1e-3)


def test_without_a_budget_the_latency_counts() -> None:
    found, unknown = needs(AAVE, budget=None), needs(AAVE, budget=None, latency=None)
    assert found is not None
    assert unknown is not None
    assert found.hours == pytest.approx(200 * 0.1 / 3600, abs=1e-3)
    assert unknown.hours is None


def test_what_is_not_searched_takes_nothing() -> None:
    pool = Deployment(chain="c", protocol="uniswap_v2", pools=("0x" + "02" * 20,))
    quiet = Deployment(chain="c", protocol="aave_v3", address="0x" + "01" * 20, scan=False)
    assert needs(pool, quiet) is None
    morpho = Deployment(chain="c", protocol="morpho_blue", address="0x" + "03" * 20, pools=("0x" + "04" * 32,))
    one = needs(morpho)
    assert one is not None
    assert one.requests == 110
