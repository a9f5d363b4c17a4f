from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Config, bundled_path, digest, duration, load, mask, parse, rate
from defiwatch.config.presets import well_known
from defiwatch.errors import ConfigError, ExitCode
from defiwatch.protocols.registry import create

CHAIN = '[[chains]]\nname = "ethereum"\nrpc = ["https://node.example"]\n'
AAVE = '[[deployments]]\nchain = "ethereum"\nprotocol = "aave_v3"\naddress = "0x' + "aB" * 20 + '"\n'


def test_the_bundled_configuration_is_sound_and_all_of_it_can_be_watched() -> None:
    config = load(bundled_path())
    assert config.chains[0].chain_id == 1
    assert {d.protocol for d in config.deployments} == {"aave_v3", "uniswap_v3", "chainlink"}
    for deployment in config.deployments:
        assert create(1, deployment).protocol == deployment.protocol


def test_presets_fill_in_what_the_name_says() -> None:
    chain = parse(CHAIN, "c").chains[0]
    assert (chain.chain_id, chain.block_time, chain.native, chain.confirmations) == (1, 12.0, "ETH", 12)


def test_a_deployment_of_ones_own_replaces_the_well_known_ones() -> None:
    assert parse(CHAIN, "c").deployments == well_known("ethereum", 1)
    own = parse(CHAIN + AAVE, "c").deployments
    assert [d.address for d in own] == ["0x" + "ab" * 20]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[chains]]\nname = 3", ["chains[0].name", "expected `str`", "`int`"]),
        ("foo = 1", ["foo", "unknown key"]),
        ('[[chains]]\nname = "ethereum"\nrcp = []', ["chains[0].rcp", "unknown key"]),
        ('[[chains]]\nname = "mine"', ["chains[0].chain_id", "positive"]),
        ('[[chains]]\nname = "ethereum"\nrpc = ["ftp://x"]', ["chains[0].rpc[0]", "expected a URL"]),
        (CHAIN + CHAIN, ["chains[1].name"]),
        ('[[deployments]]\nchain = "q"\nprotocol = "aave_v3"', ["deployments[0].chain", "'q'"]),
        (CHAIN + AAVE.replace("aB", "xy", 1), ["deployments[0].address", "40 hex digits"]),
        ('[watch]\nwallets = ["0x12"]', ["watch.wallets[0]", "0x12"]),
        ('[alerts]\nbudget = "often"', ["alerts.budget", "3/week"]),
        ('[alerts]\nsilent_after = "soon"', ["alerts.silent_after", "90s"]),
        ("[alerts]\nhealth_factor_warning = 1.0", ["health_factor_critical"]),
        ("[sinks.exec.a]\ncommand = []", ["sinks.exec.a.command"]),
        ('[quotes.coinbase]\npairs = ["ETHUSD"]', ["quotes.coinbase.pairs[0]", "ETH-USD"]),
        ("[[chains", ["TOML"]),
    ],
)
def test_what_is_wrong_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    for word in words:
        assert word in message, message
    assert caught.value.exit_code is ExitCode.USAGE


def test_secrets_come_from_the_environment_only() -> None:
    text = CHAIN.replace("node.example", "node.example/${KEY}")
    assert parse(text, "c", {"KEY": "s3cret"}).chains[0].endpoints[0].url.endswith("/s3cret")
    with pytest.raises(ConfigError, match=r"chains\[0\].rpc\[0\]: environment variable KEY is not set"):
        parse(text, "c", {})


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    broken = tmp_path / "latin.toml"
    broken.write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(broken)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://eth.example/v3/0123456789abcdef0123", "https://eth.example/v3/***"),
        ("wss://user:pass@h:8546/x?apikey=1", "wss://***@h:8546/x?***"),
        ("https://h", "https://h"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert mask(url) == shown


def test_the_digest_follows_what_can_change_a_result() -> None:
    assert digest(Config()) == digest(parse("", "c"))
    assert digest(parse(CHAIN, "c")) == digest(parse(CHAIN.replace("node", "other"), "c"))
    assert digest(parse("[alerts]\nanomaly_score = 60.0", "c")) != digest(Config())


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h30m", 9000), ("7d", 604_800), ("5", 5)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@given(st.text(max_size=8))
def test_a_duration_is_read_or_refused_never_negative(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert duration(text) >= 0


def test_rates() -> None:
    assert rate("300/min") == 5.0
    assert rate("3/week") == pytest.approx(3 / 604_800)
    with pytest.raises(ValueError, match="300/min"):
        rate("fast")
