"""What can go wrong with a `.vaec` file, one class per kind. Each carries the CLI's exit code."""

from __future__ import annotations


class VaecError(ValueError):
    """Base of all errors raised for bad input. The message is one sentence for a person."""

    exit_code = 1


class CorruptFileError(VaecError):
    """The bytes break a rule of the format: a checksum, a length, a range, an order."""

    exit_code = 3


class NotVaecError(CorruptFileError):
    """The bytes do not start with the signature."""


class TruncatedError(CorruptFileError):
    """The bytes end before the file does."""


class UnsupportedError(VaecError):
    """A well-formed file that needs another version, feature or model than this decoder has."""

    exit_code = 4


class LimitError(VaecError):
    """The picture is larger than the caller's limit."""

    exit_code = 5


class PictureError(VaecError):
    """An input picture that cannot be read or has no place in the format (floating point, no such frame)."""
