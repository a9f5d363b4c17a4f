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
    with pytest.raises(UsageError, match="no ENS name"):
        normalised("a_b!.eth")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Ñandú.eth", "ñandú.eth"),
        ("n\u0303andu\u0301.eth", "ñandú.eth"),  # the same, by combining marks
        ("\U0001f47b.eth", "\U0001f47b.eth"),
        ("\u2167.eth", "viii.eth"),
        ("日本.eth", "日本.eth"),
    ],
)
def test_names_beyond_ascii_are_normalised_as_ensip_15_says(written: str, expected: str) -> None:
    assert normalised(written) == expected


@pytest.mark.parametrize("written", ["р\u0430ypal.eth", "рус.eth", "xn--abc.eth"])
def test_names_that_look_like_others_are_refused(written: str) -> None:
    with pytest.raises(UsageError, match="no ENS name"):
        normalised(written)


def test_unicode_tables_that_do_not_fit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lists(_: str) -> str:
        raise AttributeError("'list' object has no attribute 'isascii'")

    monkeypatch.setattr("ens.utils.normalize_name", lists)
    with pytest.raises(UsageError, match="pyunormalize"):
        normalised("日本.eth")
