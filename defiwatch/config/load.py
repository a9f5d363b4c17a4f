"""Reading and checking a configuration file.

Unknown keys, wrong types, bad addresses and chains that are named but not defined are refused; the error names file,
key and what was expected. `${NAME}` in a string is filled in from the environment, which is the only place for secrets.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from platformdirs import user_config_path, user_data_path

from defiwatch.config.durations import duration, rate
from defiwatch.config.files import read_text
from defiwatch.config.presets import well_known
from defiwatch.config.sections import PRESETS, Chain, Config, Deployment, Venue
from defiwatch.domain.ids import Address, address, is_address
from defiwatch.domain.keccak import keccak
from defiwatch.errors import ConfigError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _fill(value: Any, where: str, environment: Mapping[str, str]) -> Any:
    """Replace ${NAME} in every string below `value`."""
    if isinstance(value, str):

        def lookup(match: re.Match[str]) -> str:
            try:
                return environment[match[1]]
            except KeyError:
                raise ConfigError(f"{where}: environment variable {match[1]} is not set") from None

        return _VARIABLE.sub(lookup, value)
    if isinstance(value, list):
        return [_fill(item, f"{where}[{i}]", environment) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _fill(item, f"{where}.{key}" if where else key, environment) for key, item in value.items()}
    return value


def bundled_path() -> Path:
    """The default configuration: inside the package in a wheel, at the top of the tree in an editable install."""
    here = Path(__file__).resolve().parent.parent
    for candidate in (here / "config.toml", here.parent / "config.toml"):
        if candidate.is_file():
            return candidate
    raise ConfigError("the bundled config.toml is missing from this installation; install defiwatch again")


def find(explicit: Path | None) -> Path:
    """The file to read: the one named, ./config.toml, the user's own, or the bundled default."""
    if explicit is not None:
        return explicit
    for candidate in (Path("config.toml"), user_config_path("defiwatch") / "config.toml"):
        if candidate.is_file():
            return candidate
    return bundled_path()


def data_directory(explicit: Path | None) -> Path:
    """Where defiwatch keeps its own data; not created here."""
    return explicit if explicit is not None else user_data_path("defiwatch")


def load(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read and check a configuration file. ConfigError names the file, the key and what was expected."""
    return parse(read_text(path, ConfigError), str(path), environment)


def parse(text: str, source: str, environment: Mapping[str, str] | None = None) -> Config:
    """Check a configuration's text; `source` names it in errors."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from error
    try:
        filled = _fill(raw, "", os.environ if environment is None else environment)
        config = msgspec.convert(filled, Config, strict=True)
        return _checked(config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_readable(str(error))}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def _readable(text: str) -> str:
    """msgspec's message with the key first: "chains[0].rpc: expected `array`, got `str`"."""
    match = re.fullmatch(r"(.*?) - at `\$\.?(.*)`", text, re.DOTALL)
    if match is None:
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
        return f"{unknown[1]}: unknown key" if unknown else text
    problem, where = match[1], match[2]
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", problem)
    if unknown:
        return f"{where}.{unknown[1]}: unknown key" if where else f"{unknown[1]}: unknown key"
    return f"{where}: {problem[0].lower()}{problem[1:]}"


def _address(value: str, where: str) -> Address:
    if value == "":
        return ""
    try:
        return address(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _url(value: str, where: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    if parts.scheme not in schemes or not parts.hostname:
        raise ConfigError(f"{where}: expected a URL ({', '.join(s + '://…' for s in schemes)}), got {mask(value)!r}")


def _checked(config: Config) -> Config:
    """What types cannot say: addresses, names, URLs, durations; presets filled in."""
    chains: list[Chain] = []
    names: set[str] = set()
    for i, chain in enumerate(config.chains):
        where = f"chains[{i}]"
        if not chain.name or chain.name in names:
            raise ConfigError(f"{where}.name: expected a name of its own, got {chain.name!r}")
        names.add(chain.name)
        preset = PRESETS.get(chain.name)
        if chain.chain_id <= 0 and preset is None:
            raise ConfigError(f"{where}.chain_id: expected a positive number ({chain.name!r} has no preset)")
        for j, endpoint in enumerate(chain.endpoints):
            _url(endpoint.url, f"{where}.rpc[{j}]", ("ws", "wss", "http", "https"))
            _with(f"{where}.rpc[{j}].budget", rate, endpoint.budget)
        if chain.confirmations < 0 or chain.block_time < 0 or chain.quorum < 1 or chain.journal < 1:
            raise ConfigError(f"{where}: confirmations, block_time, quorum and journal must not be negative")
        _with(f"{where}.reads", duration, chain.reads)
        _with(f"{where}.budget", rate, chain.budget)
        chains.append(
            msgspec.structs.replace(
                chain,
                chain_id=chain.chain_id or (preset.chain_id if preset else 0),
                confirmations=chain.confirmations or (preset.confirmations if preset else 12),
                block_time=chain.block_time or (preset.block_time if preset else 12.0),
                native=chain.native or (preset.native if preset else "ETH"),
            )
        )
    ids = [chain.chain_id for chain in chains]
    for i, chain_id in enumerate(ids):
        if chain_id in ids[:i]:
            raise ConfigError(f"chains[{i}].chain_id: {chain_id} is already chain {chains[ids.index(chain_id)].name!r}")
    deployments: list[Deployment] = []
    for i, item in enumerate(config.deployments):
        where = f"deployments[{i}]"
        if item.chain not in names:
            raise ConfigError(
                f"{where}.chain: {item.chain!r} is not among [[chains]] (defined: {', '.join(sorted(names)) or 'none'})"
            )
        deployments.append(_normal(item, where))
    own = {item.chain for item in deployments}
    for chain in chains:
        if chain.name not in own:
            deployments += well_known(chain.name, chain.chain_id)
    for i, wallet in enumerate(config.watch.wallets):
        if not is_address(wallet) and not re.fullmatch(r"(?:[^\s.]+\.)+[a-z]{2,}", wallet):
            raise ConfigError(f"watch.wallets[{i}]: expected an address or an ENS name, got {wallet!r}")
    for name in config.quotes.__struct_fields__:
        venue: Venue = getattr(config.quotes, name)
        _with(f"quotes.{name}.every", duration, venue.every)
        if venue.url:
            _url(venue.url, f"quotes.{name}.url", ("http", "https"))
        for j, pair in enumerate(venue.pairs):
            if not re.fullmatch(r"[A-Za-z0-9.]+-[A-Za-z0-9]+(=[a-z0-9-]+:[A-Za-z0-9-]+)?", pair):
                raise ConfigError(f"quotes.{name}.pairs[{j}]: expected a pair such as ETH-USD, got {pair!r}")
    alerts = config.alerts
    for key in ("drain_window", "silent_after", "cool_down"):
        _with(f"alerts.{key}", duration, getattr(alerts, key))
    _with("alerts.budget", rate, alerts.budget)
    if not 1.0 <= alerts.health_factor_critical <= alerts.health_factor_warning:
        raise ConfigError("alerts: expected 1 <= health_factor_critical <= health_factor_warning")
    for label, webhook in config.sinks.webhook.items():
        _url(webhook.url, f"sinks.webhook.{label}.url", ("http", "https"))
        _with(f"sinks.webhook.{label}.timeout", duration, webhook.timeout)
    for label, program in config.sinks.exec.items():
        if not program.command:
            raise ConfigError(f"sinks.exec.{label}.command: expected a program and its arguments, got an empty list")
        _with(f"sinks.exec.{label}.timeout", duration, program.timeout)
    return msgspec.structs.replace(config, chains=tuple(chains), deployments=tuple(deployments))


def _normal(item: Deployment, where: str) -> Deployment:
    """Addresses checked and in lower case."""
    return msgspec.structs.replace(
        item,
        address=_address(item.address, f"{where}.address"),
        factory=_address(item.factory, f"{where}.factory"),
        positions=_address(item.positions, f"{where}.positions"),
        feeds=tuple(_address(a, f"{where}.feeds[{j}]") for j, a in enumerate(item.feeds)),
        tokens=tuple(_address(a, f"{where}.tokens[{j}]") for j, a in enumerate(item.tokens)),
        pools=tuple(_pool_id(a, f"{where}.pools[{j}]") for j, a in enumerate(item.pools)),
    )


def checked_deployment(raw: object, where: str) -> Deployment:
    """A deployment as a recording's header states it; keys of a later version are left aside. ConfigError if none."""
    kept = {k: v for k, v in raw.items() if k in Deployment.__struct_fields__} if isinstance(raw, dict) else raw
    try:
        return _normal(msgspec.convert(kept, Deployment, strict=True), where)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def _pool_id(value: str, where: str) -> str:
    """A pool's address, or its 32-byte id (Uniswap v4, Balancer, Morpho)."""
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", value):
        return value.lower()
    return _address(value, where)


def _with(where: str, parse_text: Any, text: str) -> None:
    if text:
        try:
            parse_text(text)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error


def mask(url: str) -> str:
    """A URL fit to be shown: password, query values and long path parts (where providers put keys) are masked."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "<unreadable URL>"
    path = "/".join("***" if len(part) >= 16 else part for part in parts.path.split("/"))
    user = "***@" if parts.username or parts.password else ""
    query = "?***" if parts.query else ""
    return f"{parts.scheme}://{user}{host}{port}{path}{query}"


def digest(config: Config) -> str:
    """A hash of what can change a result (no endpoints, no sinks): stated in a recording's header."""
    kept = {
        "chains": [{"name": c.name, "chain_id": c.chain_id, "confirmations": c.confirmations} for c in config.chains],
        "deployments": msgspec.to_builtins(config.deployments),
        "watch": msgspec.to_builtins(config.watch),
        "models": msgspec.to_builtins(config.models),
        "alerts": msgspec.to_builtins(config.alerts),
    }
    return "0x" + keccak(msgspec.json.encode(kept, order="sorted")).hex()[:32]
