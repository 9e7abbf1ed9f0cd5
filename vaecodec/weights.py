"""The model file: decoder weights on the grid, integer tables, the encoder's floats, and the hash.

A safetensors file. What decoding depends on is integer and hashed (bitstream_spec.md, "Model file");
tensors named `enc.*` are float16, serve the encoder only and are outside the hash.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vaecodec.errors import UnsupportedError
from vaecodec.grid import Depthwise, Linear, float32_by_default
from vaecodec.model import ANCHORS, TABLES, Config, Model, QualityTable
from vaecodec.postfilter import check_defaults
from vaecodec.rans import Tables

DEFAULT = Path(__file__).with_name("weights") / "base.safetensors"
FOLDERS = "VAECODEC_MODELS"  # environment variable: where else models are looked for, as in PATH
FORMAT = "vaecodec-model-3"
ENCODER = "enc."
WIDTH_MAX, BLOCKS_MAX = (
    4096,
    64,
)  # of an architecture: far beyond any use, and soon refused; scale indices end at 64 too


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


def pack(name: str, model: Model, skip: int, dependent: int, tables: dict[str, NDArray]) -> bytes:
    """A model file. `tables` has {y,z}.{low,size,frequency}, frequencies less one so that they fit 16 bits."""
    check_name(name)
    tensors = dict(tables)
    exact: set[str] = set()
    for path, module in model.named_modules():
        if isinstance(module, (Linear, Depthwise)) and module.limit is not None:
            w, b, k = module.grid_weights()
            tensors |= {f"{path}.w": int16(w), f"{path}.b": b.numpy().astype(np.int32)}
            tensors[f"{path}.k"] = k.numpy().astype(np.int8)
            exact |= {f"{path}.weight", f"{path}.bias"}
        elif isinstance(module, QualityTable) and not path.startswith("g_a"):
            tensors[f"{path}.t"] = int16(module.integers())
            exact.add(f"{path}.value")
    for key, value in model.state_dict().items():
        if key not in exact:
            tensors[ENCODER + key] = value.numpy().astype(np.float16)
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


def read_file(path: Path) -> tuple[dict[str, str], dict[str, NDArray]]:
    """Metadata and tensors of a safetensors file. Raises: UnsupportedError where it is none."""
    try:
        with safe_open(path, framework="np") as f:
            return f.metadata() or {}, {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise UnsupportedError(f"{path}: not a readable model file ({error})") from error


def read(path: Path) -> tuple[dict[str, str], dict[str, NDArray]]:
    """Metadata and tensors of a model file whose hash is right.

    Raises: UnsupportedError where it is not a model file this version reads.
    """
    metadata, tensors = read_file(path)
    if metadata.get("format") != FORMAT:
        raise UnsupportedError(f"{path}: not a model file of format {FORMAT}")
    if model_hash(metadata.get("config", ""), tensors).hex() != metadata.get("hash"):
        raise UnsupportedError(f"{path}: the model file is damaged (its hash is wrong)")
    return metadata, tensors


def load(path: Path = DEFAULT) -> Weights:
    """Read a model file, check its hash and the overflow proof, and freeze the networks. Raises: UnsupportedError."""
    metadata, tensors = read(path)
    try:
        config, skip, dependent = parse_config(metadata["config"])
        check_name(metadata["name"])
        check_size(config, tensors)
        with float32_by_default():
            model = Model(config)
        fill(model, tensors)
        check_defaults(tensors["filter.t"].astype(np.int64))
        y_tables = read_tables(tensors, "y", slice(None))
        if y_tables.null != 2 * TABLES:
            raise ValueError(f"{y_tables.null} tables of y")
        if (y_tables.low % 2).any():
            raise ValueError("a table of y begins at an odd value")
        n = model.cfg.N
        z_tables = tuple(read_tables(tensors, "z", slice(a * n, (a + 1) * n)) for a in range(ANCHORS))
    except (ValueError, LookupError, TypeError, RuntimeError) as error:
        raise UnsupportedError(f"{path}: unusable model file: {error}") from error
    model.eval().requires_grad_(False)
    digest, encodes = bytes.fromhex(metadata["hash"])[:8], any(name.startswith(ENCODER) for name in tensors)
    return Weights(metadata["name"], digest, skip, dependent, model, y_tables, z_tables, encodes)


def parse_config(text: str) -> tuple[Config, int, int]:
    """The architecture, and the scale indices `skip` and `dependent`. Raises: ValueError, KeyError, TypeError."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("its config is not an object")
    for name, value in values.items():
        width = name in ("C", "M", "N", "D", "low")
        if type(value) is not int or not width <= value <= (WIDTH_MAX if width else BLOCKS_MAX):
            raise ValueError(f"its config has {name} = {value!r}")
    skip, dependent = values.pop("skip"), values.pop("dependent")
    return Config(**values), skip, dependent


def check_size(config: Config, tensors: dict[str, NDArray]) -> None:
    """Refuse an architecture that is not the file's before memory is taken for it. Raises: ValueError, KeyError."""
    there = {"M": "step.t", "D": "h_s.bias.t", "C": "g_s.film_bias.t"}
    if any(tensors[name].shape != (ANCHORS, getattr(config, width)) for width, name in there.items()):
        raise ValueError("its tensors have not the widths of its config")
    if tensors["z.low"].shape != (ANCHORS * config.N,) or config.low > config.M:
        raise ValueError("its tables are not those of its config")


def find(name: str, digest: bytes) -> Path:
    """The model file of that name and hash (its first 8 bytes): in the package, or where FOLDERS says.

    Raises: UnsupportedError where there is none.
    """
    folders = [DEFAULT.parent, *(Path(f) for f in os.environ.get(FOLDERS, "").split(os.pathsep) if f)]
    seen = []
    for path in (p for folder in folders for p in sorted(folder.glob("*.safetensors"))):
        try:
            with safe_open(path, framework="np") as f:
                metadata = f.metadata() or {}
        except (SafetensorError, OSError):
            continue
        if metadata.get("format") == FORMAT:
            there = metadata.get("name", ""), metadata.get("hash", "")[:16]
            if there == (name, digest.hex()):
                return path
            seen.append("{} ({})".format(*there))
    raise UnsupportedError(
        f"needs model {name} ({digest.hex()}); there is {', '.join(seen)}; {FOLDERS} may name folders with others"
    )


def read_tables(tensors: dict[str, NDArray], kind: str, rows: slice) -> Tables:
    """Some rows of a model file's tables. Raises ValueError or KeyError."""
    low, size, stored = (tensors[f"{kind}.{name}"][rows].astype(np.int64) for name in ("low", "size", "frequency"))
    if (low.ndim, size.ndim, stored.ndim) != (1, 1, 2):
        raise ValueError("a table has another shape")
    used = np.arange(stored.shape[1]) < size[:, None]
    return Tables(low, size, np.where(used, stored + 1, 0))


def fill(model: Model, tensors: dict[str, NDArray]) -> None:
    """Put a model file's tensors into the networks.

    Raises: KeyError, ValueError or RuntimeError where they do not fit.
    """

    def get(name: str, dtype: type[np.generic]) -> torch.Tensor:
        if tensors[name].dtype != dtype:
            raise ValueError(f"tensor {name} is of {tensors[name].dtype}")
        return torch.from_numpy(np.ascontiguousarray(tensors[name]))

    for path, module in model.named_modules():
        if isinstance(module, (Linear, Depthwise)) and module.limit is not None:
            w, b, k = (get(f"{path}.{name}", of) for name, of in (("w", np.int16), ("b", np.int32), ("k", np.int8)))
            module.freeze(w, b, k)
        elif isinstance(module, QualityTable) and f"{path}.t" in tensors:
            module.freeze(get(f"{path}.t", np.int16))
    encoder = {k.removeprefix(ENCODER): get(k, np.float16).float() for k in tensors if k.startswith(ENCODER)}
    model.load_state_dict(encoder, strict=False)


def melt(model: Model) -> None:
    """Make a loaded model trainable again: its weights stay, the frozen integers go."""
    for module in model.modules():
        if isinstance(module, (Linear, Depthwise, QualityTable)):
            module.frozen = None
    model.set_grid(False)
    model.train().requires_grad_(True)
