/** A model's networks and tables in the core's memory, laid out as vaec_core.h says; vaecodec/core/networks.py is the twin. */

import { row, steps } from "./modelfile.js";

const KERNEL = 1; // the one for WebAssembly
const GROUP = 32, BLOCK = 16; // of channels; of outputs that stand together
const FEATURE_MAX = 2047, FEATURE_SHIFT = 7, FILM_SHIFT = 6;
const LOOKUP = 4096, INPUT_BITS = 25;
const full = (n) => Math.ceil(n / GROUP) * GROUP;

export class Model {
  /**
   * @param {import("./core.js").Core} core
   * @param {import("./modelfile.js").ModelFile} file
   */
  constructor(core, file) {
    this.core = core;
    this.file = file;
    this.config = file.config;
    const { C, D, blocks_s, blocks_h, blocks_c } = file.config;
    this.steps = steps(file.config);
    this.margin = Math.ceil(blocks_s / 2);
    this.channels = full(D); // of features at 1/16
    this.hyper = core.struct(
      this.#linear("h_s.enter", { outputs: 4 }),
      this.#linear("h_s.up", { outputs: 4 }),
      this.#chain(["h_s.block1"], D),
      this.#chain(this.#paths("h_s.blocks", blocks_h), D),
    );
    this.contexts = this.steps.map(({ known, start, end }, s) =>
      core.struct(
        known ? this.#linear(`context.${s}.enter`) : this.#nothing(),
        this.#linear(`context.${s}.leave`, { outputs: 2 }),
        this.#chain(this.#paths(`context.${s}.blocks`, blocks_c), D),
        [known, start, end - start, full(end - start), s % 2],
      ),
    );
    this.synthesis = this.#synthesis(this.#chain(this.#paths("g_s.blocks", blocks_s), C, blocks_s >> 1));
    this.y = this.#tables("y", 0, 128);
    this.z = new Map(); // by anchor, made when they are wanted
  }

  #paths(path, count) {
    return Array.from({ length: count }, (_, i) => `${path}.${i}`);
  }

  #exact(path) {
    const [w, b, k] = ["w", "b", "k"].map((name) => this.file.tensors.get(`${path}.${name}`));
    return { w: w.data, b: b.data, k: k.data, outputs: w.shape[0], inputs: w.shape[1] };
  }

  /**
   * `vaec_linear`. outputs: in how many equal parts they are, each filled up with zeros. side: they make cells of so
   * many pixels a side, and are put in the order (colour, row, column).
   */
  #linear(path, { outputs = 1, side = 0 } = {}) {
    const { w, b, k, outputs: n, inputs } = this.#exact(path);
    const part = n / outputs, rows = outputs * full(part), columns = full(inputs);
    const weight = new Int16Array(rows * columns), bias = new Int32Array(rows), scale = new Float32Array(rows);
    for (let o = 0; o < n; o++) {
      const from = side ? (o % (side * side)) * 3 + Math.floor(o / (side * side)) : o;
      const to = Math.floor(o / part) * full(part) + (o % part);
      bias[to] = b[from];
      scale[to] = 2 ** -k[from];
      const cell = (to >> 4) * (columns >> 1) * 2 * BLOCK + (to % BLOCK) * 2;
      for (let i = 0; i < inputs; i++) weight[cell + (i >> 1) * 2 * BLOCK + (i & 1)] = w[from * inputs + i];
    }
    return [...[weight, bias, scale].map((a) => this.core.put(a)), columns, rows];
  }

  #nothing() {
    return [this.core.zeros(2 * GROUP * GROUP), this.core.zeros(4 * GROUP), this.core.zeros(4 * GROUP), GROUP, GROUP];
  }

  /** `vaec_depthwise`, of channels in two halves. */
  #depthwise(path) {
    const { w, b, k, outputs: n } = this.#exact(path);
    const part = n / 2, channels = 2 * full(part);
    const weight = new Int16Array(channels * 10), bias = new Int32Array(channels), scale = new Float32Array(channels);
    for (let o = 0; o < n; o++) {
      const to = Math.floor(o / part) * full(part) + (o % part);
      const group = to >> 5, half = (to >> 2) & 1, place = half * 16 + ((to >> 3) & 3) * 4 + (to & 3);
      bias[group * GROUP + place] = b[o];
      scale[group * GROUP + place] = 2 ** -k[o];
      for (let tap = 0; tap < 9; tap++)
        weight[group * 320 + (tap >> 1) * 64 + place * 2 + (tap & 1)] = w[o * 9 + tap];
    }
    return [...[weight, bias, scale].map((a) => this.core.put(a)), channels];
  }

  /** `vaec_chain`, of gated blocks. film: before which block features are scaled. */
  #chain(paths, channels, film = -1) {
    const blocks = paths.map((path) => [this.#linear(`${path}.w1`, { outputs: 2 }), this.#depthwise(`${path}.dw`),
      this.#linear(`${path}.w2`), 1]);
    const at = this.core.struct(blocks);
    return [at, blocks.length, full(channels), film, KERNEL, FEATURE_MAX, FEATURE_SHIFT];
  }

  /** `vaec_synthesis`: the inputs of its wide layers come in pieces of as many bits as int32 sums have room for. */
  #synthesis(chain) {
    let most = 0;
    for (const path of ["g_s.enter", "g_s.shortcut"]) {
      const { w, outputs, inputs } = this.#exact(path);
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += Math.abs(w[o * inputs + i]);
        most = Math.max(most, sum);
      }
    }
    let bits = 15;
    while (most * 2 ** (bits - 1) >= 2 ** 31) bits--;
    const wide = (linear) => {
      const [weight, bias, scale, inputs, outputs] = linear;
      return [weight, this.core.zeros(4 * outputs), scale, inputs, outputs, bias];
    };
    return this.core.struct(
      wide(this.#linear("g_s.enter", { outputs: 4 })),
      wide(this.#linear("g_s.shortcut", { side: 16 })),
      this.#linear("g_s.leave", { side: 8 }),
      chain,
      [this.config.M, bits, Math.ceil(INPUT_BITS / bits)],
    );
  }

  /** `vaec_tables` of some rows, and of each table its first value and its escape. */
  #tables(kind, first, count) {
    const [low, size, frequency] = ["low", "size", "frequency"].map((name) => this.file.tensors.get(`${kind}.${name}`));
    const width = frequency.shape[1];
    const lookup = new Uint8Array(count * LOOKUP), symbols = new Uint32Array(count * width);
    const lows = new Int32Array(count), lasts = new Int32Array(count);
    for (let t = 0; t < count; t++) {
      lows[t] = low.data[first + t];
      lasts[t] = size.data[first + t] - 1;
      let start = 0;
      for (let s = 0; s <= lasts[t]; s++) {
        const f = frequency.data[(first + t) * width + s] + 1;
        symbols[t * width + s] = f * 65536 + start; // less than 2^32: a table has two symbols or more
        lookup.fill(s, t * LOOKUP + Math.ceil(start / 16), t * LOOKUP + Math.ceil((start + f) / 16));
        start += f;
      }
    }
    const native = this.core.struct(this.core.put(lookup), this.core.put(symbols), count, width);
    return { native, low: this.core.put(lows), last: this.core.put(lasts) };
  }

  /** The tables of z at the anchor nearest to a quality. */
  zTables(q) {
    const anchor = Math.floor((q + 62) / 125);
    if (!this.z.has(anchor)) this.z.set(anchor, this.#tables("z", anchor * this.config.N, this.config.N));
    return this.z.get(anchor);
  }

  /** The row of a quality table, as it is. */
  row(name, q) {
    return row(this.file, name, q);
  }

  /** The address of a row, filled up with zeros. */
  putRow(name, q, Kind = Int32Array) {
    const values = this.row(name, q), filled = new Kind(full(values.length));
    filled.set(values);
    return this.core.put(filled);
  }

  /** `vaec_film` of a quality. */
  film(q) {
    return this.core.struct(this.putRow("g_s.film_scale", q), this.putRow("g_s.film_bias", q), FILM_SHIFT);
  }
}
