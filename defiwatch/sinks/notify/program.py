"""A program of the user's own that gets each alert as one JSON line on stdin."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from defiwatch.config import ExecSink, duration
from defiwatch.domain.text import harmless
from defiwatch.errors import DeliveryError
from defiwatch.sinks.notify.channel import Channel

QUOTED = 200
"""Characters of the program's stderr that a notice quotes."""


class Program(Channel):
    """Runs the command once an alert, without a shell. Exit 0 means that it was taken; it is not tried again."""

    def __init__(self, name: str, section: ExecSink) -> None:
        super().__init__(name)
        self._command = section.command
        self._timeout = duration(section.timeout)

    def deliver(self, line: bytes, wait: Callable[[float], bool]) -> str:  # noqa: ARG002 - a program is run once
        """Run it. DeliveryError if it cannot be started, takes too long (and is killed) or does not exit with 0."""
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, as a list and without a shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise DeliveryError(f"{self._command[0]}: cannot be started ({error.strerror or error})") from error
        with process:
            try:
                _, stderr = process.communicate(line + b"\n", timeout=self._timeout)
            except subprocess.TimeoutExpired as error:
                _kill(process)
                raise DeliveryError(f"{self._command[0]}: killed after {self._timeout:g} s") from error
        said = harmless(stderr.decode(errors="replace").strip()[-QUOTED:], QUOTED)
        if process.returncode != 0:
            how = f"exit {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
            raise DeliveryError(f"{self._command[0]}: {how}{f': {said}' if said else ''}")
        return f"exit 0{f': {said}' if said else ''}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and what it started."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
