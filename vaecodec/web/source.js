/** Where the bytes of a file come from: memory, a Blob, a Response, a URL, in Node a path. All in one shape. */

import { VaecError } from "./errors.js";
import { Remote, collect, responseChunks, sizeOf } from "./remote.js";

/**
 * What goes for one call; by default what `sourceOf` was given.
 * @typedef {object} Options
 * @property {AbortSignal} [signal]
 * @property {(received: number, total?: number) => void} [onProgress] bytes so far, and of how many where it is known
 */

/**
 * @typedef {object} Bytes
 * @property {number} [size] of the file; of a URL known once something has been read, and where the server says it
 * @property {(options?: Options) => Promise<Uint8Array>} bytes all of the file
 * @property {(start: number, end: number, options?: Options) => Promise<Uint8Array>} read a part; less of it where the
 *   file ends
 * @property {(options?: Options) => AsyncIterable<Uint8Array>} chunks all of the file, piece by piece as it arrives
 */

const STEP = 2 ** 18; // bytes of a file that are read at a time

/**
 * Nothing is fetched yet, but that a path is looked up.
 * @param {import("./vaec.d.ts").Source} source
 * @param {Options} [options]
 * @returns {Promise<Bytes>}
 */
export async function sourceOf(source, options = {}) {
  options.signal?.throwIfAborted();
  const given = /** @type {any} */ (source);
  if (ArrayBuffer.isView(given)) {
    return inMemory(new Uint8Array(given.buffer, given.byteOffset, given.byteLength), options);
  }
  // By name: a class of another window is another class.
  switch (Object.prototype.toString.call(given).slice(8, -1)) {
    case "ArrayBuffer":
    case "SharedArrayBuffer":
      return inMemory(new Uint8Array(given), options);
    case "Blob":
    case "File":
      return ofBlob(given, options);
    case "Response":
      return ofResponse(given, options);
    case "URL":
    case "String":
      return isPath(String(given)) ? ofPath(given, options) : new Remote(String(given), options);
    default:
      throw new VaecError("argument", "a source is bytes, a Blob, a Response, a URL or a path");
  }
}

/**
 * In Node all but URLs are paths; a scheme has two letters, or it is a drive of Windows.
 * @param {string} text
 */
function isPath(text) {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1].toLowerCase();
  return Boolean(globalThis.process?.versions?.node) && (!scheme || scheme === "file");
}

/**
 * @param {Uint8Array} data
 * @param {Options} defaults
 * @returns {Bytes}
 */
function inMemory(data, defaults) {
  const bytes = async (/** @type {Options} */ options = defaults) => {
    options.signal?.throwIfAborted();
    options.onProgress?.(data.length, data.length);
    return data;
  };
  return {
    size: data.length,
    bytes,
    read: async (start, end) => data.subarray(start, end),
    chunks: (options) => once(() => bytes(options)),
  };
}

/** @param {() => Promise<Uint8Array>} read */
async function* once(read) {
  yield await read();
}

/**
 * What can be read in parts.
 * @param {number} size
 * @param {(start: number, end: number) => Promise<Uint8Array>} read of offsets within the size
 * @param {Options} defaults
 * @returns {Bytes}
 */
function inParts(size, read, defaults) {
  async function* chunks(/** @type {Options} */ { signal, onProgress } = defaults) {
    for (let at = 0; at < size; at += STEP) {
      signal?.throwIfAborted();
      const end = Math.min(at + STEP, size);
      const part = await read(at, end);
      onProgress?.(end, size);
      yield part;
    }
  }
  const bytes = async (/** @type {Options} */ { signal, onProgress } = defaults) => {
    signal?.throwIfAborted();
    const data = await read(0, size);
    signal?.throwIfAborted();
    onProgress?.(size, size);
    return data;
  };
  const some = async (/** @type {number} */ start, /** @type {number} */ end, { signal } = defaults) => {
    signal?.throwIfAborted();
    return read(Math.min(start, size), Math.min(end, size));
  };
  return { size, bytes, read: some, chunks };
}

/**
 * @param {Blob} blob
 * @param {Options} defaults
 */
function ofBlob(blob, defaults) {
  const read = async (/** @type {number} */ start, /** @type {number} */ end) => {
    try {
      return new Uint8Array(await blob.slice(start, end).arrayBuffer());
    } catch (error) {
      throw new VaecError("network", `the file cannot be read: ${reasonOf(error)}`);
    }
  };
  return inParts(blob.size, read, defaults);
}

/**
 * What is left of the body of a response, which can be read once: the first call takes all of it.
 * @param {Response} response
 * @param {Options} defaults
 * @returns {Bytes}
 */
function ofResponse(response, defaults) {
  if (!response.ok) throw new VaecError("network", `the response has the status ${response.status}`);
  if (response.bodyUsed) throw new VaecError("argument", "the body of the response has been read before");
  let whole = /** @type {Promise<Uint8Array> | undefined} */ (undefined);
  const bytes = (/** @type {Options} */ options = defaults) =>
    (whole ??= collect(responseChunks(response, "the response", options)));
  return {
    size: sizeOf(response),
    bytes,
    read: async (start, end, options) => (await bytes(options)).subarray(start, end),
    chunks: (options = defaults) =>
      whole ? once(() => bytes(options)) : responseChunks(response, "the response", options),
  };
}

/**
 * A file of Node's. It is opened for each read: so nobody has to close it.
 * @param {string | URL} path or file: URL
 * @param {Options} defaults
 */
async function ofPath(path, defaults) {
  // In two pieces, for bundlers not to look for it.
  const files = await import(/* webpackIgnore: true */ /* @vite-ignore */ ["node:fs", "promises"].join("/"));
  const place = /^file:/i.test(String(path)) ? new URL(path) : path;
  const told = async (/** @type {() => Promise<any>} */ ask) => {
    try {
      return await ask();
    } catch (error) {
      throw new VaecError("network", `${path} cannot be read: ${reasonOf(error)}`);
    }
  };
  const status = await told(() => files.stat(place));
  if (!status.isFile()) throw new VaecError("network", `${path} is not a file`);
  /** @param {number} start @param {number} end */
  const read = (start, end) => told(() => readPart(files, place, start, end));
  return inParts(status.size, read, defaults);
}

/**
 * @param {any} files the module of Node
 * @param {string | URL} place
 * @param {number} start
 * @param {number} end
 */
async function readPart(files, place, start, end) {
  const handle = await files.open(place);
  try {
    const data = new Uint8Array(end - start);
    let at = 0;
    while (at < data.length) {
      const { bytesRead } = await handle.read(data, at, data.length - at, start + at);
      if (!bytesRead) break; // it has become shorter
      at += bytesRead;
    }
    return data.subarray(0, at);
  } finally {
    await handle.close();
  }
}

/** @param {unknown} error */
function reasonOf(error) {
  return error instanceof Error ? error.message : String(error);
}
