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


def read(path: Path) -> list[Row]:
    """The rows of a results file; columns that this version does not know are ignored.

    Raises: VaecError naming the line that is no row; OSError.
    """
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as handle:
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
    if kind is bool:
        return {"True": True, "False": False}[text]
    if kind == (float | None):
        return float(text) if text else None
    value = kind(text)
    if kind is float and math.isnan(value):
        raise ValueError("not a number")
    return value


def write_header(handle: IO[str]) -> None:
    csv.writer(handle).writerow(f.name for f in fields(Row))


def append(handle: IO[str], rows: Iterable[Row]) -> None:
    """Write rows and flush: what is measured is kept whatever happens next."""
    csv.writer(handle).writerows(["" if v is None else v for v in astuple(row)] for row in rows)
    handle.flush()
