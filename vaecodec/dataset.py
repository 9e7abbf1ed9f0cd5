"""`.vaec` files for PyTorch's data loaders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecodec.api import decoded, default_codec, read_info
from vaecodec.arguments import as_path, as_whole
from vaecodec.bitstream.limits import MAX_PIXELS
from vaecodec.errors import VaecError
from vaecodec.extras import need_torch
from vaecodec.remote import Remote
from vaecodec.tensors import as_mode, as_tensor

need_torch("vaecodec.dataset")
from torch.utils.data import Dataset  # noqa: E402 (below what says that it is not installed)

if TYPE_CHECKING:
    from torch import Tensor


class VaecDataset(Dataset[Any]):
    """The pictures of a folder, at any depth, or of a list of files; each as uint8 (C, H, W), C = 1..4.

    Works with any number of loader workers: each process loads the model once, and decodes with one thread. `paths` are
    the files, in the order of their folders and names.

    Args:
        source: a folder, or paths; here, or elsewhere by URLs. transform: what is made of each tensor.
        scale: 1, or 2, 4 or 8 for pictures of that fraction of the size in a fraction of the time.
        mode: as of `decode_vaec`; by default each picture has the channels of its file, and a batch takes but one kind.
        max_size, upright, max_pixels: as of `decode_image`.
        skip_bad: leave out the files that `read_info` refuses. Each is read once for that, as the dataset is made;
            `skipped` has their paths, with the reasons.

    Raises: VaecError where a folder has no `.vaec` file. When a picture is asked for: what `decode` raises, with the
        file's path in the message.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        transform: Callable[[Tensor], Any] | None = None,
        scale: int = 1,
        *,
        mode: str = "UNCHANGED",
        max_size: int | None = None,
        upright: bool = False,
        max_pixels: int | None = MAX_PIXELS,
        skip_bad: bool = False,
    ) -> None:
        self.transform, self.scale, self.mode = transform, as_whole(scale, "scale"), as_mode(mode)
        self.max_size, self.upright, self.max_pixels, self.skip_bad = max_size, upright, max_pixels, skip_bad
        self.skipped: list[tuple[Path, str]] = []
        if isinstance(source, (str, os.PathLike)):
            self.paths = self._sound(in_folder(source))
            if not self.paths:
                raise VaecError(f"there is no {'sound ' if self.skipped else ''}.vaec file in {source}")
        else:
            self.paths = self._sound([as_path(path) for path in source])

    def _sound(self, paths: Sequence[Path]) -> list[Path]:
        """Those that are wanted."""
        faults = {path: fault for path in paths if (fault := fault_of(path))} if self.skip_bad else {}
        self.skipped += faults.items()
        return [path for path in paths if path not in faults]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self._transformed(self.loader(self.paths[index]))

    def _transformed(self, tensor: Tensor) -> Any:
        return tensor if self.transform is None else self.transform(tensor)

    def loader(self, path: str | os.PathLike[str]) -> Tensor:
        """The tensor of a file, before `transform`."""
        codec = default_codec().with_threads(1)
        picture = decoded(codec, path, scale=self.scale, max_size=self.max_size, max_pixels=self.max_pixels)
        return as_tensor((picture.upright() if self.upright else picture).pixels, self.mode)


class VaecFolder(VaecDataset):
    """The pictures of a folder with a folder for each class, and their labels, as torchvision's `ImageFolder`.

    Each item is a tensor (3, H, W) and the number of its class. `classes` are the names of the folders, in order,
    `class_to_idx` their numbers, `samples` (and `imgs`) the paths with the numbers, `targets` the numbers.

    Args:
        root: the folder. transform: what is made of each tensor. target_transform: of each number.
        mode: as of `decode_vaec`; RGB by default.
        allow_empty: whether a class may be without files.
        scale, max_size, upright, max_pixels, skip_bad: as of `VaecDataset`.

    Raises: VaecError where there are no classes, or there is one without files; otherwise as `VaecDataset`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        *,
        scale: int = 1,
        mode: str = "RGB",
        max_size: int | None = None,
        upright: bool = False,
        max_pixels: int | None = MAX_PIXELS,
        skip_bad: bool = False,
        allow_empty: bool = False,
    ) -> None:
        how: dict[str, Any] = {"max_size": max_size, "upright": upright, "max_pixels": max_pixels, "skip_bad": skip_bad}
        super().__init__((), transform, scale, mode=mode, **how)
        self.root, self.target_transform = Path(root).expanduser(), target_transform
        self.classes = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
        if not self.classes:
            raise VaecError(f"there is no folder in {root}, which would be a class")
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self.samples: list[tuple[str, int]] = []
        for name, number in self.class_to_idx.items():
            paths = self._sound(in_folder(self.root / name))
            if not paths and not allow_empty:
                raise VaecError(f"there is no .vaec file for the class {name}")
            self.paths += paths
            self.samples += [(str(path), number) for path in paths]
        self.targets = [number for _, number in self.samples]
        self.imgs = self.samples

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        target: Any = self.targets[index]
        if self.target_transform is not None:
            target = self.target_transform(target)
        return super().__getitem__(index), target


def in_folder(folder: str | os.PathLike[str]) -> list[Path]:
    """All `.vaec` files of a folder, at any depth, in torchvision's order: of each folder first its own files.

    Raises: VaecError where it is none.
    """
    top = as_path(folder).expanduser()
    if not top.is_dir():
        raise VaecError(f"{folder} is no folder")
    if isinstance(top, Remote):
        return sorted(path for path in top.below() if path.suffix.lower() == ".vaec")
    return [
        Path(place, name)
        for place, _, names in sorted(os.walk(top, followlinks=True))
        for name in sorted(names)
        if name.lower().endswith(".vaec")
    ]


def fault_of(path: Path) -> str | None:
    """What is wrong with a file's structure or checksums, if anything is."""
    try:
        read_info(path)
    except (VaecError, OSError) as error:
        return str(error)
    return None
