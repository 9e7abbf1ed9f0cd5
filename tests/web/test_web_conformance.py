"""The module in a browser, in its workers: every valid vector's pixels, every invalid one's rule, and no crash."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import VECTORS
from tests.web.served import Web, browsing, quiet
from vaecodec.web.site import parts

RECORD = json.loads((VECTORS / "vectors.json").read_text())
HERE = Path(__file__).parent
MODULE = b"""
import { decode, setup, VaecError } from "./vaec/vaec.js";
import { outcomes } from "./conformance.js";
const load = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
window.outcomesOf = async (model, names, options) => {
  await setup({ model });
  return outcomes({ decode, VaecError }, names, load, options);
};
"""
WORKER = b"""
import { decode, setup, VaecError } from "./vaec/vaec.js";
import { outcomes } from "./conformance.js";
self.onmessage = async ({ data: { model, name, options } }) => {
  await setup({ model });
  const load = async () => fetch(name);
  self.postMessage(await outcomes({ decode, VaecError }, [name], load, options));
};
"""
IN_A_WORKER = """
const [model, name, options, done] = arguments;
const worker = new Worker("worker.js", { type: "module" });
worker.onmessage = ({ data }) => (worker.terminate(), done(data));
worker.onerror = (event) => done(String(event.message));
worker.postMessage({ model: new URL(model, location.href).href, name: new URL(name, location.href).href, options });
"""
CALL = """
const [model, names, options, done] = arguments;
outcomesOf(model, names, options).then(done, (error) => done(String(error)));
"""
DAMAGED = ("small-tiles-64-200x150", "small-overlay-alpha", "small-progressive-overlays", "small-with-all")


def damaged() -> dict[str, bytes]:
    """200 files: bits turned, and some cut off."""
    rng, found = np.random.default_rng(2), {}
    for n in range(200):
        data = bytearray((VECTORS / "valid" / f"{DAMAGED[n % len(DAMAGED)]}.vaec").read_bytes())
        for at in rng.integers(len(data), size=rng.integers(1, 4)):
            data[at] ^= 1 << rng.integers(8)
        found[f"damaged/{n}.vaec"] = bytes(data[: rng.integers(8, len(data))] if n % 5 == 0 else data)
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    site = parts() | {
        f"{kind}/{name}.vaec": VECTORS / kind / f"{name}.vaec" for kind in RECORD for name in RECORD[kind]
    }
    site |= {f"{kind}.gz": VECTORS / f"{kind}.safetensors" for kind in ("small", "three")}
    site |= {"conformance.js": HERE / "conformance.mjs", "module.js": MODULE}
    site["worker.js"] = WORKER
    site |= damaged()
    site["index.html"] = b'<!doctype html><title>Conformance</title><script type="module" src="module.js"></script>'
    with browsing(site, tmp_path_factory.mktemp("profile")) as web:
        web.driver.set_script_timeout(300)
        web.get("index.html")
        web.wait("window.outcomesOf !== undefined")
        yield web


@pytest.fixture
def web(browser: Web) -> Iterator[Web]:
    with quiet(browser) as web:
        yield web


def outcomes(web: Web, model: str, names: list[str], **options: Any) -> dict[str, Any]:
    found = web.driver.execute_async_script(CALL, model, names, {"workers": 2} | options)
    assert isinstance(found, dict), found
    return found


@pytest.mark.parametrize("model", ["vaec/model.gz", "small.gz", "three.gz"])
def test_vectors(web: Web, model: str) -> None:
    kind_of = {"base": "vaec/model.gz", "small": "small.gz", "three": "three.gz"}
    for kind, record in RECORD.items():
        names = {f"{kind}/{name}.vaec": facts for name, facts in record.items() if kind_of[facts["model"]] == model}
        found = outcomes(web, model, list(names))
        for name, facts in names.items():
            if kind == "valid":
                assert found[name].get("sha256") == facts["sha256"], (name, found[name])
            else:
                assert re.fullmatch(facts["breaks"], found[name].get("rule") or ""), (name, found[name])


def test_damaged_files(web: Web) -> None:
    """There is a picture or a typed error, and the workers go on."""
    names = list(damaged())
    for options in ({}, {"partial": True}):
        found = outcomes(web, "small.gz", names, **options)
        assert not [(name, fact) for name, fact in found.items() if fact.get("code") == "crash"]
    whole = "valid/small-alpha.vaec"
    assert outcomes(web, "small.gz", [whole])[whole]["sha256"] == RECORD["valid"]["small-alpha"]["sha256"]


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_worker(web: Web, workers: int) -> None:
    name = "valid/small-tiles-64-200x150.vaec"
    found = web.driver.execute_async_script(IN_A_WORKER, "small.gz", name, {"workers": workers})
    assert [fact.get("sha256") for fact in found.values()] == [RECORD["valid"][Path(name).stem]["sha256"]], found
