"""The model file: decoder weights on the grid, integer tables, the encoder's floats, and the hash.

A safetensors file. What decoding depends on is integer and hashed (bitstream_spec.md, "Model file");
tensors named `enc.*` are float16, serve the encoder only and are outside the hash. They may be in a file beside it,
which those who only decode can do without.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaecodec.entropy.rans import Tables
from vaecodec.errors import UnsupportedError
from vaecodec.model.architecture import ANCHORS, TABLES, Config, Table, decoding, encoding, table_row
from vaecodec.model.loop_filter import check_defaults
from vaecodec.model.tensors import Declared, TensorFile, check_tensors, tensor_file

DEFAULT = Path(__file__).parents[1] / "weights" / "base.safetensors"
FOLDERS = "VAECODEC_MODELS"  # environment variable: where else models are looked for, as in PATH
FORMAT = "vaecodec-model-3"
ENCODER = "enc."
ENCODER_FORMAT = "vaecodec-encoder-1"
WIDTHS, BLOCKS = range(1, 4097), range(65)  # far beyond any use
# What a config has, and the ranges of its integers; `mid` may be left out.
RANGES = {field.name: BLOCKS if field.name.startswith("blocks") else WIDTHS for field in fields(Config)} | {
    "skip": range(TABLES),
    "dependent": range(TABLES + 1),
}
OPTIONAL = {"mid"}


@dataclass(frozen=True, eq=False)
class Weights:
    """A model's file, read and checked: its numbers, probability tables, identity.

    native.py makes networks of it that the core runs, trained.py such that PyTorch runs.
    """

    name: str
    hash: bytes  # the first 8 bytes of the SHA-256
    skip: int  # scale indices below are not coded: the residual is 0
    dependent: int  # scale indices from here on are quantised dependently, see trellis.py
    cfg: Config
    tensors: dict[str, NDArray]  # by name, as in the file
    y_tables: Tables  # by scale index, then those of quantiser 1
    z_tables: tuple[Tables, ...]  # by quality anchor, a table for each channel

    @property
    def encodes(self) -> bool:
        """Whether the encoder's networks are there too."""
        return any(name.startswith(ENCODER) for name in self.tensors)

    def row(self, table: str, q: int) -> NDArray[np.int64]:
        """The row (n,) of a quality table for quality q, 0..1000."""
        return table_row(self.tensors[f"{table}.t"], q)


def model_hash(config: str, tensors: dict[str, NDArray]) -> bytes:
    """SHA-256 of the config and of each decoding tensor in order of name: name, type, shape, data."""
    digest = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        if not name.startswith(ENCODER):
            t = tensors[name]
            digest.update(f"\n{name} {t.dtype.name} {'x'.join(map(str, t.shape))}\n".encode())
            digest.update(np.ascontiguousarray(t).astype(t.dtype.newbyteorder("<")).tobytes())
    return digest.digest()


def layout(cfg: Config, there: Mapping[str, Declared]) -> dict[str, Declared]:
    """The tensors of a model's file. there: those of the file, which says how long its tables are, and whether it has
    the numbers that serve encoders."""
    found: dict[str, tuple[str, Sequence[int]]] = {}
    for path, layer in decoding(cfg).items():
        if isinstance(layer, Table):
            found[f"{path}.t"] = "int16", (ANCHORS, layer.columns)
        else:
            n = (layer.outputs,)
            found |= {f"{path}.w": ("int16", layer[:2]), f"{path}.b": ("int32", n), f"{path}.k": ("int8", n)}
    for kind, rows in (("y", 2 * TABLES), ("z", ANCHORS * cfg.N)):
        name = f"{kind}.frequency"
        width = there[name].shape[-1:] if name in there else (0,)
        found |= {
            name: ("uint16", (rows, *width)),
            f"{kind}.low": ("int16", (rows,)),
            f"{kind}.size": ("int16", (rows,)),
        }
    declared = {name: Declared(np.dtype(dtype), tuple(shape)) for name, (dtype, shape) in found.items()}
    return declared | (encoder_layout(cfg) if any(name.startswith(ENCODER) for name in there) else {})


def encoder_layout(cfg: Config) -> dict[str, Declared]:
    """The tensors that serve encoders only."""
    return {ENCODER + key: Declared(np.dtype("float16"), tuple(shape)) for key, shape in encoding(cfg).items()}


def beside(path: Path) -> Path:
    """Where the encoder's part of a model's file may be."""
    return path.with_suffix(".encoder.safetensors")


def check_name(name: str) -> None:
    """Raises ValueError for a model name that has no place in a file's header."""
    if not (1 <= len(name) <= 8 and all(33 <= ord(c) <= 126 for c in name)):
        raise ValueError(f"model name {name!r} is not 1 to 8 printable ASCII characters")


def read(path: Path) -> tuple[dict[str, str], dict[str, NDArray]]:
    """Metadata and tensors of a model file: those that its architecture has, and its hash is right.

    Raises: UnsupportedError where it is not a model file this version reads.
    """
    with tensor_file(path, "model file") as file:
        return file.metadata, checked(file, architecture(file))


def load(path: Path = DEFAULT) -> Weights:
    """Read a model file and what is beside it, check hash, ranges and the overflow proof. Raises: UnsupportedError."""
    with tensor_file(path, "model file") as file:
        cfg = architecture(file)
        tensors = checked(file, cfg)
        check_numbers(cfg, tensors)
        y_tables = read_tables(tensors, "y", slice(None))
        if (y_tables.low % 2).any():
            raise ValueError("a table of y begins at an odd value")
        z_tables = tuple(read_tables(tensors, "z", slice(a * cfg.N, (a + 1) * cfg.N)) for a in range(ANCHORS))
    if not any(name.startswith(ENCODER) for name in tensors) and beside(path).is_file():
        tensors |= read_encoder(beside(path), cfg, file.metadata["hash"])
    config, digest = parse_config(file.metadata), bytes.fromhex(file.metadata["hash"])[:8]
    skip, dependent = config["skip"], config["dependent"]
    return Weights(file.metadata["name"], digest, skip, dependent, cfg, tensors, y_tables, z_tables)


def read_encoder(path: Path, cfg: Config, digest: str) -> dict[str, NDArray]:
    """The encoder's tensors of the model with that hash. Raises: UnsupportedError."""
    with tensor_file(path, "encoder of a model") as file:
        if (file.metadata.get("format"), file.metadata.get("model")) != (ENCODER_FORMAT, digest):
            raise ValueError("it is none for the model beside it")
        check_tensors(file.tensors, encoder_layout(cfg))
        tensors = file.read()
        check_finite(tensors)
        return tensors


def check_numbers(cfg: Config, tensors: Mapping[str, NDArray]) -> None:
    """Raises ValueError where layers fail the overflow proof or numbers are out of range."""
    for path, layer in decoding(cfg).items():
        if isinstance(layer, Table):
            layer.check(tensors[f"{path}.t"])
        else:
            layer.check(*(tensors[f"{path}.{name}"] for name in "wbk"))
    check_defaults(tensors["filter.t"].astype(np.int64))
    check_finite({name: value for name, value in tensors.items() if name.startswith(ENCODER)})


def check_finite(encoder: Mapping[str, NDArray]) -> None:
    """Raises ValueError where an encoder's number is not."""
    if not all(np.isfinite(value).all() for value in encoder.values()):
        raise ValueError("a number of its encoder is not finite")


def parse_config(metadata: Mapping[str, str]) -> dict[str, int]:
    """The integers of a model's config. Raises: ValueError where metadata are not those of a model, or say nothing
    sensible."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"it is none of format {FORMAT}")
    check_name(metadata.get("name", ""))
    if not re.fullmatch("[0-9a-f]{64}", metadata.get("hash", "")):
        raise ValueError("it has no hash")
    try:
        values = json.loads(metadata.get("config", ""))
    except (ValueError, RecursionError):
        raise ValueError("its config is no JSON") from None
    if not isinstance(values, dict) or values.keys() | OPTIONAL != RANGES.keys():
        raise ValueError(f"its config is not of {', '.join(RANGES)}")
    for name, value in values.items():
        if type(value) is not int or value not in RANGES[name]:
            raise ValueError(f"its config has {name} out of range")
    if not values["low"] < values.get("mid", values["M"]) <= values["M"] - ("mid" in values):
        raise ValueError("its config has groups of channels without channels")
    return values


def architecture(file: TensorFile) -> Config:
    """What networks a file is for. Raises: ValueError; see `parse_config`."""
    config = parse_config(file.metadata)
    return Config(**{field.name: config[field.name] for field in fields(Config) if field.name in config})


def checked(file: TensorFile, cfg: Config) -> dict[str, NDArray]:
    """The tensors of a model's file. Raises: ValueError where they are others than its architecture has, or were
    changed."""
    check_tensors(file.tensors, layout(cfg, file.tensors))
    tensors = file.read()
    if model_hash(file.metadata["config"], tensors).hex() != file.metadata["hash"]:
        raise ValueError("it is damaged (its hash is wrong)")
    return tensors


def find(name: str, digest: bytes) -> Weights:
    """The model of that name and hash (its first 8 bytes): in the package, or where FOLDERS says. A file that only says
    so it does no harm.

    Raises: UnsupportedError where there is none.
    """
    seen, fault = [], ""
    for path, there in models_around():
        if there == (name, digest.hex()):
            try:
                return load(path)
            except UnsupportedError as error:
                fault = f"; {error}"
        else:
            seen.append("{} ({})".format(*there))
    names = ", ".join(seen) or "none"
    raise UnsupportedError(
        f"needs model {name} ({digest.hex()}); there is {names}; {FOLDERS} may name folders with others{fault}"
    )


def models_around() -> Iterator[tuple[Path, tuple[str, str]]]:
    """The model files that there are, with the name and the hash (of 8 bytes, in hex) that they say they have."""
    folders = [DEFAULT.parent, *(Path(f) for f in os.environ.get(FOLDERS, "").split(os.pathsep) if f)]
    for path in (p for folder in folders for p in sorted(folder.glob("*.safetensors"))):
        try:
            with tensor_file(path, "model file") as file:
                parse_config(file.metadata)
        except UnsupportedError:
            continue
        yield path, (file.metadata["name"], file.metadata["hash"][:16])


def read_tables(tensors: dict[str, NDArray], kind: str, rows: slice) -> Tables:
    """Some rows of a model file's tables. Raises ValueError."""
    low, size, stored = (tensors[f"{kind}.{name}"][rows].astype(np.int64) for name in ("low", "size", "frequency"))
    used = np.arange(stored.shape[1]) < size[:, None]
    return Tables(low, size, np.where(used, stored + 1, 0))
