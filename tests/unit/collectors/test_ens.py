from __future__ import annotations

import pytest

from defiwatch.collectors.ens import is_name, namehash, normalised
from defiwatch.errors import UsageError


def test_names_are_hashed_as_eip_137_says() -> None:
    assert namehash("eth") == "0x93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae"
    assert namehash("foo.eth") == "0xde9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vitalik.eth", True),
        ("a.b.eth", True),
        ("eth", False),
        ("0x12.eth", False),
        ("a..eth", False),
        ("a b.eth", False),
    ],
)
def test_what_can_be_a_name(text: str, expected: bool) -> None:
    assert is_name(text) == expected


def test_names_are_normalised() -> None:
    assert normalised("Vitalik.ETH") == "vitalik.eth"
    with pytest.raises(UsageError):
        normalised("a_b!.eth")
