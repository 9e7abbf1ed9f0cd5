"""`python -m vaecodec`."""

from vaecodec.cli import main

main()
