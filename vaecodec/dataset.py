"""`.vaec` files for PyTorch's data loaders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vaecodec.codec.codec import Codec
from vaecodec.errors import VaecError


class VaecDataset(Dataset[Any]):
    """The pictures of a folder, at any depth, or of a list of files; each as uint8 (C, H, W), C = 1..4.

    Works with any number of loader workers: each process loads the model once, and decodes with one thread.

    Args:
        source: a folder, or paths. transform: what is made of each tensor.
        scale: 1, or 2, 4 or 8 for pictures of that fraction of the size in a fraction of the time.

    Raises: VaecError where a folder has no `.vaec` file; what `Codec.decode` does when a picture is asked for.
    """

    def __init__(
        self,
        source: str | Path | Sequence[str | Path],
        transform: Callable[[Tensor], Any] | None = None,
        scale: int = 1,
    ) -> None:
        if isinstance(source, (str, Path)):
            self.paths = sorted(Path(source).rglob("*.vaec"))
            if not self.paths:
                raise VaecError(f"there is no .vaec file in {source}")
        else:
            self.paths = [Path(path) for path in source]
        self.transform, self.scale = transform, scale
        self._codec: Codec | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        if self._codec is None:
            self._codec = Codec(threads=1)
        data = self.paths[index].read_bytes()
        picture = self._codec.decode(data) if self.scale == 1 else self._codec.decode_scaled(data, self.scale)
        tensor = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()
        return tensor if self.transform is None else self.transform(tensor)

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which every process loads for itself."""
        return {**self.__dict__, "_codec": None}
