"""Bodies in and answers out: bounded in bytes and in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vaecodec.service.problems import Problem

PIECE = 2**17  # bytes that are sent at a time
LINGER = 5.0  # seconds for the rest of a body behind its answer, at most
T = TypeVar("T")


class Gone(Exception):
    """The client has left."""


class Held:
    """Bytes of bodies and answers in memory."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """That of one request."""
        share = Share(self)
        try:
            yield share
        finally:
            share.add(-share.used)


class Share:
    def __init__(self, held: Held) -> None:
        self.held, self.used = held, 0

    def add(self, size: int) -> bool:
        """Whether all that is held is within the limit."""
        self.used += size
        self.held.used += size
        return self.held.used <= self.held.limit


async def body_of(request: Request, max_bytes: int, seconds: float, share: Share) -> bytes:
    """Raises: Problem where there is none, it is too large, or does not come in time; Gone."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > max_bytes:
        raise too_large(max_bytes)
    try:
        body = await asyncio.wait_for(received(request, max_bytes, share), seconds)
    except asyncio.TimeoutError:
        late = Problem(408, f"the request did not arrive within {seconds:g} seconds")
        late.headers = {"Connection": "close"}
        raise late from None
    if not body:
        raise Problem(400, "the body is empty; it should be the bytes of a file")
    return body


async def received(request: Request, max_bytes: int, share: Share) -> bytes:
    pieces, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        size, more = size + len(pieces[-1]), message.get("more_body", False)
        if size > max_bytes:
            raise too_large(max_bytes)
        if not share.add(len(pieces[-1])):
            raise Problem(503, "too many large requests at once", retry=1)
    return b"".join(pieces)


def too_large(max_bytes: int) -> Problem:
    return Problem(413, f"the body is larger than {max_bytes} bytes")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What it gives; when the client leaves meanwhile, it is cancelled. Raises: Gone."""

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    wanted, gone = asyncio.ensure_future(work), asyncio.ensure_future(left())
    try:
        await asyncio.wait([wanted, gone], return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            raise Gone
        return wanted.result()
    finally:
        wanted.cancel()
        gone.cancel()


class Drained:
    """Middleware that takes the rest of a body after its answer, for some seconds, and drops it.

    Who is cut off while he sends does not get the answer. A body that came too late (408) is not waited for.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        more = "expect" not in headers and ("transfer-encoding" in headers or headers.get("content-length", "0") != "0")

        async def receiving() -> Message:
            nonlocal more
            message = await receive()
            more = more and message.get("more_body", False)
            return message

        async def rest() -> None:
            while more:
                await receiving()

        async def sending(message: Message) -> None:
            nonlocal more
            more = more and message.get("status") != 408
            if more and message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(rest(), self.seconds)
                message = {"type": "http.response.body"}
            await send(message)

        await self.app(scope, receiving, sending)


async def deliver(answer: Response, send: Send, seconds: float) -> None:
    """Send it by pieces. A client that does not take it in time does not get it whole: the server cuts it off."""

    async def deliver_all() -> None:
        await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
        body = bytes(answer.body)
        for at in range(0, max(1, len(body)), PIECE):
            more = at + PIECE < len(body)
            await send({"type": "http.response.body", "body": body[at : at + PIECE], "more_body": more})

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(deliver_all(), seconds)
