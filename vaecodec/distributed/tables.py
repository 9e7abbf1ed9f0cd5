"""Parquet: the table of errors, and the parts in which features lie."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecodec import files
from vaecodec.errors import VaecError
from vaecodec.extras import need
from vaecodec.remote import Remote

if TYPE_CHECKING:
    import pyarrow

ERRORS = {"path": "string", "reason": "string", "code": "int32"}
FEATURES = {"path": "string", "width": "int32", "height": "int32", "features": "list<float32>"}


def need_pyarrow() -> Any:
    """The package. Raises: VaecError where it is missing."""
    need("pyarrow", "a table", "ray")
    import pyarrow.parquet

    return pyarrow


def schema(columns: dict[str, str]) -> pyarrow.Schema:
    pa = need_pyarrow()
    types = {"string": pa.string(), "int32": pa.int32(), "list<float32>": pa.list_(pa.float32())}
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


def put(target: Path, rows: list[dict[str, Any]], columns: dict[str, str], force: bool) -> None:
    """Write a table, whole or not at all. Without `force` nothing is replaced. Raises: FileExistsError; OSError."""
    pa, written = need_pyarrow(), io.BytesIO()
    found = [{name: row[name] for name in columns} | {"path": text(row["path"])} for row in rows]
    pa.parquet.write_table(pa.Table.from_pylist(found, schema(columns)), written)
    files.write(target, written.getvalue(), files.STREAM, force)


def text(name: str) -> str:
    """A name that Parquet can hold: bytes that are no UTF-8 as \\xff."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def check_errors(target: Path, force: bool) -> None:
    """That a table of errors may be written there: an earlier one is replaced, other files are not.

    Raises: FileExistsError; OSError.
    """
    files.check_target(target, files.STREAM, force=True)
    if force or not files.exists(target):
        return
    pa = need_pyarrow()
    try:
        names = pa.parquet.read_schema(io.BytesIO(target.read_bytes())).names
    except pa.ArrowInvalid:
        names = []
    if names != list(ERRORS):
        raise FileExistsError(f"{target} exists already, and is no table of errors; -f replaces it")


def is_part(path: Path) -> bool:
    """Whether it is a part of a table of features, by its name."""
    return path.name.startswith("part-") and path.suffix == ".parquet"


def paths_in(parts: Iterable[Path]) -> set[str]:
    """What the tables of features tell of. Raises: VaecError for a file that is none; OSError."""
    pa = need_pyarrow()
    found: set[str] = set()
    for part in parts:
        try:
            with opened(part) as handle:
                found.update(pa.parquet.read_table(handle, columns=["path"]).column("path").to_pylist())
        except (pa.ArrowInvalid, KeyError):
            raise VaecError(f"{part} is no table of features") from None
    return found


def opened(path: Path) -> Any:
    """A file of which little is read: only the columns that are wanted."""
    if not isinstance(path, Remote):
        return path.open("rb")
    store, name = path.place
    return store.open(name, "rb")
