"""The command that codes pictures for others: serve."""

from __future__ import annotations

from contextlib import suppress

import click

from vaecodec.cli.process import Ended
from vaecodec.cli.values import Number, Size, Whole
from vaecodec.console import say
from vaecodec.extras import need
from vaecodec.service import Settings

DEFAULT = Settings()


@click.command()
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="To listen at; only this machine by default.")
@click.option("--port", type=Whole(0, 65535), default=8000, metavar="N", help="8000 by default; 0: any.")
@click.option("--processes", type=Whole(1), metavar="N", help="That code; by default one for each core.")
@click.option("--queue", type=Whole(0), metavar="N", help="Requests that may wait; by default 4 a process.")
@click.option("--max-bytes", type=Size(), default=DEFAULT.max_bytes, metavar="SIZE", help="Of a body; 32MiB.")
@click.option(
    "--max-pixels",
    type=Whole(0),
    default=DEFAULT.max_pixels,
    metavar="N",
    help=f"Of a picture; {DEFAULT.max_pixels} by default, 0: no limit.",
)
@click.option(
    "--max-effort",
    type=Whole(1, 9),
    default=DEFAULT.max_effort,
    metavar="E",
    help=f"That may be asked for; {DEFAULT.max_effort} by default.",
)
@click.option(
    "--timeout",
    type=Number(0.1),
    default=DEFAULT.timeout,
    metavar="S",
    help="Seconds to receive, to wait, to code, to send; 30 each.",
)
@click.option("--held", type=Size(), metavar="SIZE", help="Of bodies and answers in memory; 16 of the largest.")
@click.option("--memory", type=Size(), metavar="SIZE", help="That a process may have (Linux); 0: no limit.")
def serve(
    host: str,
    port: int,
    processes: int | None,
    queue: int | None,
    max_bytes: float,
    max_pixels: int,
    max_effort: int,
    timeout: float,
    held: float | None,
    memory: float | None,
) -> int:
    """Code pictures for others, over HTTP: POST /encode, /decode and /info.

    The body of a request is a picture or a .vaec file. The service has no accounts and no encryption: put a web server
    ahead of it. It ends with Ctrl-C or SIGTERM, when what was accepted is done. See docs/guide/service.md.
    """
    need("uvicorn", "serve", "serve")
    from vaecodec.service.app import make_app

    settings = Settings(
        processes=processes,
        queue=queue,
        max_bytes=int(max_bytes),
        max_pixels=max_pixels,
        max_effort=max_effort,
        timeout=timeout,
        held=None if held is None else int(held),
        memory=None if memory is None else int(memory),
    )
    app = make_app(settings)
    from vaecodec.service.server import listen, run

    with listen(host, port) as listening:
        name, number = listening.getsockname()[:2]
        say(f"vaecodec: serving at http://{f'[{name}]' if ':' in name else name}:{number}")
        with suppress(Ended, KeyboardInterrupt):
            run(app, listening, timeout)
    return 0
