"""The app under uvicorn, with limits on connections, until a signal ends it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 1000  # at a time; beyond, requests get 503
IDLE = 5  # seconds after which an idle connection is closed


class Protocol(H11Protocol):
    """uvicorn's, which itself waits for ever for the head of a request and for the rest of a body behind its answer.

    seconds: for these; a request as a whole gets some times of it, and the app has limits of its own.
    """

    seconds = 30.0
    clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.abort_after(self.seconds)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self.abort_after(5 * self.seconds)  # receiving, waiting, coding, sending, and one more

    def on_response_complete(self) -> None:
        self.abort_after(self.seconds)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.clock:
            self.clock.cancel()
        super().connection_lost(exc)

    def abort_after(self, seconds: float) -> None:
        if self.clock:
            self.clock.cancel()
        self.clock = self.loop.call_later(seconds, self.transport.abort)


def listen(host: str, port: int) -> socket.socket:
    """A socket for `run`. Raises: OSError."""
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=CONNECTIONS)


def run(app: ASGIApp, listening: socket.socket, seconds: float) -> None:
    """Serve until SIGTERM or SIGINT, and then finish what is accepted. The signal is raised again at the end."""
    options: dict[str, Any] = {"http": type("Protocol", (Protocol,), {"seconds": seconds}), "ws": "none"}
    config = uvicorn.Config(
        app,
        lifespan="on",
        limit_concurrency=CONNECTIONS,
        backlog=CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=int(5 * seconds) + 1,
        log_config=None,
        access_log=False,
        server_header=False,
        **options,
    )
    uvicorn.Server(config).run(sockets=[listening])
