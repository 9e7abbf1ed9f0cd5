"""What Prometheus is told, and what every answer has."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vaecodec.service.pool import Pool
from vaecodec.service.transfer import Held

SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
GONE = "gone"  # in place of a status: the client left before its answer


class Metrics:
    """Figures of one service."""

    def __init__(self, pool: Pool, held: Held) -> None:
        self.registry = registry = CollectorRegistry()
        counter = partial(Counter, namespace="vaecodec", registry=registry)
        self.requests = counter("requests", "Requests that are done.", ["route", "status"])
        self.pixels = counter("pixels", "Of the pictures.", ["route"])
        self.received = counter("received_bytes", "Of bodies.", ["route"])
        self.sent = counter("sent_bytes", "Of bodies.", ["route"])
        text = "From the head to the end of the answer."
        names = ["route", "status"]
        self.seconds = Histogram("request_seconds", text, names, "vaecodec", buckets=SECONDS, registry=registry)
        now: dict[str, tuple[str, Callable[[], float]]] = {
            "queue_length": ("Requests that wait for a process.", lambda: len(pool.waiting)),
            "queue_limit": ("Requests that may wait.", lambda: pool.queue),
            "processes_busy": ("Processes at work.", lambda: pool.busy),
            "processes_ready": ("Processes at work or free.", lambda: pool.ready),
            "processes_lost": ("Processes that died or took too long, so far.", lambda: pool.lost),
            "held_bytes": ("Bodies and answers in memory.", lambda: held.used),
        }
        for name, (text, value) in now.items():
            Gauge(name, text, namespace="vaecodec", registry=registry).set_function(value)

    def page(self) -> tuple[bytes, str]:
        """The figures, and their media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class Watched:
    """Middleware that counts requests by route and status, and adds a header."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, end, status, received, sent = time.perf_counter(), 0.0, GONE, 0, 0

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            nonlocal status, sent, end
            if message["type"] == "http.response.start":
                status = str(message["status"])
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            sent += len(message.get("body", b""))
            await send(message)
            if message.get("body"):  # the last message waits for the rest of a request, see `transfer.Drained`
                end = time.perf_counter()

        try:
            await self.app(scope, receiving, sending)
        finally:
            route = getattr(scope.get("endpoint"), "__name__", "other")
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route, status).observe((end or time.perf_counter()) - start)
            self.metrics.received.labels(route).inc(received)
            self.metrics.sent.labels(route).inc(sent)
