"""The ASGI app. Its packages are loaded when it is made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vaecodec.extras import need
from vaecodec.service.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette


def make_app(settings: Settings | None = None) -> Starlette:
    """A service, for any ASGI server on asyncio: `uvicorn --factory vaecodec.service.app:make_app`.

    Its processes are started and ended by its lifespan. Where it is mounted into another app, that one has to run it:
    `Starlette(..., lifespan=lambda app: service.router.lifespan_context(service))`.
    Raises: VaecError where a setting is out of its range, or a package is missing.
    """
    need("starlette", "the service", "serve", "Starlette")
    need("prometheus_client", "the service", "serve", "prometheus-client")
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.routing import Route

    from vaecodec.service import endpoints, work
    from vaecodec.service.metrics import Watched
    from vaecodec.service.pool import Pool
    from vaecodec.service.problems import on_bug, on_problem
    from vaecodec.service.transfer import LINGER, Drained

    chosen = (settings or Settings()).complete()
    assert chosen.processes is not None and chosen.queue is not None
    pool = Pool(work.call, (work.prepare, chosen.memory), chosen.processes, chosen.queue, chosen.timeout)
    service = endpoints.Service(chosen, pool)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        pool.start()
        try:
            yield
        finally:
            pool.close()

    linger = min(LINGER, chosen.timeout / 2)
    coding = [endpoints.Coding(service, asked) for asked in (service.encode, service.decode, service.info)]
    app = Starlette(
        routes=[
            *(Route(f"/{endpoint.__name__}", endpoint, methods=["POST"]) for endpoint in coding),
            Route("/", service.about),
            *(Route(f"/{said.__name__}", said) for said in (service.health, service.ready, service.metrics)),
        ],
        middleware=[Middleware(Watched, metrics=service.figures), Middleware(Drained, seconds=linger)],
        exception_handlers={HTTPException: on_problem, Exception: on_bug},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # it would lead to whatever host a client names
    return app
