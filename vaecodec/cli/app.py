"""The command line: finds the command, runs it, and turns what ends it into an exit code.

Messages go to stderr, data to stdout. A command's module is imported when the command is used, so that what one of them
needs keeps no other waiting.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from vaecodec.cli.lazy import Home, LazyGroup
from vaecodec.cli.process import Ended, ends_in_order, hold_streams
from vaecodec.cli.usage import sentence
from vaecodec.console import hush_warnings, printable, reason, say
from vaecodec.errors import VaecError
from vaecodec.outcomes import FAILED
from vaecodec.version import __version__

INTERRUPTED = 130

HELP = """Learned image compression: pictures to .vaec files and back.

\b
Examples:
  vaecodec encode photo.jpg                   makes photo.vaec beside it
  vaecodec encode -q 40 -o small/ *.png       many at once, into a folder
  vaecodec decode photo.vaec photo.png        the ending chooses the format

\b
"-" as a file name stands for stdin or stdout. Existing files are kept unless -f is given.

\b
Exit codes:
  0  everything worked
  1  a file failed, of several at least one: not readable, output exists, I/O error
  2  usage error
  3  not a .vaec file, or damaged (3, 4 and 5: when there is one input)
  4  made with a format version or a model that this program does not have
  5  more pixels than --max-pixels
  130  interrupted; 143: terminated
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `vaecodec` and `python -m vaecodec`: runs a command and exits with its code."""
    hold_streams()
    with ends_in_order():
        sys.exit(code_of(argv))


def code_of(argv: Sequence[str] | None) -> int:
    """Run a command. Returns its exit code; the reason for an early end is reported."""
    try:
        return cli.main(argv, prog_name="vaecodec", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            click.UsageError(printable(sentence(error)), getattr(error, "ctx", None)).show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("vaecodec: interrupted")
        return INTERRUPTED
    except Ended as end:
        say("vaecodec: terminated")
        return end.code
    except (VaecError, ImportError) as error:  # not of a file: of what is not installed, or not built
        say(f"vaecodec: {error}")
        return FAILED
    except OSError as error:  # not of a file, of which the command tells, but of stdout or the system
        say(f"vaecodec: {reason(error, None)}")
        return FAILED


COMMANDS = {
    "encode": Home("vaecodec.cli.coding", "Make .vaec files of pictures."),
    "decode": Home("vaecodec.cli.coding", "Make pictures of .vaec files."),
    "encode-many": Home("vaecodec.cli.many", "Make .vaec files on a cluster."),
    "decode-many": Home("vaecodec.cli.many", "Make pictures on a cluster."),
    "features-many": Home("vaecodec.cli.many", "Describe pictures on a cluster."),
    "thumbnail": Home("vaecodec.cli.coding", "Make a PNG thumbnail of a .vaec file."),
    "info": Home("vaecodec.cli.looking", "Print what a .vaec file holds."),
    "verify": Home("vaecodec.cli.looking", "Check the structure and the checksums of .vaec files."),
    "view": Home("vaecodec.cli.web", "Show .vaec files in the browser."),
    "web": Home("vaecodec.cli.web", "Write a site that shows .vaec files."),
    "serve": Home("vaecodec.cli.serve", "Code pictures for others, over HTTP."),
    "bench": Home("vaecodec.cli.bench", "Compare codecs on pictures."),
    "denoise": Home("vaecodec.cli.restoration", "Remove noise from pictures."),
    "inpaint": Home("vaecodec.cli.restoration", "Fill in missing parts of pictures."),
    "restore": Home("vaecodec.cli.restoration", "Undo what was done to pictures."),
    "enhance": Home("vaecodec.cli.restoration", "Remove noise, then stretch the tones."),
    "sample": Home("vaecodec.cli.vae", "Draw a picture from the model."),
    "elbo": Home("vaecodec.cli.vae", "The evidence lower bound of exact pictures."),
    "features": Home("vaecodec.cli.vae", "Describe pictures by their latents."),
}


@click.group(cls=LazyGroup, homes=COMMANDS, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    hush_warnings()
