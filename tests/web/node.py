"""Runs JavaScript with the modules of `vaecodec/web` in Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).resolve().parents[2] / "vaecodec" / "web"
BEGIN = """
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
const load = (name) => import(`%s/${name}`);
const read = (path) => new Uint8Array(readFileSync(path));
const [given, target] = process.argv.slice(1);
const args = JSON.parse(readFileSync(given, "utf8"));
const answer = (value) => writeFileSync(target, JSON.stringify(value));
"""


def run(script: str, folder: Path, *args: Any, timeout: float = 120) -> Any:
    """What a module gives to `answer`; it finds `args`, and modules of the package by `await load(NAME)`.

    Paths among the arguments are given as text. folder: for files in between. Fails where the module writes anything.
    """
    node = shutil.which("node")
    if node is None and not os.environ.get("VAECODEC_NEED_BROWSER"):  # CI has one
        pytest.skip("needs Node")
    given, target = folder / "given.json", folder / "answer.json"
    given.write_text(json.dumps(args, default=str), encoding="utf-8")
    target.unlink(missing_ok=True)
    command = [node or "node", "--input-type=module", "--eval", BEGIN % WEB.as_uri() + script, given, target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stdout + done.stderr
    return json.loads(target.read_text(encoding="utf-8"))
