"""Every protocol file is registered."""

from __future__ import annotations

import importlib
import pkgutil

import defiwatch.protocols
from defiwatch.protocols.registry import PROTOCOLS
from defiwatch.protocols.spec import ProtocolSpec

SHARED = frozenset(
    {
        "abi",
        "concentrated",
        "factories",
        "foreign",
        "heard",
        "pools",
        "reads",
        "sources",
        "registry",
        "spec",
        "stakes",
        "ticks",
    }
)
"""What is in the folder and is no protocol."""


def test_every_file_of_the_folder_is_registered_or_known_as_shared() -> None:
    registered = {spec.name: spec for spec in PROTOCOLS}
    found: set[str] = set()
    for module in pkgutil.iter_modules(defiwatch.protocols.__path__):
        if module.name in SHARED:
            continue
        content = vars(importlib.import_module(f"defiwatch.protocols.{module.name}"))
        specs = [value for value in content.values() if isinstance(value, ProtocolSpec)]
        assert len(specs) == 1, f"{module.name}: expected one ProtocolSpec, found {len(specs)}"
        assert specs[0].name == module.name, f"{module.name}: its spec is called {specs[0].name}"
        assert registered.get(module.name) is specs[0], f"{module.name} is not in registry.PROTOCOLS"
        found.add(module.name)
    assert found == set(registered)
