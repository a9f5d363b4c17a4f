"""A trading venue on this machine that answers like the public ticker of Coinbase's exchange.

`GET /products/ETH-USD/ticker` gives `{"price": "2412.11", "time": "...", "bid": "...", "ask": "...", …}`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PRODUCTS = {
    "WETH": "ETH-USD",
    "WBTC": "BTC-USD",
    "LINK": "LINK-USD",
    "USDT": "USDT-USD",
    "USDC": "USDC-USD",
    "DAI": "DAI-USD",
}
"""Token symbol -> the product under which the venue quotes it."""
SPREAD = 0.0002


@dataclass
class Venue:
    """The server. Use as a context manager; prices in USD, times in seconds (UTC).

    failing   a status to answer everything with (429, 503), or None
    silent    accept the request and never answer, to test time-outs
    requests  the paths asked for so far
    """

    port: int = 0
    failing: HTTPStatus | None = None
    silent: bool = False
    requests: list[str] = field(default_factory=list)
    _tickers: dict[str, dict[str, object]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        venue = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                venue._answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def quote(self, product: str, price: float, time: float) -> None:
        """From now on `product` ("ETH-USD") trades at `price`, last at `time`."""
        stamp = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._lock:
            number = int(str(self._tickers.get(product, {"trade_id": 0})["trade_id"])) + 1
            self._tickers[product] = {
                "trade_id": number,
                "price": f"{price:.8g}",
                "size": "0.1",
                "time": stamp,
                "bid": f"{price * (1 - SPREAD / 2):.8g}",
                "ask": f"{price * (1 + SPREAD / 2):.8g}",
                "volume": "12345.6789",
            }

    def quote_all(self, prices: Mapping[str, float], time: float) -> None:
        """Quote every asset of a scenario's `prices` that the venue trades."""
        for symbol, product in PRODUCTS.items():
            if symbol in prices:
                self.quote(product, prices[symbol], time)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        if self.silent:
            self._stop.wait()
            return
        parts = handler.path.split("?")[0].strip("/").split("/")
        body: dict[str, object]
        with self._lock:
            known = len(parts) == 3 and parts[0] == "products" and parts[2] == "ticker"
            ticker = dict(self._tickers.get(parts[1], {})) if known else {}
        if self.failing is not None:
            status = self.failing
            body = {"message": status.phrase}
        elif ticker:
            status, body = HTTPStatus.OK, ticker
        else:
            status, body = HTTPStatus.NOT_FOUND, {"message": "NotFound"}
        content = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json; charset=utf-8")
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
