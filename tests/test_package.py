"""The package from outside: imports, the functions, arrays and PIL images."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vaecodec
from tests.sample_pictures import picture
from vaecodec.errors import VaecError


def modules_after(code: str) -> set[str]:
    """Which modules a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_import_loads_neither_torch_nor_numpy() -> None:
    assert not modules_after("import vaecodec") & {"torch", "numpy", "PIL", "click"}
    assert not modules_after("import vaecodec; vaecodec.read_info") & {"torch", "numpy", "PIL"}
    for name in ("Codec", "encode", "decode_batch", "decode_vaec", "vaec_encode"):
        assert "torch" not in modules_after(f"import vaecodec; vaecodec.{name}")


@pytest.mark.parametrize(
    ("module", "package"), [("hugging_face", "datasets"), ("zarr.v2", "numcodecs"), ("zarr.v3", "zarr")]
)
def test_packages_of_others_that_are_missing(monkeypatch: pytest.MonkeyPatch, module: str, package: str) -> None:
    monkeypatch.setattr("vaecodec.extras.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, f"vaecodec.{module}", raising=False)
    with pytest.raises(VaecError, match=f"^vaecodec.{module} needs {package}, .* pip install {package}$"):
        importlib.import_module(f"vaecodec.{module}")


def test_all_names_exist() -> None:
    for name in vaecodec.__all__:
        assert getattr(vaecodec, name) is not None
    with pytest.raises(AttributeError):
        vaecodec.nothing  # noqa: B018


def test_functions_round_trip() -> None:
    pixels = picture(48, 64)
    data = vaecodec.encode(pixels, quality=90, exif=b"MM\0*")
    decoded = vaecodec.decode(data)
    assert decoded.shape == pixels.shape and decoded.dtype == np.uint8
    info = vaecodec.read_info(data)
    assert (info.width, info.height, info.colour, info.quality) == (64, 48, "RGB", 90)
    assert info.size == len(data) == sum(info.parts.values())
    assert info.parts["exif"] == 4
    assert info.bpp == pytest.approx(len(data) * 8 / (48 * 64))


def test_arrays_of_all_shapes() -> None:
    grey = picture(20, 30, 1)
    assert vaecodec.decode(vaecodec.encode(grey[..., 0])).shape == (20, 30, 1)
    deep = picture(20, 30, 3).astype(np.uint16) * 257
    np.testing.assert_array_equal(
        vaecodec.decode(vaecodec.encode(deep)), vaecodec.decode(vaecodec.encode(picture(20, 30)))
    )


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 2, 5), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 2, 3), np.uint8), np.ones((2, 2, 3), "i4")],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(VaecError):
        vaecodec.encode(array)


def test_pil_images_keep_their_metadata() -> None:
    image = Image.fromarray(picture(40, 50))
    image.info["icc_profile"] = b"profile"
    assert vaecodec.read_info(vaecodec.encode(image)).parts["icc"] == 7
    assert vaecodec.read_info(vaecodec.encode(image, icc_profile=b"")).parts["icc"] == 0


def test_decode_limits_pixels() -> None:
    data = vaecodec.encode(picture(10, 10))
    with pytest.raises(vaecodec.LimitError):
        vaecodec.decode(data, max_pixels=99)


def test_the_library_does_not_print(capfd: pytest.CaptureFixture[str]) -> None:
    vaecodec.decode(vaecodec.encode(picture(30, 30)))
    assert capfd.readouterr() == ("", "")
