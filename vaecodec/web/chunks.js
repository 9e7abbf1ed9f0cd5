/** The outermost layer of a file: signature, chunks and their checksums, numbers of variable length (sections 1, 2). */

import { VaecError, corrupt } from "./errors.js";

export const SIGNATURE = Uint8Array.of(0x9b, 0x56, 0x41, 0x45, 0x43, 0x0d, 0x0a, 0x1a);
/** Bytes of a chunk besides its data: length, type, CRC. */
export const OVERHEAD = 12;
/** Bytes of a number of variable length, at most. */
export const VARINT_MAX = 5;

const CRC_TABLE = crcTable();

/** Row k holds what a byte does to the CRC when k more bytes follow it: so eight bytes are taken at a time. */
function crcTable() {
  const table = new Int32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    table[n] = c;
  }
  for (let n = 256; n < table.length; n++) {
    const c = table[n - 256];
    table[n] = (c >>> 8) ^ table[c & 255];
  }
  return table;
}

/**
 * The CRC-32 of zlib and PNG of bytes start to end.
 * @param {Uint8Array} bytes
 * @returns {number} unsigned
 */
export function crc32(bytes, start = 0, end = bytes.length) {
  const t = CRC_TABLE;
  let c = -1;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const a = c ^ (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24));
    c =
      t[1792 + (a & 255)] ^
      t[1536 + ((a >>> 8) & 255)] ^
      t[1280 + ((a >>> 16) & 255)] ^
      t[1024 + (a >>> 24)] ^
      t[768 + bytes[at + 4]] ^
      t[512 + bytes[at + 5]] ^
      t[256 + bytes[at + 6]] ^
      t[bytes[at + 7]];
  }
  for (; at < end; at++) c = (c >>> 8) ^ t[(c ^ bytes[at]) & 255];
  return ~c >>> 0;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function u32(bytes, at) {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

/**
 * An unsigned LEB128 number and the offset behind it.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {string} rule that is broken where the number is cut off
 * @returns {[value: number, at: number]}
 */
export function varint(bytes, at, rule) {
  let value = 0;
  for (let n = 0; n < VARINT_MAX; n++) {
    if (at + n >= bytes.length) throw corrupt(rule, "a number is cut off");
    const byte = bytes[at + n];
    value += (byte & 127) * 2 ** (7 * n); // beyond 32 bits, where `<<` ends
    if (byte < 128) {
      if (n && !byte) throw corrupt("T2", "a number is not in its shortest form");
      return [value, at + n + 1];
    }
  }
  throw corrupt("T2", "a number has more than 5 bytes");
}

/** @param {Uint8Array} bytes a file, or its beginning */
export function checkSignature(bytes) {
  if (SIGNATURE.every((byte, n) => bytes[n] === byte)) return;
  const begun = bytes.length > 0 && bytes.length < 8 && bytes.every((byte, n) => SIGNATURE[n] === byte);
  if (begun) throw new VaecError("not-vaec", "the file ends inside the signature", "F1");
  const damaged = SIGNATURE.subarray(0, 5).every((byte, n) => bytes[n] === byte);
  const message = damaged
    ? "the signature is damaged: the file was probably transferred as text"
    : "not a .vaec file";
  throw new VaecError("not-vaec", message, "F1");
}

/**
 * The type of the chunk at an offset; null where there is none that a file may have. At least 8 bytes must be there.
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function typeAt(bytes, at) {
  const letters = bytes.subarray(at + 4, at + 8);
  for (const byte of letters) {
    const upper = byte & 0xdf; // the letter in upper case
    if (upper < 65 || upper > 90) throw corrupt("C1", `no chunk type at byte ${at + 4}`);
  }
  if (letters[2] >= 97) throw corrupt("C6", `a reserved chunk type at byte ${at + 4}`);
  return String.fromCharCode(...letters);
}

/**
 * A chunk as it lies in the bytes.
 * @typedef {{type: string, start: number, data: Uint8Array, end: number}} Chunk
 */

/**
 * The chunk at an offset, checked [C1, C2, C3, C6, F3].
 * @param {Uint8Array} bytes a file up to its end
 * @param {number} at
 * @returns {Chunk}
 */
export function chunkAt(bytes, at) {
  if (at + OVERHEAD > bytes.length) throw corrupt("F3", `the file ends at byte ${bytes.length}, inside a chunk`);
  const type = typeAt(bytes, at);
  const end = at + OVERHEAD + u32(bytes, at);
  if (end > bytes.length) throw corrupt("C3", `chunk ${type} at byte ${at} reaches past the end of the file`);
  if (crc32(bytes, at + 4, end - 4) !== u32(bytes, end - 4)) {
    throw corrupt("C2", `chunk ${type} at byte ${at} has a wrong checksum`);
  }
  return { type, start: at, data: bytes.subarray(at + 8, end - 4), end };
}
