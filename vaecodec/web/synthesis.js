/** y_hat to pixels (bitstream_spec.md, section 9), row by row, and smaller ones by the linear branch alone. */

import { corrupt } from "./errors.js";
import { strength, STRENGTH_MAX } from "./modelfile.js";

const CELL = 16, REACH = 3, KERNEL = 1, PIXEL_ONE = 64;
const AHEAD = 2 * REACH; // rows of samples that are kept above those of a row of positions
const ZEROS_MAX = 16, LONGEST = 150;

/** The 36 numbers of a tile's filter: the section `filter` says what they are beyond the model's. */
export function readFilter(section, usual) {
  let at = 0;
  const size = 8 * section.length;
  const bit = () => (section[at >> 3] >> (7 - (at++ & 7))) & 1;
  if (section.length > LONGEST) throw corrupt("S3", "a tile's filter is too long");
  const filter = Array.from(usual, (v) => {
    let zeros = 0, n = 0;
    while (at < size && !n) n = bit(), zeros += 1 - n;
    if (zeros > ZEROS_MAX) throw corrupt("S4", "a number of a tile's filter is too long");
    if (!n || at + zeros > size) throw corrupt("S2", "a tile's filter is cut off");
    for (let k = 0; k < zeros; k++) n = 2 * n + bit();
    return v + (n % 2 ? (n - 1) / 2 : -n / 2);
  });
  if (size - at >= 8) throw corrupt("S2", "data follow a tile's filter");
  while (at < size) if (bit()) throw corrupt("S2", "data follow a tile's filter");
  if (strength(filter) > STRENGTH_MAX) throw corrupt("S3", "a tile's filter is too strong");
  return filter;
}

/**
 * A window of the picture's positions, and what of it is wanted.
 * @typedef {object} Window
 * @property {Int16Array} y (height, width, M) in 1/16 step
 * @property {number} height in positions
 * @property {number} width
 * @property {{top: number, left: number, height: number, width: number}} wanted positions of the window; the others are
 *   margin
 * @property {{top: number, left: number, height: number, width: number, filter: number[]}[]} filters boxes of positions
 *   of the window whose filter is not the model's
 */

/**
 * The wanted pixels, RGBA with an alpha of 255.
 * @param {import("./model.js").Model} model
 * @param {number} q
 * @param {Window} window
 * @returns {Uint8ClampedArray} (16 wanted.height, 16 wanted.width, 4)
 */
export function drawWindow(model, q, window) {
  return model.core.within(() => new Drawing(model, q, window).all());
}

class Drawing {
  constructor(model, q, window) {
    const { core } = model, { width, wanted } = window;
    Object.assign(this, { model, core, window });
    this.step = model.putRow("step", q);
    this.film = model.film(q);
    this.usual = core.put(model.row("filter", q));
    this.filters = window.filters.map((box) => ({ ...box, at: core.put(Int32Array.from(box.filter)) }));
    this.size = core.call("synthesis_work", model.synthesis, width);
    this.work = core.take(this.size);
    this.rowBytes = 2 * width * model.config.M;
    this.y = core.take(this.rowBytes);
    // Six rows of samples, of which three have their pixels, then those of a row of positions, all within reach.
    this.stride = CELL * width + 2 * REACH;
    this.rows = AHEAD + CELL;
    this.planes = [0, 1, 2].map(() => core.zeros(2 * this.stride * this.rows));
    this.fresh = core.put(Int32Array.from(this.planes, (at) => at + 2 * (AHEAD * this.stride + REACH)));
    this.pointers = core.take(12);
    this.rgb = core.take(3 * CELL * CELL * wanted.width);
    this.out = new Uint8ClampedArray(4 * CELL * CELL * wanted.width * wanted.height);
    this.still = this.skipped = 0; // rows of zeros that came last; those that the core has not seen
  }

  all() {
    const { height } = this.window;
    let out = 0;
    for (let row = 0; out < height; row++) {
      if (!this.#push(row)) continue;
      if (out) this.#draw(out - 1, CELL - REACH, REACH, 0);
      this.#draw(out, 0, CELL - REACH, REACH);
      out++;
      for (const at of this.planes) this.core.i16(at, this.stride * this.rows).copyWithin(0, CELL * this.stride, (CELL + AHEAD) * this.stride);
    }
    for (const at of this.planes) for (let k = 0; k < REACH; k++) this.#copyRow(at, AHEAD - 1, AHEAD + k);
    this.#draw(height - 1, CELL - REACH, REACH, 0);
    return this.out;
  }

  /** Whether samples of a row of positions have come; then they are there, and repeated at the sides. */
  #push(row) {
    const { core, model } = this;
    if (!this.#isStill(row) && !this.#synthesised(row)) return false;
    const first = row === Math.ceil(model.config.blocks_s / 2);
    for (const at of this.planes) {
      const plane = core.i16(at, this.stride * this.rows);
      for (let k = AHEAD * this.stride; k < plane.length; k += this.stride) {
        plane.fill(plane[k + REACH], k, k + REACH);
        plane.fill(plane[k + this.stride - REACH - 1], k + this.stride - REACH, k + this.stride);
      }
      if (first) for (let k = REACH; k < AHEAD; k++) this.#copyRow(at, AHEAD, k);
    }
    return true;
  }

  /** Whether zeros have come for so long that a row more changes nothing: in files that say much and hold little. */
  #isStill(row) {
    const { y, height } = this.window, n = this.rowBytes / 2;
    const zeros = row < height && y.subarray(row * n, (row + 1) * n).every((v) => v === 0);
    this.still = zeros ? this.still + 1 : 0;
    if (this.still <= 2 * Math.ceil(this.model.config.blocks_s / 2) + 3) return false;
    this.skipped++;
    return true;
  }

  /** Whether g_s gave a row of positions for the one that goes in; nothing goes in behind the last. */
  #synthesised(row) {
    const { core, window, model } = this, { width } = window;
    const there = row < window.height, n = this.rowBytes / 2, place = BigInt(row - this.skipped);
    if (there) core.i16(this.y, n).set(window.y.subarray(row * n, (row + 1) * n));
    const height = BigInt(window.height - this.skipped);
    return core.must("synthesis_row", model.synthesis, this.step, this.film, height, width, place,
      there ? this.y : 0, this.fresh, BigInt(this.stride), this.work, BigInt(this.size));
  }

  #copyRow(plane, from, to) {
    this.core.i16(plane, this.stride * this.rows).copyWithin(to * this.stride, from * this.stride, (from + 1) * this.stride);
  }

  /** Pixels of a row of positions: `count` lines from `line` on, the samples of the first in row `above` + REACH. */
  #draw(row, line, count, above) {
    const { wanted } = this.window, { core } = this, end = wanted.left + wanted.width;
    if (row < wanted.top || row >= wanted.top + wanted.height) return;
    const pitch = 3 * CELL * wanted.width;
    for (let left = wanted.left; left < end; ) {
      const { filter, right } = this.#filterAt(row, left, end);
      const first = (above + REACH) * this.stride + REACH + CELL * left;
      core.i32(this.pointers, 3).set(this.planes.map((at) => at + 2 * first));
      core.call("filter", KERNEL, filter, this.pointers, BigInt(this.stride), count, CELL * (right - left),
        this.rgb + 3 * CELL * (left - wanted.left), BigInt(pitch));
      left = right;
    }
    const rgb = core.bytes(this.rgb, count * pitch);
    let to = 4 * CELL * wanted.width * ((row - wanted.top) * CELL + line);
    for (let k = 0; k < rgb.length; k += 3, to += 4) {
      this.out[to] = rgb[k];
      this.out[to + 1] = rgb[k + 1];
      this.out[to + 2] = rgb[k + 2];
      this.out[to + 3] = 255;
    }
  }

  /** The address of the filter at a position, and the column up to which it holds. */
  #filterAt(row, column, end) {
    let right = end;
    for (const { top, left, height, width, at } of this.filters) {
      if (row < top || row >= top + height) continue;
      if (column >= left && column < left + width) return { filter: at, right: Math.min(end, left + width) };
      if (left > column) right = Math.min(right, left);
    }
    return { filter: this.usual, right };
  }
}

const LINES = 64; // positions whose pixels are made at a time

/**
 * What the linear branch alone makes of y (n positions, M), averaged over squares of `scale` pixels, exactly:
 * (n, 16 / scale, 16 / scale, 3).
 */
export function linearPixels(model, q, y, scale) {
  const { core, config: { M } } = model, n = y.length / M, side = CELL / scale, one = PIXEL_ONE * scale * scale;
  const out = new Uint8ClampedArray(n * side * side * 3);
  core.within(() => {
    const step = model.putRow("step", q), size = core.call("synthesis_work", model.synthesis, LINES);
    const work = core.take(size), input = core.take(2 * LINES * M), base = core.take(4 * LINES * 3 * CELL * CELL);
    for (let first = 0; first < n; first += LINES) {
      const count = Math.min(LINES, n - first);
      core.i16(input, count * M).set(y.subarray(first * M, (first + count) * M));
      core.must("shortcut", model.synthesis, step, count, input, base, work, BigInt(size));
      const x = core.i32(base, count * 3 * CELL * CELL);
      for (let to = first * side * side * 3, k = 0; k < count * side * side * 3; k++, to++) {
        const c = k % 3, column = Math.floor(k / 3) % side, row = Math.floor(k / (3 * side)) % side;
        const cell = (Math.floor(k / (3 * side * side)) * 3 + c) * CELL * CELL;
        let sum = 0;
        for (let i = row * scale; i < (row + 1) * scale; i++)
          for (let j = column * scale; j < (column + 1) * scale; j++) sum += x[cell + i * CELL + j];
        out[to] = nearest(sum / one) + 128;
      }
    }
  });
  return out;
}

/** To the nearest integer, half to even. */
export function nearest(v) {
  const floor = Math.floor(v), rest = v - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}
