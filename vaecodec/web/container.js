/**
 * The container (sections 1 to 4): which chunks a file has, in which order, and what they hold. Nothing is decoded, and
 * nothing allocated but views of the file and small objects.
 */

import { OVERHEAD, checkSignature, chunkAt, crc32, typeAt, u32, varint } from "./chunks.js";
import { corrupt } from "./errors.js";
import { checkHeader, readHeader } from "./header.js";
import { Order, TILES, ancillary, kindsOf, tileNumber } from "./order.js";
import { recover } from "./recovery.js";
import { readTile } from "./sections.js";

export { needModel, tileBox } from "./header.js";
export { missingTile } from "./sections.js";

/** @typedef {import("./header.js").Header} Header */
/** @typedef {import("./sections.js").Tile} Tile */
/** @typedef {import("./chunks.js").Chunk} Chunk */
/** @typedef {import("./vaec.d.ts").Metadata} Metadata */

/**
 * A file that was parsed.
 * @typedef {object} File
 * @property {number} size in bytes
 * @property {Header} header
 * @property {Metadata} metadata
 * @property {Uint8Array} [preview] a whole WebP or JPEG file
 * @property {boolean} indexed
 * @property {Tile[]} tiles
 */

/**
 * The structure of a file, every rule checked that needs no decoding.
 *
 * partial: of a file that is damaged or has not come as a whole: every tile, or part of one, that is whole; others are
 * `missing`. Once the header is good, nothing is an error but a critical chunk that is not known, and the limit.
 * size: of all of the file, where more is known to come; only with `partial`.
 * @param {Uint8Array} bytes
 * @param {{maxPixels?: number, partial?: boolean, size?: number}} [options]
 * @returns {File}
 */
export function parse(bytes, { maxPixels, partial = false, size } = {}) {
  if (partial) return recover(bytes, { maxPixels, size });
  checkSignature(bytes);
  let chunk = chunkAt(bytes, 8);
  const header = headOf(chunk);
  checkHeader(header, bytes.length, maxPixels);
  const order = new Order(header);
  const parts = /** @type {Uint8Array[][]} */ ([]);
  const lengths = [];
  while (chunk.end < bytes.length) {
    chunk = chunkAt(bytes, chunk.end);
    order.check(chunk.type, chunk.data);
    if (!TILES.has(chunk.type)) continue;
    const [number, at] = order.number(chunk.data);
    lengths.push(chunk.data.length);
    (parts[number] ??= []).push(chunk.data.subarray(at));
  }
  if (!order.complete) throw corrupt("F3", "the file ends before its last tile");
  const index = order.once.get("tIDX");
  if (index && !isIndex(index, lengths)) throw corrupt("I1", "the index of tiles is not right");
  const tiles = parts.map((part) => readTile(header, part));
  return { size: bytes.length, header, ...ancillary(order.once), tiles };
}

/**
 * The header in the chunk that is the first.
 * @param {Chunk} chunk
 */
function headOf(chunk) {
  if (chunk.type !== "HEAD") throw corrupt("F2", "the first chunk, and no other, must be HEAD");
  return readHeader(chunk.data);
}

/**
 * The lengths that an index tells.
 * @param {Uint8Array} data
 */
function readIndex(data) {
  const lengths = [];
  for (let at = 0; at < data.length; ) {
    const [length, next] = varint(data, at, "I1");
    lengths.push(length);
    at = next;
  }
  return lengths;
}

/**
 * @param {Uint8Array} data
 * @param {number[]} lengths
 */
function isIndex(data, lengths) {
  const told = readIndex(data);
  return told.length === lengths.length && told.every((length, n) => length === lengths[n]);
}

/**
 * What stands ahead of the tiles.
 * @typedef {object} Head
 * @property {Header} header
 * @property {Metadata} metadata
 * @property {Uint8Array} [preview]
 * @property {boolean} indexed
 * @property {number} first offset of the first chunk of a tile
 * @property {number[]} [lengths] of the data of the tiles' chunks, where there is an index that can be right; not with
 *   other chunks among the tiles
 */

/**
 * What stands ahead of the tiles, from a file's beginning; or how many of its bytes are needed for more, which may be
 * asked again.
 * @param {Uint8Array} bytes
 * @param {{size?: number, maxPixels?: number}} [options] size: of the file in bytes, where it is known
 * @returns {Head | {needed: number}}
 */
export function parseHead(bytes, { size, maxPixels } = {}) {
  if (bytes.length < 8 && (size ?? 8) >= 8) return { needed: 8 };
  checkSignature(bytes);
  let order;
  let header;
  for (let at = 8; ; ) {
    // The last chunk of a file that is known to end is not waited for: chunkAt tells what is wrong.
    if (at + 8 > bytes.length && bytes.length < (size ?? Infinity)) return { needed: at + OVERHEAD };
    if (order && header && at + 8 <= bytes.length && TILES.has(typeAt(bytes, at))) {
      order.check(typeAt(bytes, at), bytes);
      const told = { header, ...ancillary(order.once), first: at };
      return { ...told, lengths: usable(order, at, size) };
    }
    if (at + 8 <= bytes.length) {
      typeAt(bytes, at); // before more is fetched
      const needed = at + OVERHEAD + u32(bytes, at);
      if (needed > bytes.length && needed <= (size ?? Infinity)) return { needed };
    }
    const chunk = chunkAt(bytes, at);
    if (order) order.check(chunk.type, chunk.data);
    else {
      header = headOf(chunk);
      checkHeader(header, size, maxPixels);
      order = new Order(header);
    }
    at = chunk.end;
  }
}

/**
 * The lengths in the index, where they may tell the places of all chunks.
 * @param {Order} order
 * @param {number} first
 * @param {number | undefined} size
 */
function usable(order, first, size) {
  const index = order.once.get("tIDX");
  if (!index) return undefined;
  const lengths = readIndex(index);
  const end = lengths.reduce((sum, length) => sum + length + OVERHEAD, first);
  return lengths.length === order.count * order.kinds.length && end === (size ?? end) ? lengths : undefined;
}

/**
 * Where the chunks of each tile are, [start, end) each: one, or three of a progressive file.
 * @param {Head} head with an index
 * @returns {[start: number, end: number][][]}
 */
export function tileRanges(head) {
  const { header, first, lengths = [] } = head;
  const count = header.rows * header.columns;
  const ranges = /** @type {[number, number][][]} */ (Array.from({ length: lengths.length && count }, () => []));
  let at = first;
  lengths.forEach((length, n) => {
    ranges[n % count].push([at, (at += length + OVERHEAD)]);
  });
  return ranges;
}

/**
 * The tile in its chunks, which are all there is between the offsets that an index told.
 * @param {Header} header
 * @param {number} number
 * @param {Uint8Array[]} chunks one, or three of a progressive file
 * @returns {Tile}
 */
export function tileOf(header, number, chunks) {
  const parts = kindsOf(header).map((kind, n) => {
    const bytes = chunks[n] ?? new Uint8Array(0);
    const there = bytes.length >= OVERHEAD && u32(bytes, 0) === bytes.length - OVERHEAD && typeAt(bytes, 0) === kind;
    if (!there) throw corrupt("I1", `tile ${number} is not where the index says`);
    if (crc32(bytes, 4, bytes.length - 4) !== u32(bytes, bytes.length - 4)) {
      throw corrupt("C2", `chunk ${kind} of tile ${number} has a wrong checksum`);
    }
    const data = bytes.subarray(8, bytes.length - 4);
    return data.subarray(tileNumber(data, number)[1]);
  });
  return readTile(header, parts);
}
