"""The answers of the service, by path."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from vaecodec.errors import VaecError
from vaecodec.service.metrics import Metrics
from vaecodec.service.pool import Busy, Died, Pool, TookTooLong
from vaecodec.service.problems import Problem, problem
from vaecodec.service.requests import ENDINGS, JSON, VAEC, decoding, encoding, looking, negotiated, writable
from vaecodec.service.settings import Settings
from vaecodec.service.transfer import Gone, Held, Share, body_of, deliver, unless_gone
from vaecodec.service.work import Job, Made, Refused, perform
from vaecodec.version import __version__

Asked = tuple[Job, str, str]  # the job, the media type of its output, the ending that chooses the format


class Service:
    """Where the endpoints of one app do their work. settings: complete."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self.settings, self.pool = settings, pool
        assert settings.held
        self.held = Held(settings.held)
        self.figures = Metrics(pool, self.held)
        self.formats = writable()

    # What is asked for

    def encode(self, request: Request) -> Asked:
        job = encoding(request.query_params.multi_items(), self.settings)
        return job, self.accepted(request, [VAEC]), ".vaec"

    def decode(self, request: Request) -> Asked:
        job, wanted = decoding(request.query_params.multi_items(), self.settings)
        if wanted and wanted not in self.formats:
            raise VaecError(f"{wanted} cannot be written here")
        kind = wanted or self.accepted(request, self.formats)
        return job, kind, ENDINGS[kind]

    def info(self, request: Request) -> Asked:
        return looking(request.query_params.multi_items()), self.accepted(request, [JSON]), ".json"

    def accepted(self, request: Request, offers: list[str]) -> str:
        """Raises: Problem."""
        kind = negotiated(",".join(request.headers.getlist("accept")), offers)
        if kind is None:
            raise Problem(406, f"this is made: {', '.join(offers)}; the Accept header takes none of it")
        return kind

    # What is said of it

    async def about(self, _: Request) -> Response:
        """What it does, and what it allows."""
        limits = {name: getattr(self.settings, name) for name in ("max_bytes", "max_pixels", "max_effort", "timeout")}
        paths = {"POST /encode": [VAEC], "POST /decode": self.formats, "POST /info": [JSON]}
        return JSONResponse({"name": "vaecodec", "version": __version__, "answers": paths, "limits": limits})

    async def health(self, _: Request) -> Response:
        """Whether it is alive."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Whether it can be asked: a process has loaded the model."""
        if not self.pool.ready:
            return problem(Problem(503, "no process is ready yet", retry=1))
        return JSONResponse({"status": "ready"})

    async def metrics(self, _: Request) -> Response:
        """For Prometheus."""
        page, kind = self.figures.page()
        return Response(page, headers={"Content-Type": kind})


class Coding:
    """An endpoint that codes the body of a request. asked: a method of the service, of the endpoint's name."""

    def __init__(self, service: Service, asked: Callable[[Request], Asked]) -> None:
        self.service, self.asked, self.__name__ = service, asked, asked.__name__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seconds = self.service.settings.timeout
        try:
            with self.service.held.share() as share:
                await deliver(await self.answer(Request(scope, receive), share), send, seconds)
        except Problem as error:
            await deliver(problem(error), send, seconds)
        except Gone:
            pass

    async def answer(self, request: Request, share: Share) -> Response:
        """Raises: Problem, Gone."""
        settings, pool = self.service.settings, self.service.pool
        try:
            job, kind, ending = self.asked(request)
        except VaecError as error:
            raise Problem(400, str(error)) from None
        if pool.full:  # before the body is sent
            raise self.busy()
        body = await body_of(request, settings.max_bytes, settings.timeout, share)
        made = await self.done(request, job, body, ending)
        if isinstance(made, Refused):
            raise Problem(made.status, made.message)
        share.add(len(made.data) - len(body))
        self.service.figures.pixels.labels(self.__name__).inc(made.width * made.height)
        return Response(made.data, 200, headers(made, varies=self.__name__ == "decode"), kind)

    async def done(self, request: Request, job: Job, body: bytes, ending: str) -> Made | Refused:
        """What a process makes of it. Raises: Problem, Gone."""
        seconds = self.service.settings.timeout
        try:
            return await unless_gone(request.receive, self.service.pool(perform, job, body, ending))
        except Busy:
            raise self.busy() from None
        except Died:
            raise Problem(503, "the process that worked on this request has ended", retry=1) from None
        except TookTooLong:
            raise Problem(504, f"this takes longer than {seconds:g} seconds") from None

    def busy(self) -> Problem:
        return Problem(503, "too many requests at once", retry=self.service.pool.patience)


def headers(made: Made, varies: bool) -> dict[str, str]:
    """Besides those of every answer."""
    found = {"ETag": f'"{made.etag}"'}
    if made.notes:  # of printable ASCII, as headers are
        found["Vaec-Notes"] = "; ".join(made.notes).encode("ascii", "backslashreplace").decode()
    return found | ({"Vary": "Accept"} if varies else {})
