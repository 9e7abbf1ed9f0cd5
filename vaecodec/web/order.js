/** Which chunks a file may have, in which order (sections 2 to 4), and what those say that are there once. */

import { varint } from "./chunks.js";
import { corrupt, unsupported } from "./errors.js";
import { orientationOf } from "./exif.js";

/** @typedef {import("./header.js").Header} Header */
/** @typedef {import("./vaec.d.ts").Metadata} Metadata */

const PARTS = /** @type {const} */ (["BASE", "LOWC", "HIGH"]);
export const TILES = new Set(["TILE", ...PARTS]);
/** At most one of each, ahead of the tiles. */
export const ONCE = new Set(["cICP", "iCCP", "eXIf", "xMPp", "pREV", "tIDX"]);

/**
 * The chunks of a tile: first all of the first kind, then all of the next.
 * @param {Header} header
 * @returns {readonly string[]}
 */
export function kindsOf(header) {
  return header.progressive ? PARTS : ["TILE"];
}

/** The order of the chunks of a file, rule by rule; keeps those that are there once. */
export class Order {
  /** @param {Header} header */
  constructor(header) {
    this.kinds = kindsOf(header);
    this.count = header.rows * header.columns;
    this.once = /** @type {Map<string, Uint8Array>} */ (new Map());
    this.tiles = 0; // chunks of tiles so far
    this.last = "";
  }

  get complete() {
    return this.tiles === this.count * this.kinds.length;
  }

  /**
   * Whether a chunk may stand here.
   * @param {string} type
   * @param {Uint8Array} data of a tile's chunk not looked at
   */
  check(type, data) {
    if (type === "HEAD") throw corrupt("F2", "the first chunk, and no other, must be HEAD");
    if (this.complete) throw corrupt("F3", `chunk ${type} stands behind the last tile`);
    if (TILES.has(type)) {
      const kind = this.kinds[Math.floor(this.tiles / this.count)];
      if (type !== kind) throw corrupt("H6", `chunk ${type} stands where ${kind} must`);
      if (this.once.has("tIDX") && !this.tiles && this.last !== "tIDX") {
        throw corrupt("I1", "chunk tIDX does not stand right before the first tile");
      }
    } else if (ONCE.has(type)) {
      if (this.once.has(type) || this.tiles) throw corrupt("C5", `chunk ${type} is repeated or stands behind a tile`);
      if (type === "cICP" && !isCicp(data)) throw corrupt("C7", "chunk cICP is not four numbers, of full-range RGB");
      this.once.set(type, data);
    } else if (isCritical(type)) {
      throw unknownChunk(type);
    }
    this.last = type;
  }

  /**
   * The number of the tile whose chunk stands here, and the offset behind it.
   * @param {Uint8Array} data
   */
  number(data) {
    const found = tileNumber(data, this.tiles % this.count);
    this.tiles++;
    return found;
  }
}

/**
 * @param {Uint8Array} data of a tile's chunk
 * @param {number} wanted the number that it must have
 */
export function tileNumber(data, wanted) {
  const found = varint(data, 0, "T5");
  if (found[0] !== wanted) throw corrupt("T5", `tile ${found[0]} stands where tile ${wanted} must`);
  return found;
}

/** @param {string} type */
export function isCritical(type) {
  return type[0] <= "Z";
}

/** @param {string} type */
export function unknownChunk(type) {
  return unsupported("C4", `chunk ${type} is needed to decode this file and not known to this decoder`);
}

/** @param {Uint8Array} data */
export function isCicp(data) {
  return data.length === 4 && data[2] === 0 && data[3] === 1;
}

/**
 * What the chunks say that are there once.
 * @param {Map<string, Uint8Array>} once data by type
 * @returns {{metadata: Metadata, preview: Uint8Array | undefined, indexed: boolean}}
 */
export function ancillary(once) {
  const exif = once.get("eXIf");
  const cicp = once.get("cICP");
  const metadata = {
    icc: once.get("iCCP"),
    exif,
    xmp: once.get("xMPp"),
    cicp: cicp && /** @type {[number, number, number, number]} */ ([...cicp]),
    orientation: orientationOf(exif),
  };
  return { metadata, preview: once.get("pREV"), indexed: once.has("tIDX") };
}
