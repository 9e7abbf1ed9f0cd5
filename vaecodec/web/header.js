/** The chunk HEAD (section 3), and what follows from it: sizes of grids, boxes of tiles, limits. */

import { varint } from "./chunks.js";
import { VaecError, corrupt, unsupported } from "./errors.js";

const VERSION = 9;
const SIDE_MAX = 2 ** 31 - 1;
const CHANNELS = /** @type {const} */ ([1, 3, 2, 4]); // by colour
/** The registry of models (section 5): names, and the first 8 bytes of hashes. Number 1 is the one that all have. */
const MODELS = new Map([[1, { number: 1, name: "base", hash: "14198f26b6838975" }]]);
const PROGRESSIVE = 1; // a bit of `features`
const KNOWN = PROGRESSIVE;
const NEEDED = 0xffff; // features that must be known; others may be ignored

/** Bytes of a tile's chunks together, at the least [H7]. */
const TILE_LEAST = 14;
const CELL = 16; // pixels per side of a position of y
const SIDE_LIMIT = 2 ** 15; // pixels per side that every limit allows
const GRANTED = 2 ** 20; // pixels of work that every limit allows
const CELLS_OF_A_TILE = 16; // that a tile counts for at least

/** @typedef {{number: number, name: string, hash: string}} ModelName number 0: any model, by name and hash (16 hex) */

/**
 * @typedef {object} Header
 * @property {number} version
 * @property {number} width pixels
 * @property {number} height
 * @property {number} colour 0 grey, 1 RGB, 2 grey and alpha, 3 RGB and alpha
 * @property {number} alpha 0 none, 1 constant, 2 coded in each tile
 * @property {number} alphaValue the constant
 * @property {number} quality 0 to 1000
 * @property {number} tileSide pixels
 * @property {number} features
 * @property {boolean} progressive
 * @property {1 | 2 | 3 | 4} channels samples of a pixel
 * @property {ModelName} model
 * @property {number} rows of tiles
 * @property {number} columns
 * @property {number} gridHeight positions of y
 * @property {number} gridWidth
 */

/** The fields of HEAD, one after the other. */
class Fields {
  /** @param {Uint8Array} data */
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  /** @param {number} count */
  bytes(count) {
    if (this.at + count > this.data.length) throw corrupt("H1", "the header is cut off");
    return this.data.subarray(this.at, (this.at += count));
  }

  byte() {
    return this.bytes(1)[0];
  }

  varint() {
    const [value, at] = varint(this.data, this.at, "H1");
    this.at = at;
    return value;
  }
}

/**
 * @param {Uint8Array} data of the chunk HEAD
 * @returns {Header}
 */
export function readHeader(data) {
  const fields = new Fields(data);
  const version = fields.byte();
  if (version !== VERSION) {
    throw unsupported("H2", `format version ${version}; this decoder reads version ${VERSION}`);
  }
  const [flags, low, high] = fields.bytes(3);
  if (flags & 128) throw corrupt("H8", "a reserved flag of the header is set");
  const width = fields.varint();
  const height = fields.varint();
  const colour = flags & 3;
  const alpha = (flags >> 2) & 3;
  const alphaValue = alpha === 1 ? fields.byte() : 0;
  const tile = flags & 16 ? fields.byte() : 16;
  const model = flags & 32 ? readModel(fields) : /** @type {ModelName} */ (MODELS.get(1));
  const features = flags & 64 ? fields.varint() : 0;
  // What follows is of later versions, which this one need not know.
  if ((flags & 16 && tile === 16) || (flags & 64 && !features)) {
    throw corrupt("H8", "a header field that could be left out is there");
  }
  const quality = low | (high << 8);
  checkRanges({ width, height, quality, tile, alpha });
  if (alpha > 0 !== colour >= 2) throw corrupt("H4", "the header's alpha contradicts its colour");
  // Not by bits of the number: it may have 35.
  if ((features % (NEEDED + 1)) & ~KNOWN) {
    throw unsupported("H9", `the file needs features ${features}, which this decoder does not have`);
  }
  const progressive = features % 2 === PROGRESSIVE;
  const channels = CHANNELS[colour];
  const own = { version, width, height, colour, alpha, alphaValue, quality, features, progressive, channels, model };
  return { ...own, ...sizes(width, height, 64 * tile) };
}

/**
 * @param {number} width
 * @param {number} height
 * @param {number} tileSide
 */
function sizes(width, height, tileSide) {
  return {
    tileSide,
    rows: Math.ceil(height / tileSide),
    columns: Math.ceil(width / tileSide),
    gridHeight: Math.ceil(height / CELL),
    gridWidth: Math.ceil(width / CELL),
  };
}

/** @param {Record<string, number>} values of fields */
function checkRanges(values) {
  const ranges = { width: [1, SIDE_MAX], height: [1, SIDE_MAX], quality: [0, 1000], tile: [1, 15], alpha: [0, 2] };
  for (const [name, [least, most]] of Object.entries(ranges)) {
    const value = values[name];
    if (name === "tile" && value === 16) continue; // where the field is left out
    if (value < least || value > most) {
      throw corrupt("H1", `header field ${name} is ${value}, not within ${least} to ${most}`);
    }
  }
}

/**
 * @param {Fields} fields
 * @returns {ModelName}
 */
function readModel(fields) {
  const number = fields.varint();
  if (number === 1) throw corrupt("H8", "a header field that could be left out is there");
  if (number) {
    const known = MODELS.get(number);
    if (!known) throw unsupported("H5", `the file needs model number ${number}, which this decoder does not have`);
    return known;
  }
  const name = String.fromCharCode(...fields.bytes(8)).replace(/\0+$/, "");
  if (!/^[!-~]{1,8}$/.test(name)) throw corrupt("H1", "the header's model name is not 1 to 8 printable characters");
  const hash = Array.from(fields.bytes(8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { number, name, hash };
}

/**
 * Refuse a file that needs another model than the decoder has [H5].
 * @param {Header} header
 * @param {{name: string, hash: string}} model hash: in hex, its first 8 bytes or all of it
 */
export function needModel(header, model) {
  const { name, hash } = header.model;
  if (name === model.name && hash === model.hash.slice(0, 16)) return;
  throw unsupported("H5", `the file needs the model ${name} ${hash}, which this decoder does not have`);
}

/**
 * The part of the picture that a tile covers, in pixels.
 * @param {Header} header
 * @param {number} number in raster order
 */
export function tileBox(header, number) {
  const side = header.tileSide;
  const top = Math.floor(number / header.columns) * side;
  const left = (number % header.columns) * side;
  const height = Math.min(side, header.height - top);
  return { top, left, height, width: Math.min(side, header.width - left) };
}

/**
 * Refuse a header before anything is allocated for its size: by the limit, then by what the file can hold [H7].
 * @param {Header} header
 * @param {number | undefined} size of the file in bytes, where it is known
 * @param {number} [maxPixels] no limit without it
 */
export function checkHeader(header, size, maxPixels) {
  if (maxPixels) checkSize(header, maxPixels);
  const tiles = header.rows * header.columns;
  if (size !== undefined && tiles * TILE_LEAST > size) {
    throw corrupt("H7", `the file is too short for its ${tiles} tiles`);
  }
}

/**
 * Refuse a picture of more pixels, or of much more work: that follows whole cells and tiles, and memory the sides.
 * @param {Header} header
 * @param {number} maxPixels
 */
function checkSize(header, maxPixels) {
  const { width, height, rows, columns, gridHeight, gridWidth } = header;
  const refuse = (/** @type {string} */ why) => new VaecError("limit", `${width} x ${height} is ${why}`);
  if (width * height > maxPixels) throw refuse(`more than the limit of ${maxPixels} pixels`);
  const side = Math.max(SIDE_LIMIT, 2 * Math.floor(Math.sqrt(maxPixels)));
  if (Math.max(width, height) > side) throw refuse(`more than the limit of ${side} pixels a side`);
  const work = Math.max(gridHeight * gridWidth, CELLS_OF_A_TILE * rows * columns) * CELL ** 2;
  if (work > Math.max(2 * maxPixels, GRANTED)) {
    throw refuse(`as much work as ${work} pixels, too much for a limit of ${maxPixels}`);
  }
}
