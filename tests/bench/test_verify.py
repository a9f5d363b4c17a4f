"""How fast a mainnet block's receipts are verified."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from defiwatch.collectors.verify import receipts_root
from defiwatch.collectors.verify.bloom import mask
from tests.unit.collectors.verify import samples

pytestmark = pytest.mark.data


def test_receipts_of_two_real_blocks(benchmark: BenchmarkFixture, data_folder: Path) -> None:
    """298 receipts with 681 logs, their blooms made anew; told beside it: blocks of 350 receipts a second."""
    blocks = samples.real_blocks(data_folder)
    count = sum(len(receipts) for _, receipts in blocks)

    def verify() -> list[str]:
        mask.cache_clear()
        return ["0x" + receipts_root(receipts, own_bloom=True).hex() for _, receipts in blocks]

    found = benchmark(verify)
    assert found == [frame.header.receipts_root for frame, _ in blocks]
    if benchmark.stats is not None:
        per_block = benchmark.stats.stats.min * 350 / count
        benchmark.extra_info["ms_per_350_receipts"] = round(1000 * per_block, 1)
        benchmark.extra_info["blocks_of_350_receipts_per_s"] = round(1 / per_block, 1)
