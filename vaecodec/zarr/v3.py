"""The codec of zarr-python, for arrays in Zarr's format 3."""
# ruff: noqa: E402 (below what says that it is not installed)

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vaecodec.codec.defaults import EFFORT, QUALITY
from vaecodec.extras import need
from vaecodec.zarr import chunks

need("zarr", "vaecodec.zarr.v3")
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.common import parse_named_configuration

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


@dataclass(frozen=True)
class VaecCodec(ArrayBytesCodec):
    """Lossy, for chunks that are pictures: uint8 (H, W) or (H, W, 3), with or without axes of 1 ahead.

    Args: quality: 0..100. effort: 1..9. Raises: VaecError for others; for arrays of other types as they are made, and
    for chunks of other shapes as they are written.
    """

    is_fixed_size = False

    quality: float = QUALITY
    effort: int = EFFORT

    def __post_init__(self) -> None:
        self.coding  # noqa: B018 (checks them)

    @property
    def coding(self) -> chunks.Coding:
        return chunks.Coding(self.quality, self.effort)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VaecCodec:
        """As it stands in an array's zarr.json."""
        configuration: Any = parse_named_configuration(data, "vaec", require_configuration=False)[1]
        return cls(**configuration or {})

    def to_dict(self) -> dict[str, Any]:
        return {"name": "vaec", "configuration": asdict(self)}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raises: VaecError for other types. The shape can be told only behind filters such as `transpose`."""
        chunks.check_type(dtype.to_native_dtype())

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError  # it depends on the picture

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        coded = await asyncio.to_thread(self.coding.encode, chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(coded)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        pixels = await asyncio.to_thread(chunks.decode, chunk_data.to_bytes(), chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(pixels)
