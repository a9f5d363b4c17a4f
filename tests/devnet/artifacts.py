"""The protocols' own bytecode, from the folder that `.ci/devnet-install` fills. Init code is 0x-hex."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from .node import home

AAVE = "aave__core-v3"
AAVE_PERIPHERY = "aave__periphery-v3"
UNISWAP_V2 = "uniswap__v2-core"
UNISWAP_V2_PERIPHERY = "uniswap__v2-periphery"
UNISWAP_V3 = "uniswap__v3-core"
UNISWAP_V3_PERIPHERY = "uniswap__v3-periphery"
OPENZEPPELIN = "openzeppelin__contracts"
AAVE_ORIGIN = "aave-v3-origin"
"""Aave v3.6, compiled; only after `.ci/devnet-install --soak`."""


@cache
def _artifact(package: str, name: str) -> dict[str, Any]:
    folder = home() / "packages" / package
    found: list[Path] = sorted(folder.rglob(f"{name}.json"))
    if len(found) != 1:
        raise FileNotFoundError(
            f"{len(found)} files named {name}.json in {folder}, expected one: run .ci/devnet-install"
        )
    return cast("dict[str, Any]", json.loads(found[0].read_text()))


def bytecode(package: str, name: str, libraries: Mapping[str, str] | None = None) -> str:
    """Init code of a precompiled contract, its libraries linked in (name -> address)."""
    artifact = _artifact(package, name)
    found = artifact["bytecode"]
    if not isinstance(found, str):  # as the compiler gives it: {"object": ..., ...}
        found = found["object"]
    code = str(found).removeprefix("0x")
    code = _linked(name, code, artifact.get("linkReferences") or {}, libraries or {})
    if not re.fullmatch(r"[0-9a-fA-F]+", code):
        raise ValueError(f"{name} in {package} has no usable bytecode (abstract, or a library is not linked)")
    return "0x" + code


def _linked(
    name: str, code: str, links: Mapping[str, Mapping[str, list[dict[str, int]]]], libraries: Mapping[str, str]
) -> str:
    """`code` (hex without 0x) with the libraries' addresses in their places; raises `KeyError` where one is missing."""
    for contracts in links.values():
        for library, places in contracts.items():
            if library not in libraries:
                raise KeyError(f"{name} needs the library {library}")
            for place in places:
                start, end = 2 * place["start"], 2 * (place["start"] + place["length"])
                code = code[:start] + libraries[library][2:].lower() + code[end:]
    return code


@cache
def bytecode_in(folder: str, name: str) -> str:
    """Init code of a precompiled contract whose name is not alone in its package: from `artifact/` below `folder`."""
    path = home() / "packages" / folder / "artifact" / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run .ci/devnet-install")
    return str(json.loads(path.read_text())["bytecode"])


@cache
def deployed_bytecode(package: str, name: str) -> str:
    """Runtime code of a precompiled contract without libraries or immutables, for an address that is given."""
    found = _artifact(package, name)["deployedBytecode"]
    code = str(found if isinstance(found, str) else found["object"]).removeprefix("0x")
    return "0x" + code


@cache
def _compiled(group: str) -> dict[str, Any]:
    path = home() / "compiled" / f"{group}.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run .ci/devnet-install")
    return cast("dict[str, Any]", json.loads(path.read_text()))


def compiled(group: str, name: str, libraries: Mapping[str, str] | None = None) -> str:
    """Init code of a contract that `.ci/devnet-install` compiled from source, its libraries linked in."""
    found = _compiled(group)[name]
    if isinstance(found, str):  # nothing to link
        return found
    code = str(found["object"]).removeprefix("0x")
    return "0x" + _linked(name, code, found["linkReferences"], libraries or {})


@cache
def multicall3() -> str:
    """Init code of Multicall3."""
    path = home() / "packages" / "viem" / "constants" / "contracts.ts"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run .ci/devnet-install")
    found = re.search(r"multicall3Bytecode\s*=\s*'(0x[0-9a-f]+)'", path.read_text())
    if found is None:
        raise ValueError(f"{path} has no multicall3Bytecode")
    return found.group(1)
