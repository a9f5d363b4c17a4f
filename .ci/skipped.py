"""Print every skipped test with its reason; fail if a devnet or recorded-data test skipped, or if nothing ran."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ALLOWED = ("benchmark",)


def main(path: str) -> int:
    """Exit 1 if a test that the gate must run was skipped, else 0."""
    report = Path(path)
    if not report.is_file():
        print("no test report: the test command did not get as far as running tests")
        return 1
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - our own file
    bad = 0
    for case in cases:
        for skipped in case.iter("skipped"):
            reason = skipped.get("message") or ""
            allowed = any(word in reason.lower() for word in ALLOWED)
            bad += not allowed
            print(f"{'skipped' if allowed else 'MUST NOT SKIP'}: {case.get('classname')}.{case.get('name')}: {reason}")
    print(f"{len(cases)} tests reported, {bad} skipped that must run")
    return 1 if bad or not cases else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
