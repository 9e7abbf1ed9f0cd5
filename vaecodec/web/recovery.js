/** What is left of a file that is damaged, or of which the end has not come: every chunk that is whole. */

import { OVERHEAD, checkSignature, crc32, u32, varint } from "./chunks.js";
import { corrupt } from "./errors.js";
import { checkHeader, readHeader } from "./header.js";
import { ONCE, TILES, ancillary, isCicp, isCritical, kindsOf, unknownChunk } from "./order.js";
import { missingTile, readTile, readTruncated } from "./sections.js";

/** @typedef {{type: string, data: Uint8Array, whole: boolean}} Found whole: or else the bytes end within it */

const LIMIT = 2 ** 28; // pixels, where the caller has no limit: what is allocated follows from the header
const HEAD_WITHIN = 64; // bytes in which HEAD is looked for where the signature is damaged
const WORK = 16; // bytes checked for each byte of the file: names of chunks may occur by chance, or by malice
const NAMES = new Set(["HEAD", ...TILES, ...ONCE]);
const CODES = new Set([...NAMES].map((name) => u32(Uint8Array.from(name, (letter) => letter.charCodeAt(0)), 0)));

/**
 * See `parse` with `partial`.
 * @param {Uint8Array} bytes
 * @param {{maxPixels?: number, size?: number}} options
 * @returns {import("./container.js").File}
 */
export function recover(bytes, { maxPixels = LIMIT, size }) {
  const chunks = chunksLeft(bytes);
  const head = chunks.find(({ type, whole }) => type === "HEAD" && whole);
  if (!head) {
    checkSignature(bytes);
    throw corrupt("F2", "the header is lost, and with it everything");
  }
  const header = readHeader(head.data);
  checkHeader(header, size, maxPixels);
  const once = /** @type {Map<string, Uint8Array>} */ (new Map());
  for (const { type, data, whole } of chunks) {
    const good = whole && ONCE.has(type) && !once.has(type) && (type !== "cICP" || isCicp(data));
    if (good) once.set(type, data);
  }
  return { size: bytes.length, header, ...ancillary(once), tiles: tilesLeft(header, chunks) };
}

/**
 * @param {import("./header.js").Header} header
 * @param {Found[]} chunks
 */
function tilesLeft(header, chunks) {
  const count = header.rows * header.columns;
  const kinds = kindsOf(header);
  const found = kinds.map(() => /** @type {Map<number, {data: Uint8Array, whole: boolean}>} */ (new Map()));
  for (const { type, data, whole } of chunks) {
    const place = attempt(() => varint(data, 0, "T5"));
    const of = found[kinds.indexOf(type)];
    if (place && place[0] < count && of && !of.get(place[0])?.whole) {
      of.set(place[0], { data: data.subarray(place[1]), whole });
    }
  }
  return Array.from({ length: count }, (_, number) => {
    // All parts up to one that is lost or cut off: what follows cannot be decoded without it.
    const there = found.map((of) => of.get(number));
    const lost = there.findIndex((part) => !part?.whole);
    const parts = there.slice(0, lost < 0 ? kinds.length : lost + 1).flatMap((part) => (part ? [part.data] : []));
    const read = () => (lost < 0 ? readTile(header, parts) : readTruncated(header, parts, lost));
    return (parts.length && attempt(read)) || missingTile();
  });
}

/**
 * What a function returns, or undefined where it throws: a damaged tile is one that is missing.
 * @template T
 * @param {() => T} read
 */
function attempt(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/**
 * The chunks that are whole, wherever they stand, and the one that the bytes end in.
 * @param {Uint8Array} bytes
 */
function chunksLeft(bytes) {
  const signed = attempt(() => checkSignature(bytes) ?? true);
  const chunks = /** @type {Found[]} */ ([]);
  let cut = /** @type {Found | undefined} */ (undefined);
  let left = WORK * bytes.length;
  let inStep = signed; // in a file without damage this goes from chunk to chunk, else from name to name
  for (let at = signed ? 8 : nextName(bytes, 0); at + 8 <= bytes.length; ) {
    if (!signed && !chunks.length && at > HEAD_WITHIN) break;
    const type = nameAt(bytes, at, inStep);
    const end = at + OVERHEAD + u32(bytes, at);
    // The last such name: an earlier one has a wrong length.
    if (type && end > bytes.length) cut = { type, data: bytes.subarray(at + 8, end - 4), whole: false };
    if (type && end <= bytes.length && end - at <= left) {
      left -= end - at;
      if (crc32(bytes, at + 4, end - 4) === u32(bytes, end - 4)) {
        if (isCritical(type) && !NAMES.has(type)) throw unknownChunk(type);
        chunks.push({ type, data: bytes.subarray(at + 8, end - 4), whole: true });
        [at, inStep, cut] = [end, true, undefined];
        continue;
      }
    }
    inStep = false;
    at = nextName(bytes, at + 1);
  }
  return cut ? [...chunks, cut] : chunks;
}

/**
 * The type of what may be a chunk; any type where one ends, only those that are known where bytes are searched.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {boolean | undefined} any
 */
function nameAt(bytes, at, any) {
  const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
  return NAMES.has(type) || (any && /^[A-Za-z]{2}[A-Z][A-Za-z]$/.test(type)) ? type : undefined;
}

/**
 * Where a chunk may begin: the next offset with the name of a chunk that is known behind its length.
 * @param {Uint8Array} bytes
 * @param {number} at
 */
function nextName(bytes, at) {
  let code = at + 8 <= bytes.length ? u32(bytes, at + 4) : 0;
  for (; at + 8 <= bytes.length; at++) {
    if (CODES.has(code)) return at;
    code = ((code >>> 8) | (bytes[at + 8] << 24)) >>> 0;
  }
  return at;
}
