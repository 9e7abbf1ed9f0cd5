"""The commands that show `.vaec` files in browsers: view, web."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import click

from vaecodec import files
from vaecodec.cli.options import FileName, options, read_once
from vaecodec.console import count, put, say


@click.command()
@click.option("--no-browser", is_flag=True, help="Print the address, and let the user open it.")
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...", type=FileName(here=True), callback=read_once)
def view(inputs: tuple[Path, ...], no_browser: bool) -> int:
    """Show .vaec files in the browser: zoom, details, and comparing with what they were made of.

    A PNG, JPEG, AVIF, WebP or GIF among the files is what the .vaec file of its name is compared with, or else the one
    ahead of it. A small server on this machine, for this user alone, hands them to the page. It ends when the page is
    closed, or with Ctrl-C.
    """
    from vaecodec.web.server import Server
    from vaecodec.web.site import site

    server = Server(lambda alive: site(inputs, alive=alive))
    if no_browser:
        put(server.url)
    else:
        say("showing the files in the browser; close the page or press Ctrl-C to end")
        threading.Thread(target=open_browser, args=(server.url,), daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.run()
    return 0


def open_browser(url: str) -> None:
    """Some browsers return only when they are closed."""
    import webbrowser

    if not webbrowser.open(url):
        say(f"vaecodec: note: no browser could be started; open {url}")


@click.command()
@click.argument("folder", type=FileName(new_folder=True, here=True))
@click.argument("inputs", nargs=-1, metavar="[FILE]...", type=FileName(here=True))
@options("force", "quiet")
def web(folder: Path, inputs: tuple[Path, ...], force: bool, quiet: bool) -> int:
    """Write a site that shows .vaec files into a folder: the viewer, the decoder and the files, for any web server.

    The page lists the files that are given, which are copied, and those that are in the folder already. Pictures that
    browsers read are what they are compared with, as with `view`. The folder vaec/ in it has what pages of your own
    need to show .vaec files: see docs/guide/web.md.
    """
    from vaecodec.web.site import write

    if files.STREAM in (folder, *inputs):
        raise click.UsageError("a site is made of files, not of stdin")
    names = write(folder, inputs, force)
    if not quiet:
        say(f"{folder}: {count(len(names), 'file')}; the page is {folder / 'index.html'}, for a web server to serve")
    return 0
