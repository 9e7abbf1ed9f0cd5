/** What decoding needs besides the file: the WebAssembly and the model, fetched once, and the engines made of them. */

import { VaecError } from "./errors.js";
import { Here, Pool } from "./pool.js";

const KEPT = "vaecodec"; // the name of the cache
const MOST_WORKERS = 8;
const inNode = typeof process !== "undefined" && Boolean(process.versions?.node) && typeof document === "undefined";

const where = {
  wasm: new URL("./vaec.wasm", import.meta.url),
  model: new URL("./model.gz", import.meta.url),
  cache: true,
};
/** @type {Map<number, Promise<Here | Pool>>} by number of workers; 0: on this thread */
const made = new Map();
let wasm, model;

/** Say where the parts are; those of before are forgotten. */
export function place({ wasm: module, model: file, cache }) {
  if (module) where.wasm = absolute(module);
  if (file) where.model = absolute(file);
  if (cache !== undefined) where.cache = cache;
  if (module || file) {
    for (const engines of made.values()) engines.then((them) => them.end(), () => {});
    made.clear();
    wasm = model = undefined;
  }
}

const absolute = (url) => new URL(url, globalThis.location?.href ?? `file://${globalThis.process?.cwd()}/`);

/** @param {number} [workers] by default as many as the machine has use for */
export function engines(workers) {
  const can = typeof Worker !== "undefined" && !inNode;
  const count = !can ? 0 : Math.min(workers ?? globalThis.navigator?.hardwareConcurrency ?? 1, MOST_WORKERS);
  if (!made.has(count)) {
    const making = make(count);
    made.set(count, making);
    making.catch(() => made.delete(count)); // another try may do better
  }
  return made.get(count);
}

async function make(count) {
  wasm ??= fetched(where.wasm, false).then(({ bytes }) => WebAssembly.compile(bytes));
  model ??= fetched(where.model, where.cache);
  try {
    const [module, file] = await Promise.all([wasm, model]);
    try {
      return await start(module, file.bytes, count);
    } catch (error) {
      if (!file.kept || error.code !== "unsupported") throw error;
      await globalThis.caches.delete(KEPT); // what was kept is of another version, or was cut off
      model = fetched(where.model, where.cache);
      return await start(module, (await model).bytes, count);
    }
  } catch (error) {
    wasm = model = undefined;
    throw error;
  }
}

async function start(module, bytes, count) {
  if (count === 0) return Here.create(module, bytes);
  try {
    return await Pool.create(module, bytes, count);
  } catch (error) {
    if (error.code !== "network") throw error;
    return Here.create(module, bytes); // no workers here: slower, and it works
  }
}

/** The bytes of a file, and whether they come from the cache. */
async function fetched(url, keep) {
  if (inNode && url.protocol === "file:") return { bytes: await readLocal(url), kept: false };
  const cache = keep ? await globalThis.caches?.open(KEPT).catch(() => undefined) : undefined;
  const there = await cache?.match(url);
  if (there) return { bytes: new Uint8Array(await there.arrayBuffer()), kept: true };
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) throw new VaecError("network", `${url.pathname} cannot be fetched`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  await cache?.put(url, new Response(bytes)).catch(() => {}); // the disk may be full
  return { bytes, kept: false };
}

/** In a checkout the model is among the Python package's. */
async function readLocal(url) {
  const module = "node:fs/promises"; // not for bundlers
  const { readFile } = await import(/* @vite-ignore */ module);
  try {
    return await readFile(url).catch(() => readFile(new URL("../weights/base.safetensors", url)));
  } catch {
    throw new VaecError("network", `${url.pathname} cannot be read`);
  }
}
