"""The model file: decoder weights on the grid, integer tables, the encoder's floats, and the hash.

A safetensors file. What decoding depends on is integer and hashed (bitstream_spec.md, "Model file");
tensors named `enc.*` are float16, serve the encoder only and are outside the hash.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from vaecodec.entropy.rans import Tables
from vaecodec.errors import UnsupportedError
from vaecodec.model.exact import Depthwise, Linear, declared
from vaecodec.model.loop_filter import check_defaults
from vaecodec.model.networks import ANCHORS, TABLES, Config, Model, QualityTable
from vaecodec.model.tensors import Declared, TensorFile, check_tensors, tensor_file

DEFAULT = Path(__file__).parents[1] / "weights" / "base.safetensors"
FOLDERS = "VAECODEC_MODELS"  # environment variable: where else models are looked for, as in PATH
FORMAT = "vaecodec-model-3"
ENCODER = "enc."
WIDTHS, BLOCKS = range(1, 4097), range(65)  # far beyond any use
# What a config has, and the ranges of its integers.
RANGES = {name: BLOCKS if name.startswith("blocks") else WIDTHS for name in Config().to_dict()} | {
    "skip": range(TABLES),
    "dependent": range(TABLES + 1),
}


@dataclass(frozen=True)
class Weights:
    """A model ready to code: networks, probability tables, identity."""

    name: str
    hash: bytes  # the first 8 bytes of the SHA-256
    skip: int  # scale indices below are not coded: the residual is 0
    dependent: int  # scale indices from here on are quantised dependently, see trellis.py
    model: Model
    y_tables: Tables  # by scale index, then those of quantiser 1
    z_tables: tuple[Tables, ...]  # by quality anchor, a table for each channel
    encodes: bool  # whether the encoder's networks are there too

    @cached_property
    def wide(self) -> Weights:
        """The same with all exact layers in float64, for where products of float32 are not to be trusted."""
        model = copy.deepcopy(self.model)
        for module in model.modules():
            if isinstance(module, (Linear, Depthwise)) and module.frozen is not None:
                weight, bias = module.frozen
                module.frozen = weight.double(), bias.double()
        return replace(self, model=model)

    @cached_property
    def soft(self) -> Model:
        """A copy of the networks in plain float arithmetic, which gradients pass through."""
        model = copy.deepcopy(self.model)
        melt(model)
        return model.requires_grad_(False)


def model_hash(config: str, tensors: dict[str, NDArray]) -> bytes:
    """SHA-256 of the config and of each decoding tensor in order of name: name, type, shape, data."""
    digest = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        if not name.startswith(ENCODER):
            t = tensors[name]
            digest.update(f"\n{name} {t.dtype.name} {'x'.join(map(str, t.shape))}\n".encode())
            digest.update(np.ascontiguousarray(t).astype(t.dtype.newbyteorder("<")).tobytes())
    return digest.digest()


def decoding(model: Model) -> Iterator[tuple[str, Linear | Depthwise | QualityTable]]:
    """The modules that decoders need, by path: exact layers, and tables but that of g_a. Their numbers are integers."""
    for path, module in model.named_modules():
        exact = isinstance(module, (Linear, Depthwise)) and module.limit is not None
        if exact or (isinstance(module, QualityTable) and not path.startswith("g_a.")):
            yield path, module


def encoding(model: Model) -> dict[str, torch.Tensor]:
    """All other numbers, which serve encoders only."""
    exact = {path for path, _ in decoding(model)}
    return {key: value for key, value in model.state_dict().items() if key.rpartition(".")[0] not in exact}


def layout(model: Model, there: Mapping[str, Declared]) -> dict[str, Declared]:
    """The tensors of a model's file. there: those of the file, which says how long its tables are, and whether it has
    the numbers that serve encoders."""
    found: dict[str, tuple[str, Sequence[int]]] = {}
    for path, module in decoding(model):
        if isinstance(module, QualityTable):
            found[f"{path}.t"] = "int16", module.value.shape
        else:
            w, b = module.weight.shape, module.bias.shape
            found |= {f"{path}.w": ("int16", w), f"{path}.b": ("int32", b), f"{path}.k": ("int8", b)}
    for kind, rows in (("y", 2 * TABLES), ("z", ANCHORS * model.cfg.N)):
        name = f"{kind}.frequency"
        width = there[name].shape[-1:] if name in there else (0,)
        found |= {
            name: ("uint16", (rows, *width)),
            f"{kind}.low": ("int16", (rows,)),
            f"{kind}.size": ("int16", (rows,)),
        }
    if any(name.startswith(ENCODER) for name in there):
        found |= {ENCODER + key: ("float16", value.shape) for key, value in encoding(model).items()}
    return {name: Declared(np.dtype(dtype), tuple(shape)) for name, (dtype, shape) in found.items()}


def pack(name: str, model: Model, skip: int, dependent: int, tables: dict[str, NDArray]) -> bytes:
    """A model file. `tables` has {y,z}.{low,size,frequency}, frequencies less one so that they fit 16 bits."""
    check_name(name)
    tensors = dict(tables)
    for path, module in decoding(model):
        if isinstance(module, QualityTable):
            tensors[f"{path}.t"] = int16(module.integers())
        else:
            w, b, k = module.grid_weights()
            tensors |= {f"{path}.w": int16(w), f"{path}.b": b.numpy().astype(np.int32)}
            tensors[f"{path}.k"] = k.numpy().astype(np.int8)
    tensors |= {ENCODER + key: value.numpy().astype(np.float16) for key, value in encoding(model).items()}
    config = json.dumps(model.cfg.to_dict() | {"skip": skip, "dependent": dependent}, sort_keys=True)
    digest = model_hash(config, tensors)
    metadata = {"format": FORMAT, "name": name, "config": config, "hash": digest.hex()}
    return bytes(save({k: np.ascontiguousarray(v) for k, v in tensors.items()}, metadata))


def check_name(name: str) -> None:
    """Raises ValueError for a model name that has no place in a file's header."""
    if not (1 <= len(name) <= 8 and all(33 <= ord(c) <= 126 for c in name)):
        raise ValueError(f"model name {name!r} is not 1 to 8 printable ASCII characters")


def int16(t: torch.Tensor) -> NDArray[np.int16]:
    """Raises ValueError where a value does not fit."""
    if t.abs().max() > 32767:
        raise ValueError("a weight does not fit 16 bits")
    return t.numpy().astype(np.int16)


def read(path: Path) -> tuple[dict[str, str], dict[str, NDArray]]:
    """Metadata and tensors of a model file: those that its architecture has, and its hash is right.

    Raises: UnsupportedError where it is not a model file this version reads.
    """
    with tensor_file(path, "model file") as file:
        return file.metadata, checked(file, architecture(file))


def load(path: Path = DEFAULT) -> Weights:
    """Read a model file, check its hash and the overflow proof, and freeze the networks. Raises: UnsupportedError."""
    with tensor_file(path, "model file") as file:
        model = architecture(file)
        tensors = checked(file, model)
        fill(model, tensors)
        check_defaults(tensors["filter.t"].astype(np.int64))
        y_tables = read_tables(tensors, "y", slice(None))
        if (y_tables.low % 2).any():
            raise ValueError("a table of y begins at an odd value")
        n = model.cfg.N
        z_tables = tuple(read_tables(tensors, "z", slice(a * n, (a + 1) * n)) for a in range(ANCHORS))
    model.eval().requires_grad_(False)
    config, digest = parse_config(file.metadata), bytes.fromhex(file.metadata["hash"])[:8]
    encodes = any(name.startswith(ENCODER) for name in tensors)
    skip, dependent = config["skip"], config["dependent"]
    return Weights(file.metadata["name"], digest, skip, dependent, model, y_tables, z_tables, encodes)


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
    if not isinstance(values, dict) or values.keys() != RANGES.keys():
        raise ValueError(f"its config is not of {', '.join(RANGES)}")
    for name, value in values.items():
        if type(value) is not int or value not in RANGES[name]:
            raise ValueError(f"its config has {name} out of range")
    if values["low"] >= values["M"]:
        raise ValueError("its config has more low channels than channels")
    return values


def architecture(file: TensorFile) -> Model:
    """The networks that a file is for, without numbers. Raises: ValueError; see `parse_config`."""
    config = parse_config(file.metadata)
    return declared(lambda: Model(Config(**{name: config[name] for name in Config().to_dict()})))


def checked(file: TensorFile, model: Model) -> dict[str, NDArray]:
    """The tensors of a model's file. Raises: ValueError where they are others than its architecture has, or were
    changed."""
    check_tensors(file.tensors, layout(model, file.tensors))
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


def fill(model: Model, tensors: dict[str, NDArray]) -> None:
    """Put a model file's tensors into networks that are declared. What is not in the file stays without numbers.

    Raises: ValueError where they are out of range.
    """

    def get(name: str) -> torch.Tensor:
        return torch.from_numpy(tensors[name])

    for path, module in decoding(model):
        if isinstance(module, QualityTable):
            module.freeze(get(f"{path}.t"))
        else:
            module.freeze(*(get(f"{path}.{name}") for name in "wbk"))
    encoder = {key: get(ENCODER + key).float() for key in encoding(model) if ENCODER + key in tensors}
    if not all(value.isfinite().all() for value in encoder.values()):
        raise ValueError("a number of its encoder is not finite")
    model.load_state_dict(encoder, strict=False, assign=True)


def melt(model: Model) -> None:
    """Make a loaded model trainable again: its weights stay, the frozen integers go."""
    for module in model.modules():
        if isinstance(module, (Linear, Depthwise, QualityTable)):
            module.frozen = None
    model.set_grid(False)
    model.train().requires_grad_(True)
