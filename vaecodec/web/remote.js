/** Files behind URLs: read as a whole, or in parts where the server gives parts (HTTP Range). */

import { VaecError } from "./errors.js";

/** @typedef {import("./source.js").Options} Options */
/** @typedef {{start: number, end: number, data: Promise<Uint8Array>}} Piece of the file, or one on its way */

const LEAST = 2 ** 14; // bytes of a request: fewer take about as long

/** A file behind a URL. What has been read is kept, so that parts beside and within each other cost nothing again. */
export class Remote {
  /**
   * @param {string} url
   * @param {Options} defaults
   */
  constructor(url, defaults) {
    this.url = url;
    this.name = url.length > 100 ? `${url.slice(0, 97)}...` : url; // one of data: may be long
    this.defaults = defaults;
    this.size = /** @type {number | undefined} */ (undefined);
    this.whole = /** @type {Promise<Uint8Array> | undefined} */ (undefined);
    this.pieces = /** @type {Piece[]} */ ([]);
    this.received = 0;
    this.version = /** @type {string | null | undefined} */ (undefined);
  }

  /**
   * All of the file; of one that has been read in parts only what is missing.
   * @param {Options} [options]
   */
  async bytes(options = this.defaults) {
    if (!this.whole && this.pieces.length && this.size !== undefined) return this.read(0, this.size, options);
    return this.keepWhole(() => collect(this.chunks(options)));
  }

  /**
   * @param {Options} [options]
   * @returns {AsyncGenerator<Uint8Array>}
   */
  async *chunks(options = this.defaults) {
    if (this.whole) {
      yield await this.whole;
      return;
    }
    const response = await this.request({}, options);
    this.checkVersion(response);
    this.size = sizeOf(response) ?? this.size;
    yield* responseChunks(response, this.name, options);
  }

  /**
   * @param {number} start
   * @param {number} end
   * @param {Options} [options]
   * @returns {Promise<Uint8Array>} shorter where the file ends
   */
  async read(start, end, options = this.defaults) {
    const parts = /** @type {Uint8Array[]} */ ([]);
    for (let at = start; at < Math.min(end, this.size ?? end); ) {
      options.signal?.throwIfAborted();
      if (this.whole) return (await this.whole).subarray(start, end);
      const piece = this.pieces.find((one) => one.start <= at && at < one.end);
      if (piece) {
        // Where the call that has asked for it fails, this one asks itself.
        const data = await piece.data.catch(() => undefined);
        if (!data || this.whole || at >= piece.end) continue; // it may have become less than was asked for
        const part = data.subarray(at - piece.start, Math.min(end - piece.start, data.length));
        if (!part.length) break; // the file ends, though nobody has said its size
        parts.push(part);
        at += part.length;
      } else {
        await this.fetchPiece(at, end, options);
      }
    }
    return joined(parts);
  }

  /**
   * Ask for the bytes from an offset on, up to the next that are there.
   * @param {number} start
   * @param {number} end
   * @param {Options} options
   */
  async fetchPiece(start, end, options) {
    const next = Math.min(...this.pieces.map((one) => one.start).filter((one) => one > start), this.size ?? Infinity);
    const piece = /** @type {Piece} */ ({ start, end: Math.min(Math.max(end, start + LEAST), next) });
    piece.data = this.fetchRange(piece, options);
    this.pieces.push(piece);
    try {
      await piece.data;
    } catch (error) {
      this.pieces = this.pieces.filter((one) => one !== piece);
      throw error;
    }
  }

  /**
   * @param {Piece} piece
   * @param {Options} options
   */
  async fetchRange(piece, options) {
    const { start, end } = piece;
    const response = await this.request({ Range: `bytes=${start}-${end - 1}` }, options, [416]);
    if (response.status === 416) return this.beyond(response);
    this.checkVersion(response);
    if (response.status !== 206) {
      // The server has no parts: this is the whole file, from which all reads are served from now on.
      this.size = sizeOf(response) ?? this.size;
      const all = await this.keepWhole(() => collect(responseChunks(response, this.name, options)));
      return all.subarray(start, end);
    }
    const told = this.checkRange(response, piece);
    const data = await collect(responseChunks(response, this.name, { signal: options.signal }));
    this.received += data.length;
    options.onProgress?.(this.received, this.size);
    if (data.length > end - start || (told !== undefined && data.length !== told)) {
      throw this.failure(`sends ${data.length} bytes where ${told ?? end - start} were asked for`);
    }
    piece.end = data.length < end - start ? start + Math.max(data.length, 1) : end;
    return data;
  }

  /**
   * Check what the server says that it sends; other sites may hide it from a page.
   * @param {Response} response
   * @param {Piece} piece
   * @returns {number | undefined} how many bytes
   */
  checkRange(response, { start, end }) {
    const range = response.headers.get("Content-Range");
    if (range === null) return undefined;
    const [, first, last, size] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range.trim()) ?? [];
    if (Number(first) !== start || Number(last) >= end) throw this.failure("sends another part than was asked for");
    if (size !== "*") {
      if (this.size !== undefined && this.size !== Number(size)) throw this.changed();
      this.size = Number(size);
    }
    return Number(last) + 1 - start;
  }

  /**
   * Nothing is there at the offset.
   * @param {Response} response
   */
  beyond(response) {
    const size = /^bytes \*\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "")?.[1];
    if (this.size !== undefined && size !== undefined && Number(size) !== this.size) throw this.changed();
    if (size !== undefined) this.size = Number(size);
    return new Uint8Array(0);
  }

  /**
   * @param {Record<string, string>} headers
   * @param {Options} options
   * @param {number[]} [others] statuses that are no failure
   */
  async request(headers, { signal }, others = []) {
    let response;
    try {
      response = await fetch(this.url, { headers, signal });
    } catch (error) {
      throw passed(error, signal) ?? new VaecError("network", `${this.name} cannot be fetched: ${reasonOf(error)}`);
    }
    if (!response.ok && !others.includes(response.status)) throw this.failure(`answers ${response.status}`);
    return response;
  }

  /**
   * All answers must be of the same version of the file. (If-Range would tell as well, but asks for more rights on
   * other sites, and an answer of a file that has changed is of no use here.)
   * @param {Response} response
   */
  checkVersion(response) {
    const version = response.headers.get("ETag") ?? response.headers.get("Last-Modified");
    this.version ??= version;
    if (version && this.version !== version) throw this.changed();
  }

  /** @param {() => Promise<Uint8Array>} read */
  async keepWhole(read) {
    this.whole ??= read();
    try {
      const all = await this.whole;
      this.size = all.length;
      this.pieces = [];
      return all;
    } catch (error) {
      this.whole = undefined;
      throw error;
    }
  }

  /** @param {string} what the server does */
  failure(what) {
    return new VaecError("network", `the server ${what}: ${this.name}`);
  }

  changed() {
    return new VaecError("network", `the file has changed while it was read: ${this.name}`);
  }
}

/**
 * The body of a response as it arrives.
 * @param {Response} response
 * @param {string} name
 * @param {Options} options
 */
export async function* responseChunks(response, name, { signal, onProgress }) {
  const total = sizeOf(response);
  const reader = response.body?.getReader();
  if (!reader) return;
  const stop = () => reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener("abort", stop);
  let received = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted(); // a body that is cancelled ends without an error
      if (done) return;
      received += value.length;
      onProgress?.(received, total);
      yield value;
    }
  } catch (error) {
    throw passed(error, signal) ?? new VaecError("network", `${name} ends too early: ${reasonOf(error)}`);
  } finally {
    signal?.removeEventListener("abort", stop);
    stop(); // where the caller wants no more
  }
}

/**
 * The size of the file that is sent, where it is known: not of one that is compressed on the way.
 * @param {Response} response
 */
export function sizeOf(response) {
  const length = response.headers.get("Content-Length");
  const plain = response.status === 200 && !response.headers.get("Content-Encoding");
  return plain && length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
}

/** @param {AsyncIterable<Uint8Array>} chunks */
export async function collect(chunks) {
  const parts = [];
  for await (const part of chunks) parts.push(part);
  return joined(parts);
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  if (parts.length === 1) return parts[0];
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * An error that is the caller's own: of a signal that was aborted, or one of ours.
 * @param {unknown} error
 * @param {AbortSignal | undefined} signal
 */
function passed(error, signal) {
  if (signal?.aborted) return signal.reason;
  return error instanceof VaecError ? error : undefined;
}

/** @param {unknown} error */
function reasonOf(error) {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || error.message : error.message;
}
