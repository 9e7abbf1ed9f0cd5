"""results.csv: one row for each picture, codec and setting. This declaration is its header, reader and writer."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any, get_type_hints

from vaecodec.errors import VaecError


@dataclass(frozen=True)
class Row:
    """One picture, coded once at one setting. None: not measured, or not defined for so small a picture."""

    picture: str
    pixels: str  # first 16 hexadecimal digits of the SHA-256 of the RGB pixels that were coded
    width: int
    height: int
    codec: str
    label: str
    lossless: bool
    version: str
    setting: float
    command: str  # or the parameters, for codecs that are called as a library
    bytes: int  # of the file on disk
    bpp: float
    mse: float  # over the three channels, levels squared
    psnr: float  # dB, of the RGB pixels; infinite where nothing was lost
    ms_ssim: float | None
    ssimulacra2: float | None
    ssimulacra2_by: str
    enc_s: float
    dec_s: float
    repeats: int  # the times are medians of so many
    jobs: int  # so many were running at once
    threads: int

    @property
    def key(self) -> tuple[str, str, float]:
        return self.picture, self.codec, self.setting


HINTS = get_type_hints(Row)
# What a spreadsheet takes for a formula begins with one of these (OWASP, CSV Injection): a quotation mark goes ahead of
# it in the file, and of a text that begins with such a mark itself.
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20'")


def opened(path: Path, mode: str = "r") -> IO[str]:
    """A results file. Bytes in a picture's name that are no UTF-8, lone surrogates to Python, go in and come out.

    Raises: OSError.
    """
    return path.open(mode, newline="", encoding="utf-8", errors="surrogatepass")


def read(path: Path) -> list[Row]:
    """The rows of a results file; columns that this version does not know are ignored.

    Raises: VaecError naming the line that is no row; OSError.
    """
    rows = []
    try:
        with opened(path) as handle:
            reader = csv.DictReader(handle)
            for record in reader:
                try:
                    rows.append(Row(**{f.name: _value(record[f.name], HINTS[f.name]) for f in fields(Row)}))
                except (KeyError, TypeError, ValueError) as error:
                    raise VaecError(f"{path}: line {reader.line_num} is no row of bench results ({error})") from None
    except (UnicodeDecodeError, csv.Error):
        raise VaecError(f"{path} is no CSV file of bench results") from None
    return rows


def _value(text: str | None, kind: Any) -> Any:
    if text is None:
        raise ValueError("it is cut short")
    if kind is str:
        return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
    if kind is bool:
        return {"True": True, "False": False}[text]
    if kind == (float | None):
        return float(text) if text else None
    value = kind(text)
    if kind is float and math.isnan(value):
        raise ValueError("not a number")
    return value


def write_header(handle: IO[str]) -> None:
    _writer(handle).writerow(f.name for f in fields(Row))


def append(handle: IO[str], rows: Iterable[Row]) -> None:
    """Write rows and flush: what is measured is kept whatever happens next."""
    _writer(handle).writerows(map(_cell, astuple(row)) for row in rows)
    handle.flush()


def _writer(handle: IO[str]) -> Any:
    return csv.writer(handle, quoting=csv.QUOTE_NONNUMERIC)  # all text in quotes, as OWASP has it


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value
