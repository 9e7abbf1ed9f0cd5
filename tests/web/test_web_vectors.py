"""The module for browsers decodes and refuses what the specification says, in Node."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import VECTORS
from node import run

from tests.broken_models import changed
from vaecodec.codec import Codec
from vaecodec.model.weights import DEFAULT
from vaecodec.web.packing import packed

RECORD = json.loads((VECTORS / "vectors.json").read_text())
SMALL = VECTORS / "small.safetensors"
CONFORMANCE = (Path(__file__).parent / "conformance.mjs").as_uri()
OUTCOMES = """
const { decode, setup, VaecError } = await load("vaec.js");
const { outcomes } = await import("%s");
const [folder, byModel, options] = args;
const found = {};
for (const [model, names] of Object.entries(byModel)) {
  await setup({ model });
  Object.assign(found, await outcomes({ decode, VaecError }, names, (name) => read(`${folder}/${name}.vaec`), options));
}
answer(found);
"""


def outcomes(folder: Path, by_model: dict[str, list[str]], tmp_path: Path, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = run(OUTCOMES % CONFORMANCE, tmp_path, folder, by_model, options)
    return found


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """Files by name; the package's is packed as it goes over the wire."""
    base = tmp_path / "model.gz"
    base.write_bytes(packed(DEFAULT))
    return {"base": str(base), "small": str(SMALL), "three": str(VECTORS / "three.safetensors")}


@pytest.mark.parametrize("kind", ["valid", "invalid"])
def test_vectors(kind: str, models: dict[str, str], tmp_path: Path) -> None:
    by_model = {
        path: [name for name, facts in RECORD[kind].items() if facts["model"] == model]
        for model, path in models.items()
    }
    found = outcomes(VECTORS / kind, by_model, tmp_path)
    assert found.keys() == RECORD[kind].keys()
    for name, facts in RECORD[kind].items():
        if kind == "valid":
            assert found[name].get("sha256") == facts["sha256"], (name, found[name])
        else:
            assert re.fullmatch(facts["breaks"], found[name].get("rule") or ""), (name, found[name])


def test_regions_and_smaller_pictures_are_those_of_the_package(tmp_path: Path) -> None:
    codec = Codec(SMALL, threads=1)
    names = ["small-tiles-64-200x150", "small-overlay-mixed", "small-overlay-alpha", "small-grey-alpha", "small-alpha"]
    names += ["small-filter-3", "small-progressive-overlays", "small-progressive-grey"]
    for scale in (2, 4, 8):
        found = outcomes(VECTORS / "valid", {str(SMALL): names}, tmp_path, scale=scale)
        for name in names:
            data = (VECTORS / "valid" / f"{name}.vaec").read_bytes()
            pixels = np.ascontiguousarray(codec.decode_scaled(data, scale).pixels)
            assert found[name].get("sha256") == hashlib.sha256(pixels.tobytes()).hexdigest(), (name, scale, found[name])
    for region in ([0, 0, 1, 1], [13, 7, 30, 20], [5, 3, 64, 60]):
        for name in names:
            data = (VECTORS / "valid" / f"{name}.vaec").read_bytes()
            height, width, _ = RECORD["valid"][name]["shape"]
            box = min(region[0], width - 1), min(region[1], height - 1), region[2], region[3]
            left, top = box[:2]
            box = left, top, min(box[2], width - left), min(box[3], height - top)
            pixels = np.ascontiguousarray(codec.decode_region(data, box).pixels)
            found = outcomes(VECTORS / "valid", {str(SMALL): [name]}, tmp_path, region=box)
            assert found[name].get("sha256") == hashlib.sha256(pixels.tobytes()).hexdigest(), (name, box, found[name])


def test_broken_models(tmp_path: Path) -> None:
    script = """
    const { readModel } = await load("modelfile.js");
    const found = {};
    for (const [name, path] of Object.entries(args[0]))
      found[name] = await readModel(read(path)).then(() => "read", (error) => error.rule ?? error.code);
    answer(found);
    """
    broken = json.loads((VECTORS / "models.json").read_text())
    paths = {"whole": SMALL}
    for name, facts in broken.items():
        paths[name] = tmp_path / f"{len(paths)}.safetensors"
        paths[name].write_bytes(changed(SMALL.read_bytes(), facts["changes"]))
    found = run(script, tmp_path, paths)
    assert found.pop("whole") == "read"
    for name, facts in broken.items():
        assert re.fullmatch(facts["breaks"], found[name]), (name, facts["breaks"], found[name])


def test_damaged_files(tmp_path: Path) -> None:
    """Whatever is damaged, there is a picture or a typed error."""
    rng = np.random.default_rng(1)
    folder, names = tmp_path / "damaged", []
    folder.mkdir()
    sources = ["small-tiles-64-200x150", "small-overlay-alpha", "small-progressive-overlays", "small-with-all"]
    for n in range(200):
        data = bytearray((VECTORS / "valid" / f"{sources[n % len(sources)]}.vaec").read_bytes())
        for at in rng.integers(len(data), size=rng.integers(1, 4)):
            data[at] ^= 1 << rng.integers(8)
        names.append(f"{n}")
        (folder / f"{n}.vaec").write_bytes(data[: rng.integers(8, len(data))] if n % 5 == 0 else data)
    strict = outcomes(folder, {str(SMALL): names}, tmp_path)
    partial = outcomes(folder, {str(SMALL): names}, tmp_path, partial=True)
    assert not [(name, fact) for name, fact in (strict | partial).items() if fact.get("code") == "crash"]
    assert sum("sha256" in fact for fact in strict.values()) < 20  # what checksums cannot see
    assert sum("sha256" in fact for fact in partial.values()) > 100
