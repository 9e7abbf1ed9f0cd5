"""The package for npm: packed, installed by a project that Vite builds, and shown in a browser; and in Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import browsing, coded, quiet

from tests.browser import needed
from vaecodec.codec import Codec
from vaecodec.version import __version__
from vaecodec.web.site import HERE, Site

ROOT = HERE.parents[1]
PROJECT = {
    "package.json": json.dumps({"name": "consumer", "private": True, "type": "module"}),
    "index.html": """<!doctype html><html lang="en"><meta charset="utf-8"><title>Consumer</title>
        <link rel="icon" href="/icon.svg"><script type="module" src="/main.js"></script>
        <img id="a" src="./photo.vaec" alt=""><canvas id="b"></canvas>""",
    "main.js": """
        import "vaecodec/img";
        import { decode } from "vaecodec";
        import photo from "./assets/photo.vaec?url";
        const { data, width, height } = await decode(photo);
        const canvas = Object.assign(document.getElementById("b"), { width, height });
        canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
        window.pixels = [...data];
        canvas.dataset.done = "";
        """,
    "vite.config.js": """
        export default {
          base: "./",
          build: { target: "esnext", assetsInlineLimit: 0 },
          worker: { format: "es" },
          assetsInclude: ["**/*.vaec"],
        };
        """,
}


Packed = tuple[Path, dict[str, Any]]


def npm(*arguments: str, folder: Path) -> str:
    """Its stdout. The script that packs finds this checkout's Python."""
    paths = [os.path.dirname(sys.executable), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}
    command = [needed("npm"), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """The archive, and what npm says of it. It is made of a copy: packing writes the model beside the modules."""
    folder = tmp_path_factory.mktemp("pack")
    shutil.copytree(HERE, folder / "web", ignore=shutil.ignore_patterns("__pycache__", "model.gz"))
    [facts] = json.loads(npm("pack", "--json", folder=folder / "web"))
    return folder / "web" / facts["filename"], facts


def test_what_is_packed(packed: Packed) -> None:
    archive, facts = packed
    assert (facts["name"], facts["version"]) == ("vaecodec", __version__)
    names = {file["path"] for file in facts["files"]}
    assert {"vaec.js", "vaec.d.ts", "vaec.wasm", "model.gz", "worker.js", "img.js", "img.d.ts"} <= names
    assert {"service-worker.js", "viewer/index.html", "viewer/viewer.js", "viewer/viewer.css"} <= names
    assert {name for name in names if name.endswith((".py", ".pyc", ".c", ".h"))} == set()
    assert archive.stat().st_size < 4e6


def test_a_project_built_by_vite(packed: Packed, shipped: Codec, clean: np.ndarray, tmp_path: Path) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for folder in ("assets", "public"):
        (tmp_path / folder).mkdir()
    pixels = coded(shipped, tmp_path / "public" / "photo.vaec", clean)
    shutil.copy(tmp_path / "public" / "photo.vaec", tmp_path / "assets")
    shutil.copy(HERE / "viewer" / "icon.svg", tmp_path / "public")
    npm("install", "--no-audit", "--no-fund", str(packed[0]), "vite@8", folder=tmp_path)
    npm("exec", "--", "vite", "build", folder=tmp_path)
    built = tmp_path / "dist"
    site: Site = {path.relative_to(built).as_posix(): path for path in built.rglob("*") if path.is_file()}
    with browsing(site, tmp_path / "profile") as web, quiet(web):
        web.get("index.html")
        web.wait("document.getElementById('a').naturalWidth > 0 && 'done' in document.getElementById('b').dataset")
        assert web.run("return window.pixels") == pixels.ravel().tolist()
        assert web.run("const a = document.getElementById('a'); return [a.naturalWidth, a.naturalHeight]") == [192, 160]
        assert web.run("return performance.getEntriesByType('resource').some(({ name }) => /worker/.test(name))")


def test_a_project_in_node(packed: Packed, shipped: Codec, clean: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(PROJECT["package.json"])
    npm("install", "--no-audit", "--no-fund", str(packed[0]), folder=tmp_path)
    pixels = coded(shipped, tmp_path / "photo.vaec", clean)
    script = """
        import { decode } from "vaecodec";
        const { data } = await decode("photo.vaec");
        process.stdout.write(data);
        """
    command = [needed("node"), "--input-type=module", "--eval", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == pixels.tobytes()
