/** Pictures turned upright, and as PNG files that are not compressed: made in a moment, for an <img> or a test. */

import { crc32 } from "./chunks.js";

/** @typedef {import("./vaec.d.ts").Picture} Picture */

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const COLOUR_TYPES = [0, 0, 4, 2, 6]; // PNG's, by number of channels
const STORED_MOST = 65535; // bytes of a block that deflate stores
const ADLER_STEP = 2048; // bytes whose sums stay within 31 bits
const STRIP = 16; // columns that are turned at a time: the lines of memory that they touch stay in a cache

/**
 * The pixels upright: turned by `orientation`, which is 1 then. The other fields, EXIF too, are as they were; a picture
 * that is upright keeps its data.
 * @param {Picture} picture
 * @returns {Picture}
 */
export function upright(picture) {
  const { width: w, height: h, orientation } = picture;
  // Where the first pixel comes from, and how far on the next to the right and the next below are.
  const turns = /** @type {Record<number, [number, number, number]>} */ ({
    2: [w - 1, -1, w],
    3: [w * h - 1, -1, -w],
    4: [w * (h - 1), 1, -w],
    5: [0, w, 1],
    6: [w * (h - 1), -w, 1],
    7: [w * h - 1, -w, -1],
    8: [w - 1, w, -1],
  });
  if (!(orientation in turns)) return { ...picture, orientation: 1 };
  const size = orientation > 4 ? { width: h, height: w } : { width: w, height: h };
  const source = asPixels(picture.data);
  const target = new Uint32Array(w * h);
  turn(source, target, size, turns[orientation]);
  return { ...picture, ...size, data: new Uint8ClampedArray(target.buffer), orientation: 1 };
}

/**
 * RGBA as one number a pixel; a copy only where it is not aligned.
 * @param {Uint8ClampedArray} data
 */
function asPixels(data) {
  const aligned = data.byteOffset % 4 ? data.slice() : data;
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
}

/**
 * @param {Uint32Array} source
 * @param {Uint32Array} target
 * @param {{width: number, height: number}} size of the target
 * @param {[number, number, number]} steps
 */
function turn(source, target, { width, height }, [start, right, down]) {
  const strip = Math.abs(right) === 1 ? width : STRIP;
  for (let left = 0; left < width; left += strip) {
    const end = Math.min(left + strip, width);
    for (let y = 0; y < height; y++) {
      let from = start + left * right + y * down;
      for (let to = y * width + left, stop = y * width + end; to < stop; to++, from += right) target[to] = source[from];
    }
  }
}

/**
 * A PNG file of a picture, uncompressed, with its colours and turned upright.
 * @param {Picture} picture
 * @returns {Uint8Array}
 */
export function toPNG(picture) {
  const turned = upright(picture);
  const { width, height, channels } = turned;
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, COLOUR_TYPES[channels]], 8);
  const stored = storedSize(height * (1 + width * channels));
  const before = /** @type {[string, Uint8Array][]} */ ([["IHDR", head], ...coloursOf(turned)]);
  const size = before.reduce((sum, [, data]) => sum + data.length + 12, SIGNATURE.length + stored + 24);
  const file = new Uint8Array(size);
  file.set(SIGNATURE);
  let at = SIGNATURE.length;
  for (const [type, data] of before) {
    writeChunk(file.subarray(at, (at += data.length + 12)), type, (place) => place.set(data));
  }
  writeChunk(file.subarray(at, (at += stored + 12)), "IDAT", (place) => storeRows(turned, place));
  writeChunk(file.subarray(at), "IEND", () => {});
  return file;
}

/**
 * The chunks that say what the colours mean: cICP goes first for readers that know it, iCCP is for others.
 * @param {Picture} picture
 * @returns {[type: string, data: Uint8Array][]}
 */
function coloursOf({ cicp, icc }) {
  const chunks = /** @type {[string, Uint8Array][]} */ ([]);
  if (cicp) chunks.push(["cICP", Uint8Array.from(cicp)]);
  if (icc) {
    const name = Uint8Array.from("ICC Profile\0\0", (letter) => letter.charCodeAt(0)); // and the method, deflate
    const data = new Uint8Array(name.length + storedSize(icc.length));
    data.set(name);
    const stored = new Stored(data.subarray(name.length), icc.length);
    stored.put(icc);
    stored.end();
    chunks.push(["iCCP", data]);
  }
  return chunks.length ? chunks : [["sRGB", Uint8Array.of(0)]];
}

/**
 * Rows as PNG has them, each behind a byte for "no filter".
 * @param {Picture} picture
 * @param {Uint8Array} target
 */
function storeRows({ width, height, data, channels }, target) {
  const row = new Uint8Array(1 + width * channels); // one at a time stays in a processor's cache
  const stored = new Stored(target, height * row.length);
  for (let y = 0; y < height; y++) {
    packRow(data, 4 * width * y, row, channels);
    stored.put(row);
  }
  stored.end();
}

/**
 * @param {Uint8ClampedArray} data RGBA
 * @param {number} from
 * @param {Uint8Array} row filled from its second byte on
 * @param {number} channels
 */
function packRow(data, from, row, channels) {
  if (channels === 4) {
    row.set(data.subarray(from, from + row.length - 1), 1);
    return;
  }
  const second = channels === 2 ? 3 : 1; // the alpha of a grey picture
  for (let to = 1; to < row.length; to += channels, from += 4) {
    row[to] = data[from];
    if (channels > 1) row[to + 1] = data[from + second];
    if (channels > 2) row[to + 2] = data[from + 2];
  }
}

/**
 * @param {Uint8Array} place of the whole chunk
 * @param {string} type
 * @param {(data: Uint8Array) => void} write its data
 */
function writeChunk(place, type, write) {
  const end = place.length - 4;
  const view = new DataView(place.buffer, place.byteOffset, place.length);
  view.setUint32(0, end - 8);
  for (let n = 0; n < 4; n++) place[4 + n] = type.charCodeAt(n);
  write(place.subarray(8, end));
  view.setUint32(end, crc32(place, 4, end));
}

/**
 * Bytes that a zlib stream takes that stores so many.
 * @param {number} length
 */
function storedSize(length) {
  return 2 + 5 * Math.max(1, Math.ceil(length / STORED_MOST)) + length + 4;
}

/** A zlib stream of blocks that are stored, filled piece by piece. */
class Stored {
  /**
   * @param {Uint8Array} target of `storedSize`
   * @param {number} length of all pieces
   */
  constructor(target, length) {
    this.target = target;
    this.left = length;
    this.room = 0; // in the block
    this.at = 2;
    this.sums = /** @type {[number, number]} */ ([1, 0]);
    target.set([0x78, 0x01]);
    if (!length) this.block();
  }

  block() {
    const length = Math.min(this.left, STORED_MOST);
    const last = length === this.left ? 1 : 0;
    this.target.set([last, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255], this.at);
    this.at += 5;
    this.room = length;
  }

  /** @param {Uint8Array} piece */
  put(piece) {
    for (let from = 0; from < piece.length; ) {
      if (!this.room) this.block();
      const part = piece.subarray(from, from + this.room);
      this.target.set(part, this.at);
      this.at += part.length;
      from += part.length;
      this.room -= part.length;
      this.left -= part.length;
    }
    this.sums = adler32(piece, this.sums);
  }

  end() {
    const [a, b] = this.sums;
    this.target.set([b >> 8, b & 255, a >> 8, a & 255], this.at);
  }
}

/**
 * The two sums of Adler-32, of what came before and data.
 * @param {Uint8Array} data
 * @param {[number, number]} sums
 * @returns {[number, number]}
 */
function adler32(data, [a, b]) {
  for (let at = 0; at < data.length; ) {
    for (const end = Math.min(at + ADLER_STEP, data.length); at < end; at++) {
      a += data[at];
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return [a, b];
}
