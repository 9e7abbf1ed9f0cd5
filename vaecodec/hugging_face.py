"""Columns of `.vaec` files in Hugging Face's datasets, and so in their Arrow and Parquet files.

Importing this makes the feature known to `datasets`, and the format to Pillow.
"""
# ruff: noqa: E402 (below what says that it is not installed)

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from vaecodec.api import encode
from vaecodec.bitstream.chunks import SIGNATURE
from vaecodec.codec.defaults import EFFORT, QUALITY
from vaecodec.extras import need
from vaecodec.pillow_plugin import register
from vaecodec.trees import is_vaec

need("datasets", "vaecodec.hugging_face")
import pyarrow as pa
from datasets import Image
from datasets.features.features import register_feature

Stored = dict[str, Any]  # bytes and path, of which one may be None


@dataclass
class VaecImage(Image):  # type: ignore[misc]  # which has no types
    """`datasets.Image` of which `.vaec` files are stored: what comes in is coded, where it is none yet.

    It takes and gives what `datasets.Image` does, and is cast to and from it.

    Args:
        mode: of Pillow, of what is given; by default that of each file. decode: false to get what is stored, a mapping
            with `bytes` and `path`.
        quality, effort: as of `vaecodec.encode`, which says what is raised for a bad picture, too.
    """

    quality: float = QUALITY
    effort: int = EFFORT
    _type: str = field(default="VaecImage", init=False, repr=False)

    def encode_example(self, value: Any) -> Stored:
        """What is stored of a picture."""
        if isinstance(value, (PIL.Image.Image, np.ndarray)):
            return {"bytes": encode(value, self.quality, effort=self.effort), "path": None}
        return self.coded(super().encode_example(value))

    def cast_storage(self, storage: Any) -> Any:
        """What is stored of a column of pictures, as `datasets.Image` stores them, or of files or paths."""
        rows = super().cast_storage(storage).to_pylist()
        return pa.array([row and self.coded(row) for row in rows], self.pa_type)

    def decode_example(self, value: Any, token_per_repo_id: Any = None) -> PIL.Image.Image:
        """The picture, upright. It is no longer a file: datasets would code it again by Pillow's defaults."""
        return super().decode_example(value, token_per_repo_id).copy()

    def coded(self, stored: Stored) -> Stored:
        """The same for one picture. A path of a `.vaec` file stays a path."""
        data, path = stored["bytes"], stored["path"]
        if is_vaec(Path(path or "")) if data is None else data.startswith(SIGNATURE):
            return stored
        if data is None and path is None:
            return stored
        name = path and Path(path).with_suffix(".vaec").name
        return {"bytes": encode(path if data is None else data, self.quality, effort=self.effort), "path": name}


register()
# Without its warning that it is experimental, which is for programmers.
getattr(register_feature, "__wrapped__", register_feature)(VaecImage, "VaecImage")
