/** The latents of a tile (bitstream_spec.md, sections 7 and 8): coded sections to y_hat. */

import { corrupt } from "./errors.js";

const ROUNDS_MAX = 20480, STATE_START = 65536, R_MAX = 32767, Z_MAX = 63;
const LOW_STEPS = 2; // the phases of the low channels, whose words have a section of their own
const FAULTS = { [-3]: "an escape is cut off", [-4]: "an escape is not in its shortest form", [-5]: "an escape is out of range" };

/** How many machines a dependent run of n symbols has. */
const machinesFor = (n) => 2 ** Math.min(7, Math.max(0, Math.floor(Math.log2(Math.max(1, Math.floor(n / 512))))));

/** The symbols of a tile, run by run, in the core's memory. */
class Reader {
  constructor(core, tile, most) {
    this.core = core;
    this.lanes = tile.lanes;
    this.x = core.put(tile.states);
    if (tile.states.some((state) => state < STATE_START)) throw corrupt("E1", "an entropy coder's state is out of range");
    const parts = [tile.z, tile.low, tile.high];
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    // A symbol takes at most a word and three bytes of escape.
    if (size > 2 * most || tile.escapes.length > 3 * most) throw corrupt("E3", "a tile has more data than symbols");
    this.words = core.take(size);
    this.ends = []; // words up to the end of each section
    let at = 0;
    for (const part of parts) {
      core.bytes(this.words + at, part.length).set(part);
      this.ends.push((at += part.length) / 2);
    }
    this.count = size / 2;
    this.at = this.rounds = this.escaped = 0;
    this.escape = core.take(4 * tile.escapes.length);
    this.taken = core.take(8);
    const section = core.put(tile.escapes);
    this.escapes = core.call("escapes", section, BigInt(tile.escapes.length), R_MAX, this.escape);
    if (this.escapes < 0) throw corrupt("E4", `a tile's escapes are no numbers: ${FAULTS[this.escapes]}`);
  }

  /** Values of n symbols, at `value`, and their quantisers, at `quantiser`. table: their tables. All are addresses. */
  read(tables, n, table, dependent, value, quantiser) {
    const { core } = this;
    const machines = dependent ? machinesFor(n) : 0;
    const used = dependent ? Math.min(this.lanes, machines) : this.lanes;
    this.rounds += Math.ceil(n / used);
    if (this.rounds > ROUNDS_MAX) throw corrupt("E5", "a tile has too few lanes for its symbols");
    core.within(() => {
      const symbol = core.take(n), left = this.count - this.at, words = this.words + 2 * this.at;
      core.call("rans_decode", this.x, used, BigInt(n), table, machines, tables.native, words, BigInt(left), symbol,
        quantiser, this.taken);
      const taken = core.u32(this.taken, 1)[0];
      if (taken > left) throw corrupt("E2", "a tile's coded data ends too early");
      this.at += taken;
      const escape = this.escape + 4 * this.escaped;
      const found = core.call("values", BigInt(n), table, quantiser, symbol, tables.low, tables.last, escape,
        BigInt(this.escapes - this.escaped), value);
      if (found < 0) throw corrupt("E4", "a tile has too few escapes");
      this.escaped += found;
    });
  }

  endSection(section) {
    if (this.at !== this.ends[section]) throw corrupt("E3", "a tile's section does not end where its length says");
  }

  finish() {
    if (this.core.u32(this.x, this.lanes).some((state) => state !== STATE_START))
      throw corrupt("E3", "a tile's coded data does not end where it should");
    if (this.escaped !== this.escapes) throw corrupt("E4", "a tile has too many escapes");
  }
}

/**
 * y_hat (h, w, M) in 1/16 step of a tile of h x w positions.
 *
 * lowOnly: the others are 0.
 * @param {import("./model.js").Model} model
 * @param {number} q 0 to 1000
 * @returns {Int16Array}
 */
export function decodeLatents(model, q, tile, h, w, lowOnly = false) {
  const { core, config: { M, N } } = model;
  model.zTables(q); // which stay
  return core.within(() => {
    const zh = Math.ceil(h / 4), zw = Math.ceil(w / 4);
    const reader = new Reader(core, tile, zh * zw * N + h * w * M);
    const features = hyperFeatures(model, q, reader, zh, zw, h, w);
    const yHat = core.zeros(2 * h * w * M);
    for (let step = 0; step < (lowOnly ? LOW_STEPS : model.steps.length); step++) {
      core.within(() => contextStep(model, q, reader, step, features, yHat, h, w));
      if (step === LOW_STEPS - 1) reader.endSection(1);
    }
    if (!lowOnly) {
      reader.endSection(2);
      reader.finish();
    }
    return core.i16(yHat, h * w * M).slice();
  });
}

/** Reads z, and the address of what h_s makes of it. */
function hyperFeatures(model, q, reader, zh, zw, h, w) {
  const { core, channels, config: { N } } = model;
  const features = core.take(2 * h * w * channels);
  core.within(() => {
    const n = zh * zw * N, inputs = Math.ceil(N / 32) * 32;
    const table = core.put(Uint16Array.from({ length: n }, (_, i) => i % N));
    const value = core.take(4 * n), quantiser = core.take(n), z = core.zeros(2 * zh * zw * inputs);
    reader.read(model.zTables(q), n, table, false, value, quantiser);
    reader.endSection(0);
    const values = core.i32(value, n), zHat = core.i16(z, zh * zw * inputs);
    for (let i = 0; i < n; i++)
      zHat[Math.floor(i / N) * inputs + (i % N)] = 16 * Math.max(-Z_MAX, Math.min(Z_MAX, values[i]));
    const size = core.call("hyper_work", model.hyper, zh, zw);
    core.must("hyper_synthesis", model.hyper, model.putRow("h_s.bias", q, Int16Array), zh, zw, z, h, w, features,
      core.take(size), BigInt(size));
  });
  return features;
}

/** A context step: which elements are coded from which tables, and their values added to their means. */
function contextStep(model, q, reader, step, features, yHat, h, w) {
  const { core, config: { M, skip, dependent } } = model;
  const { start, end } = model.steps[step], count = end - start;
  const bias = core.put(model.row("index_bias", q).slice(start, end));
  const map = core.take(h * w * count), number = core.take(16), net = model.contexts[step];
  const size = core.call("context_work", net, h, w);
  core.within(() => core.must("context_step", net, h, w, features, yHat, M, bias, skip, dependent, map, number,
    core.take(size), BigInt(size)));
  const [first, , second] = core.i32(number, 4);
  const place = core.take(4 * (first + second)), table = core.take(2 * (first + second));
  core.must("places", map, BigInt(h * w), count, M, start, dependent, number, place, table);
  for (const [from, n, follows] of [[0, first, true], [first, second, false]])
    core.within(() => {
      const value = core.take(4 * n), quantiser = core.take(n);
      reader.read(model.y, n, table + 2 * from, follows, value, quantiser);
      core.call("add", yHat, place + 4 * from, value, follows ? quantiser : 0, BigInt(n));
    });
}
