"""A URL of the user's own that gets each alert as a JSON POST."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from defiwatch import __version__
from defiwatch.config import WebhookSink, duration, mask
from defiwatch.errors import DeliveryError
from defiwatch.sinks.notify.channel import Channel

TRIES = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0


class Webhook(Channel):
    """POSTs to the URL. 429, 5xx and a broken connection are tried again, when Retry-After says; the rest is not."""

    def __init__(self, name: str, section: WebhookSink, transport: httpx.BaseTransport | None = None) -> None:
        super().__init__(name)
        self._url = section.url
        self._client = httpx.Client(
            headers={
                "User-Agent": f"defiwatch/{__version__}",
                **section.headers,
                "Content-Type": "application/json",
            },
            timeout=duration(section.timeout),
            transport=transport,
        )

    def deliver(self, line: bytes, wait: Callable[[float], bool]) -> str:
        """POST it; returns the status. DeliveryError after the last try, or at once where another cannot help."""
        pause = FIRST_PAUSE_S
        for left in reversed(range(TRIES)):
            asked: float | None = None
            try:
                response = self._client.post(self._url, content=line)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = f"{mask(self._url)}: no answer ({type(error).__name__})"
            else:
                status = f"HTTP {response.status_code}"
                if response.is_success:
                    return status
                problem = f"{mask(self._url)}: {status}"
                if response.status_code != 429 and response.status_code < 500:
                    raise DeliveryError(problem)
                asked = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
            if not left or wait(min(pause if asked is None else asked, LONGEST_PAUSE_S)):
                raise DeliveryError(problem)
            pause *= 2
        raise DeliveryError(f"{mask(self._url)}: not tried")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def retry_after(text: str | None, now: datetime) -> float | None:
    """Retry-After in seconds from `now`, given as seconds or a date (RFC 9110, 10.2.3); None where it is neither."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
