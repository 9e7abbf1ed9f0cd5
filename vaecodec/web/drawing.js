/** A picture, a region or a smaller picture of tiles: what engines make, put together. */

import { tileBox } from "./container.js";
import { nearest } from "./synthesis.js";

const CELL = 16, NARROWEST = 16;
const BAND = 1 << 16; // positions of y that are held at a time, more or less: 16 megapixels
const LOW_ONLY = 8; // from this scale on the low channels alone show all that can be seen

/**
 * What all of this works with.
 * @typedef {object} Work
 * @property {import("./container.js").Header} header
 * @property {(number: number) => Promise<import("./container.js").Tile>} tile
 * @property {{run: (kind: string, work: object) => Promise<any>, facts: any, count: number}} engines
 * @property {Set<number> | null} damaged takes the numbers of tiles that have a fault; null: they are errors
 * @property {Map<number, any>} [kept] latents of tiles from before, and of these
 * @property {() => void} check throws where the work is not wanted any more
 * @property {(share: number) => void} progress
 */

/** RGBA of a region (left, top, width, height). @param {Work} work */
export async function drawRegion(work, [left, top, width, height]) {
  const { header, engines } = work, margin = engines.facts.margin;
  const first = Math.floor(top / CELL), last = Math.ceil((top + height) / CELL);
  const columns = { start: Math.floor(left / CELL), end: Math.ceil((left + width) / CELL) };
  const out = new Uint8ClampedArray(4 * width * height);
  const latents = new Latents(work);
  // Rows of positions at a time, in whole rows of tiles.
  const side = header.tileSide / CELL;
  const step = side * Math.max(1, Math.floor(BAND / (side * (columns.end - columns.start))));
  for (let row = first; row < last; ) {
    const end = Math.min(last, (Math.floor(row / step) + 1) * step);
    await drawRows(work, latents, { start: row, end }, columns, margin, (pixels, box) =>
      paste(out, [left, top, width, height], pixels, box));
    work.progress((end - first) / (last - first));
    row = end;
  }
  await finishTiles(work, out, [left, top, width, height]);
  return out;
}

/** Gives pixels of rows and columns of positions, and the box in pixels that they are of. */
async function drawRows(work, latents, rows, columns, margin, give) {
  const { header, engines } = work;
  const count = Math.max(1, Math.min(engines.count, Math.floor((columns.end - columns.start) / NARROWEST)));
  const edge = (k) => columns.start + Math.floor(((columns.end - columns.start) * k) / count);
  const top = Math.max(0, rows.start - margin), bottom = Math.min(header.gridHeight, rows.end + margin);
  await latents.need({ start: top, end: bottom }, {
    start: Math.max(0, columns.start - margin), end: Math.min(header.gridWidth, columns.end + margin) });
  await Promise.all(Array.from({ length: count }, async (_, k) => {
    const left = Math.max(0, edge(k) - margin), right = Math.min(header.gridWidth, edge(k + 1) + margin);
    const outer = { top, left, height: bottom - top, width: right - left };
    const wanted = { top: rows.start - top, left: edge(k) - left, height: rows.end - rows.start, width: edge(k + 1) - edge(k) };
    const window = { ...latents.window(outer), height: outer.height, width: outer.width, wanted };
    const { pixels } = await engines.run("window", { quality: header.quality, window });
    work.check();
    give(pixels, [CELL * edge(k), CELL * rows.start, CELL * wanted.width, CELL * wanted.height]);
  }));
}

/** Decoded tiles: those that a window needs. */
class Latents {
  constructor(work) {
    this.work = work;
    this.side = work.header.tileSide / CELL;
    this.tiles = work.kept ?? new Map();
  }

  /** Decodes the tiles under some positions, forgets those above. */
  async need(rows, columns) {
    const { header, kept } = this.work, numbers = [];
    const range = ({ start, end }) => [Math.floor(start / this.side), Math.ceil(end / this.side)];
    const [first, last] = range(rows), [left, right] = range(columns);
    for (let row = first; row < last; row++)
      for (let column = left; column < right; column++) numbers.push(row * header.columns + column);
    if (!kept) for (const number of this.tiles.keys()) if (number < first * header.columns) this.tiles.delete(number);
    await Promise.all(numbers.filter((n) => !this.tiles.has(n)).map(async (n) => this.tiles.set(n, await latentsOf(this.work, n))));
  }

  /** y_hat of a box of positions, and the filters in it. */
  window({ top, left, height, width }) {
    const M = this.work.engines.facts.channels, y = new Int16Array(height * width * M), filters = [];
    for (const [number, tile] of this.tiles) {
      const box = positionsOf(this.work.header, number);
      const from = { top: Math.max(top, box.top), left: Math.max(left, box.left) };
      const rows = Math.min(top + height, box.top + box.height) - from.top;
      const n = Math.min(left + width, box.left + box.width) - from.left;
      if (rows <= 0 || n <= 0) continue;
      if (tile.filter) filters.push({ top: from.top - top, left: from.left - left, height: rows, width: n, filter: tile.filter });
      if (!tile.y) continue;
      for (let row = 0; row < rows; row++) {
        const at = ((from.top - box.top + row) * box.width + from.left - box.left) * M;
        y.set(tile.y.subarray(at, at + n * M), ((from.top - top + row) * width + from.left - left) * M);
      }
    }
    return { y, filters };
  }
}

/** A tile's box in positions. */
function positionsOf(header, number) {
  const { top, left, height, width } = tileBox(header, number);
  return { top: top / CELL, left: left / CELL, height: Math.ceil(height / CELL), width: Math.ceil(width / CELL) };
}

/** y_hat and filter of a tile; of one that has no latents, or has a fault, neither. @param {Work} work */
async function latentsOf(work, number, lowOnly = false) {
  const { header, engines, damaged } = work;
  try {
    const tile = await work.tile(number);
    if (tile.missing || tile.present < 3) damaged?.add(number);
    if (!tile.lanes || (tile.cut && tile.present < 2)) return {}; // the low channels alone are worth showing
    const { height: h, width: w } = positionsOf(header, number);
    const some = lowOnly || tile.present === 2;
    return await engines.run("latents", { quality: header.quality, tile, h, w, lowOnly: some });
  } catch (error) {
    if (!damaged || error.code !== "corrupt") throw error;
    damaged.add(number);
    return {};
  }
}

/** Puts overlays and transparency over the pixels of a region, and makes grey of them where it is grey. @param {Work} work */
async function finishTiles(work, out, region, scale = 1) {
  const { header, damaged } = work, side = header.tileSide / scale;
  const [left, top, width, height] = region, numbers = [];
  for (let row = Math.floor(top / side); row * side < top + height; row++)
    for (let column = Math.floor(left / side); column * side < left + width; column++)
      numbers.push(row * header.columns + column);
  await Promise.all(numbers.map(async (number) => {
    try {
      await finishTile(work, number, out, region, scale);
    } catch (error) {
      if (!damaged || error.code !== "corrupt") throw error;
      damaged.add(number);
    }
  }));
  if (header.channels < 3)
    for (let k = 0; k < out.length; k += 4) out[k] = out[k + 1] = out[k + 2] = (out[k] + 2 * out[k + 1] + out[k + 2] + 2) >> 2;
}

async function finishTile(work, number, out, region, scale) {
  const { header, engines } = work, box = tileBox(header, number);
  const tile = await work.tile(number);
  const place = [box.left / scale, box.top / scale, Math.ceil(box.width / scale), Math.ceil(box.height / scale)];
  const exact = async (section, overlay) =>
    (await engines.run("exact", { section, width: box.width, height: box.height, overlay })).pixels;
  if (tile.overlay.length) overlaid(out, region, shrunk(await exact(tile.overlay, true), box, scale), place);
  if (header.alpha === 1) each(out, region, place, (to) => (out[to + 3] = header.alphaValue));
  if (header.alpha === 2 && tile.alpha.length) {
    const alpha = await exact(tile.alpha, false);
    for (let k = 3; k < alpha.length; k += 4) alpha[k] = 255; // no say in it
    const small = shrunk(alpha, box, scale);
    each(out, region, place, (to, from) => (out[to + 3] = nearest(small[from + 1])));
  }
}

/** Colours of an overlay over those there; at its edges, where pixels are averaged, in their share. */
function overlaid(out, region, colours, place) {
  each(out, region, place, (to, from) => {
    const share = colours[from + 3] / 255;
    for (let c = 0; share && c < 3; c++) out[to + c] = nearest(out[to + c] + share * (colours[from + c] - out[to + c]));
  });
}

/** Calls `work` with where each pixel of a box is in `out`, the pixels of a region, and where in the box's own. */
function each(out, [left, top, width, height], [x, y, w, h], work) {
  for (let row = Math.max(top, y); row < Math.min(top + height, y + h); row++)
    for (let column = Math.max(left, x); column < Math.min(left + width, x + w); column++)
      work(4 * ((row - top) * width + column - left), 4 * ((row - y) * w + column - x));
}

/** Copies what pixels (of a box) and `out` (of a region) have in common. */
function paste(out, [left, top, width, height], pixels, [x, y, w, h]) {
  const from = Math.max(left, x), n = Math.min(left + width, x + w) - from;
  if (n <= 0) return;
  for (let row = Math.max(top, y); row < Math.min(top + height, y + h); row++) {
    const at = 4 * ((row - y) * w + from - x);
    out.set(pixels.subarray(at, at + 4 * n), 4 * ((row - top) * width + from - left));
  }
}

/** RGBA (h, w) averaged over squares, those at the edges over what is there; colours by alpha. */
function shrunk(pixels, { width, height }, scale) {
  if (scale === 1) return pixels;
  const w = Math.ceil(width / scale), h = Math.ceil(height / scale), out = new Float64Array(4 * w * h);
  for (let row = 0; row < h; row++)
    for (let column = 0; column < w; column++) {
      const sums = [0, 0, 0, 0], bottom = Math.min(height, (row + 1) * scale), right = Math.min(width, (column + 1) * scale);
      for (let i = row * scale; i < bottom; i++)
        for (let j = column * scale; j < right; j++) {
          const at = 4 * (i * width + j), alpha = pixels[at + 3];
          for (let c = 0; c < 3; c++) sums[c] += pixels[at + c] * alpha;
          sums[3] += alpha;
        }
      const to = 4 * (row * w + column), count = (bottom - row * scale) * (right - column * scale);
      for (let c = 0; c < 3; c++) out[to + c] = sums[3] ? sums[c] / sums[3] : 0;
      out[to + 3] = sums[3] / count;
    }
  return out;
}

/** RGBA of all of the picture at 1/scale, by the linear branch alone. @param {Work} work */
export async function drawScaled(work, scale) {
  const { header, engines } = work, side = CELL / scale, count = header.rows * header.columns;
  const width = Math.ceil(header.width / scale), height = Math.ceil(header.height / scale);
  const out = new Uint8ClampedArray(4 * width * height);
  let done = 0;
  await Promise.all(Array.from({ length: count }, async (_, number) => {
    const box = positionsOf(header, number);
    const y = (await latentsOf(work, number, scale >= LOW_ONLY)).y;
    const n = box.height * box.width;
    const { pixels } = await engines.run("linear",
      { quality: header.quality, y: y ?? new Int16Array(n * engines.facts.channels), scale });
    work.check();
    const place = [box.left * side, box.top * side, box.width * side, box.height * side];
    each(out, [0, 0, width, height], place, (to, from) => {
      const row = Math.floor(from / 4 / place[2]), column = (from / 4) % place[2];
      const cell = Math.floor(row / side) * box.width + Math.floor(column / side);
      const at = 3 * (cell * side * side + (row % side) * side + (column % side));
      for (let c = 0; c < 3; c++) out[to + c] = pixels[at + c];
      out[to + 3] = 255;
    });
    work.progress(++done / count);
  }));
  await finishTiles(work, out, [0, 0, width, height], scale);
  return out;
}
