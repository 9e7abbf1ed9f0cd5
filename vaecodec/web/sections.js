/** The sections of a tile (section 4). They are views of the file; only the states are copied, to be aligned. */

import { u32, varint } from "./chunks.js";
import { corrupt } from "./errors.js";

const EMPTY = 8; // in place of log2 of lanes: the tile has no latents
const SIZED = /** @type {const} */ (["escapes", "z", "low", "filter", "alpha", "overlay"]); // high is the rest
const FLAGS = /** @type {Record<string, number>} */ ({ escapes: 16, filter: 32, alpha: 64, overlay: 128 });
const HEAD_MOST = 1 + 5 * SIZED.length; // bytes of flags and lengths
const NOTHING = new Uint8Array(0);

/**
 * @typedef {object} Tile
 * @property {number} lanes 0 for a tile without latents
 * @property {Uint32Array} states one a lane
 * @property {Uint8Array} escapes
 * @property {Uint8Array} z
 * @property {Uint8Array} low
 * @property {Uint8Array} high
 * @property {Uint8Array} filter
 * @property {Uint8Array} alpha
 * @property {Uint8Array} overlay
 * @property {boolean} missing whether nothing of it is there that can be used
 * @property {number} present how many of BASE, LOWC and HIGH are there as a whole; 3 for a whole TILE too, 0 for none
 * @property {boolean} cut whether the bytes end within it: z, low and high are what is there of them, in whole words,
 *   other sections are whole or empty
 */

/** @returns {Tile} */
export function missingTile() {
  const sections = { escapes: NOTHING, z: NOTHING, low: NOTHING, high: NOTHING };
  const others = { filter: NOTHING, alpha: NOTHING, overlay: NOTHING };
  return { lanes: 0, states: new Uint32Array(0), ...sections, ...others, missing: true, present: 0, cut: false };
}

/**
 * The tile in the data of its chunks, behind its number.
 * @param {import("./header.js").Header} header
 * @param {Uint8Array[]} parts
 * @returns {Tile}
 */
export function readTile(header, parts) {
  const head = readHead(parts);
  const high = total(parts) - head.end;
  if (high < 0) throw corrupt("T3", "a tile's section lengths are more than its size");
  if (!head.lanes && high) throw corrupt("T4", "a tile without latents has data for them");
  if ((head.lengths.z | head.lengths.low | high) & 1) throw corrupt("T3", "a tile's coded section has an odd length");
  const [base, lowc] = [head.cuts.low, head.end];
  if (parts.length > 1 && (parts[0].length !== base || parts[1].length !== lowc - base)) {
    throw corrupt("T7", "a tile is not divided where it must be");
  }
  checkAlpha(header, head.lengths.alpha);
  // No section goes over the end of a part, so each is a view of the part that it is in.
  const starts = parts.length > 1 ? [0, base, lowc] : [0];
  const view = (/** @type {number} */ start, /** @type {number} */ end) => {
    const n = parts.length === 1 || start < base ? 0 : start < lowc ? 1 : 2;
    return start === end ? NOTHING : parts[n].subarray(start - starts[n], end - starts[n]);
  };
  return assemble(head, view, head.end + high, { present: 3, cut: false });
}

/**
 * What can be used of a tile whose end is missing.
 * @param {import("./header.js").Header} header
 * @param {Uint8Array[]} parts data of its chunks, behind the tile's number, up to what is missing
 * @param {number} present how many of them are whole
 * @returns {Tile}
 */
export function readTruncated(header, parts, present) {
  const data = joined(parts);
  const head = readHead([data]);
  if (head.first > data.length) throw corrupt("T3", "a tile's entropy coder states are missing");
  const cut = present < parts.length;
  const view = (/** @type {number} */ start, /** @type {number} */ end, /** @type {string} */ name) => {
    if (end <= data.length) return data.subarray(start, end);
    const words = Math.max(data.length - start, 0) >> 1;
    return name in FLAGS ? NOTHING : data.subarray(start, start + 2 * words);
  };
  if ((head.lengths.z | head.lengths.low) & 1) throw corrupt("T3", "a tile's coded section has an odd length");
  const high = Math.max(data.length - head.end, 0) & ~1;
  if (!head.lanes && high) throw corrupt("T4", "a tile without latents has data for them");
  const tile = assemble(head, view, head.end + high, { present, cut });
  if (!tile.lanes) checkAlpha(header, tile.alpha.length); // nothing else is there to be shown
  return tile;
}

/**
 * @param {import("./header.js").Header} header
 * @param {number} length of a tile's section
 */
function checkAlpha(header, length) {
  if (length > 0 !== (header.alpha === 2)) throw corrupt("P2", "a tile's alpha section contradicts the header");
}

/** @typedef {ReturnType<typeof readHead>} Head */

/**
 * What a tile begins with, and where that says that its sections begin; `first` is the end of the states, `end` where
 * high begins.
 * @param {Uint8Array[]} parts
 */
function readHead(parts) {
  const begin = parts[0].length < HEAD_MOST && parts.length > 1 ? joined(parts) : parts[0];
  if (!begin.length) throw corrupt("T3", "a tile is empty");
  const flags = begin[0];
  const log2 = flags & 15;
  if (log2 > EMPTY) throw corrupt("T1", "a tile's lane count is out of range");
  const lanes = log2 === EMPTY ? 0 : 1 << log2;
  if (!lanes && flags & (FLAGS.escapes | FLAGS.filter)) {
    throw corrupt("T4", "a tile without latents has data for them");
  }
  const lengths = { escapes: 0, z: 0, low: 0, filter: 0, alpha: 0, overlay: 0 };
  let at = 1;
  for (const name of SIZED) {
    if (name in FLAGS ? !(flags & FLAGS[name]) : !lanes) continue;
    [lengths[name], at] = varint(begin, at, "T3");
    if (name in FLAGS && !lengths[name]) throw corrupt("T6", "a tile's section that could be left out is there");
  }
  const first = at + 4 * lanes;
  const cuts = { escapes: 0, z: 0, low: 0, filter: 0, alpha: 0, overlay: 0 };
  let end = first;
  for (const name of SIZED) {
    cuts[name] = end;
    end += lengths[name];
  }
  return { lanes, lengths, cuts, at, first, end };
}

/**
 * @param {Head} head
 * @param {(start: number, end: number, name: string) => Uint8Array} view of offsets in the tile
 * @param {number} size of the tile
 * @param {{present: number, cut: boolean}} there
 * @returns {Tile}
 */
function assemble(head, view, size, there) {
  const tile = { ...missingTile(), ...there, lanes: head.lanes, missing: false };
  const states = view(head.at, head.first, "states");
  tile.states = new Uint32Array(head.lanes);
  for (let lane = 0; lane < head.lanes; lane++) tile.states[lane] = u32(states, 4 * lane);
  for (const name of SIZED) tile[name] = view(head.cuts[name], head.cuts[name] + head.lengths[name], name);
  tile.high = view(head.end, size, "high");
  return tile;
}

/** @param {Uint8Array[]} parts */
function total(parts) {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  if (parts.length === 1) return parts[0];
  const all = new Uint8Array(total(parts));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
