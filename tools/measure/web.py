"""Speed and size of the decoder for browsers: python -m tools.measure.web [PICTURES...] [--repeats N]

In one run, by turns: the native core on one thread by the plain kernel, by AVX2 and by the best there is; the module in
Node, on one thread; and in headless Chromium with one worker and with two. The pictures are the first one, and a
4000x3000 mosaic of all of them, which the plain kernel is left out of: it takes minutes. Times of the core and of Node
are medians of processor seconds, those of Chromium of seconds on the clock. Then the first picture on a page whose
cache is empty, and what is transferred. Needs Node, Chromium with its driver, and the extra `browser`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tools.measure.speed import LARGE, SAMPLE, load, mosaic
from vaecodec.bench.environment import processor
from vaecodec.codec import Codec
from vaecodec.core.networks import KERNEL, kernels
from vaecodec.web.site import HERE, parts, write

ROOT = Path(__file__).resolve().parents[2]
PLAIN = "plain"
NATIVE = """
import sys, time
from pathlib import Path
from vaecodec.codec import Codec
codec, data = Codec(threads=1), Path(sys.argv[1]).read_bytes()
codec.decode(data)
start = time.process_time()
codec.decode(data)
print(time.process_time() - start)
"""
NODE = """
import { readFileSync } from "node:fs";
const [module, path] = process.argv.slice(1);
const { decode } = await import(module);
const data = readFileSync(path);
for (let i = 0; i < 3; i++) await decode(data); // until the engine has compiled its best
const start = process.cpuUsage();
await decode(data);
const { user, system } = process.cpuUsage(start);
console.log((user + system) / 1e6);
"""
PAGE = '<!doctype html><title>measured</title><script type="module" src="measure.js"></script>'
SCRIPT = """
import { decode } from "./vaec/vaec.js";
globalThis.first = async (url, workers) => {
  const start = performance.now();
  await decode(await fetch(url), { workers });
  return (performance.now() - start) / 1000;
};
globalThis.warm = async (url, workers) => {
  const data = new Uint8Array(await (await fetch(url)).arrayBuffer());
  await decode(data, { workers });
  const start = performance.now();
  await decode(data, { workers });
  return (performance.now() - start) / 1000;
};
globalThis.ready = true;
"""

CALL = """
const [name, words, done] = arguments;
globalThis[name](...words).then(done, (error) => done(String(error)));
"""


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="*", default=[SAMPLE])
    p.add_argument("--quality", type=float, default=75)
    p.add_argument("--repeats", type=int, default=5)
    return p.parse_args()


def run(*command: str | Path, **environment: str) -> float:
    """The number that a command prints."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def page(url: str) -> Iterator[Callable[..., float]]:
    """Calls a function of the page in a browser that has never seen it."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_script_timeout(300)
    try:
        driver.get(url + "/measure.html")
        WebDriverWait(driver, 30).until(lambda d: d.execute_script("return globalThis.ready"))

        def call(name: str, *words: Any) -> float:
            found = driver.execute_async_script(CALL, name, words)
            if not isinstance(found, (int, float)):
                raise RuntimeError(found)
            return float(found)

        yield call
    finally:
        driver.quit()


def jobs(folder: Path, name: str, call: Callable[..., float], large: bool) -> dict[str, Callable[[], float]]:
    """What is measured of a file, by name."""
    path = folder / name
    found: dict[str, Callable[[], float]] = {}
    for kernel in dict.fromkeys((PLAIN, "avx2", list(kernels())[-1])):
        if kernel in kernels() and not (large and kernel == PLAIN):
            found[f"native core, {kernel}"] = partial(run, sys.executable, "-c", NATIVE, path, **{KERNEL: kernel})
    node = "node", "--input-type=module", "--eval", NODE, (HERE / "vaec.js").as_uri(), path
    found["Node"] = partial(run, *node)
    found["Chromium, 1 worker"] = partial(call, "warm", name, 1)
    found["Chromium, 2 workers"] = partial(call, "warm", name, 2)
    return found


def medians(work: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, job in work.items():
            times[name].append(job())
    return {name: statistics.median(values) for name, values in times.items()}


def transferred() -> Iterator[str]:
    """Bytes of what a page loads, the module and the WebAssembly as gzip makes them."""
    page_only = ("vaec/img.js", "vaec/service-worker.js", "vaec/viewer/")
    site = {name: content for name, content in parts().items() if not name.startswith(page_only)}
    data = {name: content if isinstance(content, bytes) else content.read_bytes() for name, content in site.items()}
    model = data.pop("vaec/model.gz")
    sizes = [len(gzip.compress(content, 9)) for content in data.values()]
    yield f"module and WebAssembly, gzip: {sum(sizes):,} bytes in {len(sizes)} files"
    yield f"model.gz: {len(model):,} bytes"


def main() -> None:
    args = arguments()
    print(f"{processor()}; {json.dumps([p.name for p in args.pictures])}, quality {args.quality:g}\n")
    pictures = [load(path) for path in args.pictures]
    codec = Codec()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, x in (("first.vaec", pictures[0]), ("large.vaec", mosaic(pictures, *LARGE))):
            (folder / file).write_bytes(codec.encode(x, args.quality))
        write(folder, [], force=False)
        (folder / "measure.html").write_text(PAGE)
        (folder / "measure.js").write_text(SCRIPT)
        with served(folder) as url:
            firsts = []
            for _ in range(args.repeats):
                with page(url) as call:
                    firsts.append(call("first", "first.vaec", 2))
            print(f"first picture, empty cache, 2 workers: {statistics.median(firsts):.2f} s\n")
            with page(url) as call:
                for file, large in (("first.vaec", False), ("large.vaec", True)):
                    times = medians(jobs(folder, file, call, large), 1 + args.repeats // 2 if large else args.repeats)
                    print("| " + file + " | seconds | against Node |\n| --- | ---: | ---: |")
                    for what, seconds in times.items():
                        print(f"| {what} | {seconds:.2f} | {seconds / times['Node']:.2f} |")
                    print()
    print(*transferred(), sep="\n")


if __name__ == "__main__":
    main()
