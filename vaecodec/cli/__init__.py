"""The command line."""

from vaecodec.cli.app import main

__all__ = ["main"]
