/**
 * Model files (bitstream_spec.md, section 5): safetensors, or the same packed for the way (vaecodec/web/packing.py).
 * What is read here is checked: a decoder may rely on every size, range and sum.
 */

import { unsupported, VaecError } from "./errors.js";
import { Sha256 } from "./sha256.js";

const FORMAT = "vaecodec-model-3";
const FILE_MAX = 1 << 26;
const ANCHORS = 9, TABLES = 64;
const TYPES = { I8: ["int8", Int8Array], I16: ["int16", Int16Array], U16: ["uint16", Uint16Array], I32: ["int32", Int32Array] };
const WIDTHS = ["C", "M", "N", "D", "low"];
const COUNTS = ["blocks_a", "blocks_s", "blocks_h", "blocks_c"];

/**
 * @typedef {{type: string, shape: number[], data: Int8Array | Int16Array | Uint16Array | Int32Array}} Tensor
 * @typedef {{name: string, hash: string, config: Record<string, number>, tensors: Map<string, Tensor>}} ModelFile
 */

/** A fault of a model file: none can be decoded with it. */
const bad = (what, rule) => unsupported(rule, `unusable model file: ${what}`);

/**
 * @param {Uint8Array} bytes as fetched: packed (gzip) or not.
 * @returns {Promise<ModelFile>}
 */
export async function readModel(bytes) {
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const file = packed ? await inflated(bytes) : bytes;
  const { header, at } = readHeader(file);
  const meta = header.__metadata__ ?? {};
  const config = readConfig(meta);
  const tensors = readTensors(file.subarray(at), header, packed);
  checkLayout(config, tensors);
  if (digest(meta.config, tensors) !== meta.hash) throw bad("it is damaged (its hash is wrong)", "M4");
  checkNumbers(config, tensors);
  return { name: meta.name, hash: meta.hash, config, tensors };
}

async function inflated(bytes) {
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const parts = [];
    let size = 0;
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      if ((size += value.length) > FILE_MAX) throw bad("it is too long");
    }
    const all = new Uint8Array(size);
    let at = 0;
    for (const part of parts) all.set(part, at), (at += part.length);
    return all;
  } catch (error) {
    throw error instanceof VaecError ? error : bad("it is cut off or damaged");
  }
}

function readHeader(file) {
  try {
    const size = Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true));
    if (file.length > FILE_MAX || size > Math.min(file.length - 8, 1 << 20)) throw bad("its header is too long");
    const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, 8 + size)));
    if (typeof header !== "object" || header === null || Array.isArray(header)) throw 0;
    return { header, at: 8 + size };
  } catch (error) {
    throw error instanceof VaecError ? error : bad("its header is cut off or no JSON");
  }
}

function readConfig(meta) {
  if (meta.format !== FORMAT) throw bad(`it is none of format ${FORMAT}`);
  if (!/^[\x21-\x7e]{1,8}$/.test(meta.name ?? "")) throw bad("its name fits no file's header", "M3");
  if (!/^[0-9a-f]{64}$/.test(meta.hash ?? "")) throw bad("it has no hash", "M4");
  let config;
  try {
    config = JSON.parse(meta.config);
  } catch {
    throw bad("its config is no JSON");
  }
  const names = [...WIDTHS, ...COUNTS, "skip", "dependent", ...(Object.hasOwn(config ?? {}, "mid") ? ["mid"] : [])];
  const within = (name) => {
    const v = config?.[name];
    const [least, most] = name === "mid" || WIDTHS.includes(name) ? [1, 4096] : [0, name === "skip" ? TABLES - 1 : TABLES];
    return Number.isInteger(v) && v >= least && v <= most;
  };
  const whole = names.every(within) && Object.keys(config).length === names.length;
  if (!whole || steps(config).some(({ start, end }) => start >= end))
    throw bad("its config is out of range");
  return config;
}

function readTensors(body, header, packed) {
  const tensors = new Map();
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  let at = 0;
  const start = ([, entry]) => entry?.data_offsets?.[0];
  for (const [name, entry] of entries.sort((a, b) => start(a) - start(b) || a[1].data_offsets[1] - b[1].data_offsets[1])) {
    if (name.startsWith("enc.")) {
      at = entry.data_offsets?.[1]; // serves encoders
      continue;
    }
    const [type, Kind] = TYPES[entry?.dtype] ?? [];
    const shape = entry?.shape;
    if (!Kind || !Array.isArray(shape) || shape.length > 4 || !shape.every((n) => Number.isInteger(n) && n >= 0))
      throw bad("a tensor is of a type or a shape that no model has");
    const count = shape.reduce((a, b) => a * b, 1);
    const size = count * Kind.BYTES_PER_ELEMENT;
    if (start([name, entry]) !== at || entry.data_offsets[1] !== at + size || at + size > body.length)
      throw bad("the bytes of its tensors do not lie one behind the other");
    tensors.set(name, { type, shape, data: numbers(body.subarray(at, at + size), Kind, packed) });
    at += size;
  }
  if (at !== body.length) throw bad("it is cut off, or has bytes that are no tensor's");
  return tensors;
}

/** Little-endian numbers; packed: int16 as 0, -1, 1, ..., and all in planes, first the low bytes of all numbers. */
function numbers(bytes, Kind, packed) {
  const width = Kind.BYTES_PER_ELEMENT, n = bytes.length / width;
  const out = new Kind(n);
  for (let i = 0; i < n; i++) {
    let v = 0;
    for (let b = 0; b < width; b++) v |= bytes[packed ? b * n + i : width * i + b] << (8 * b);
    out[i] = packed && Kind === Int16Array ? (v >>> 1) ^ -(v & 1) : v;
  }
  return out;
}

function digest(config, tensors) {
  const text = new TextEncoder(), hash = new Sha256();
  hash.update(text.encode(config));
  const byCodePoint = (a, b) => (a < b ? -1 : 1); // names are ASCII, see the layout
  for (const name of [...tensors.keys()].sort(byCodePoint)) {
    const { type, shape, data } = tensors.get(name);
    hash.update(text.encode(`\n${name} ${type} ${shape.join("x")}\n`)).update(littleEndian(data));
  }
  return hash.hex();
}

function littleEndian(data) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (new Uint8Array(Uint16Array.of(1).buffer)[0]) return bytes;
  const width = data.BYTES_PER_ELEMENT, turned = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) turned[i] = bytes[i - (i % width) + width - 1 - (i % width)];
  return turned;
}

/**
 * The context steps: how many channels of y_hat each one looks at, and the first of those that it codes, and their end.
 * @param {Record<string, number>} config
 */
export function steps({ low, mid, M }) {
  const ends = mid ? [low, mid, M] : [low, M];
  return ends.flatMap((end, group) => {
    const start = group ? ends[group - 1] : 0;
    return [{ known: start, start, end }, { known: end, start, end }];
  });
}

/**
 * The exact layers and quality tables of a config, by path: [outputs, inputs, limit of the inputs, wide], or for a
 * table [columns, least, most].
 */
function architecture(config) {
  const { C, M, N, D, blocks_s, blocks_h, blocks_c } = config;
  const layers = new Map(), tables = new Map();
  const layer = (path, outputs, inputs, limit = 2047, wide = false) => layers.set(path, [outputs, inputs, limit, wide]);
  const block = (path, n) => (layer(`${path}.w1`, 2 * n, n), layer(`${path}.dw`, 2 * n, 9), layer(`${path}.w2`, n, n));
  tables.set("step", [M, 1, 32767]).set("index_bias", [M, -2047, 2047]).set("filter", [36, -2047, 2047]);
  tables.set("h_s.bias", [D, -2047, 2047]);
  tables.set("g_s.film_scale", [C, 0, 511]).set("g_s.film_bias", [C, -2047, 2047]);
  layer("h_s.enter", 4 * D, N, 1008);
  layer("h_s.up", 4 * D, D);
  layer("g_s.enter", 4 * C, M, 16384, true);
  layer("g_s.shortcut", 768, M, 16384, true);
  layer("g_s.leave", 192, C);
  block("h_s.block1", D);
  for (let i = 0; i < blocks_h; i++) block(`h_s.blocks.${i}`, D);
  for (let i = 0; i < blocks_s; i++) block(`g_s.blocks.${i}`, C);
  steps(config).forEach(({ known, start, end }, s) => {
    if (known) layer(`context.${s}.enter`, D, known);
    for (let i = 0; i < blocks_c; i++) block(`context.${s}.blocks.${i}`, D);
    layer(`context.${s}.leave`, 2 * (end - start), D);
  });
  return { layers, tables };
}

function checkLayout(config, tensors) {
  const { layers, tables } = architecture(config);
  const wanted = new Map();
  for (const [path, [outputs, inputs]] of layers) {
    wanted.set(`${path}.w`, ["int16", outputs, inputs]).set(`${path}.b`, ["int32", outputs]);
    wanted.set(`${path}.k`, ["int8", outputs]);
  }
  for (const [path, [columns]] of tables) wanted.set(`${path}.t`, ["int16", ANCHORS, columns]);
  for (const [kind, rows] of [["y", 2 * TABLES], ["z", ANCHORS * config.N]]) {
    const width = tensors.get(`${kind}.frequency`)?.shape.at(-1);
    wanted.set(`${kind}.frequency`, ["uint16", rows, width]);
    for (const name of ["low", "size"]) wanted.set(`${kind}.${name}`, ["int16", rows]);
  }
  for (const [name, [type, ...shape]] of wanted) {
    const there = tensors.get(name);
    if (there?.type !== type || there.shape.join() !== shape.join())
      throw bad(`its tensor ${name} is not ${type} of ${shape.join(" x ")}`, "M4");
  }
  if (tensors.size > wanted.size) throw bad("it has tensors that its architecture has not");
}

function checkNumbers(config, tensors) {
  const { layers, tables } = architecture(config);
  for (const [path, [outputs, inputs, limit, wide]] of layers) {
    const [w, b, k] = ["w", "b", "k"].map((name) => tensors.get(`${path}.${name}`).data);
    for (let o = 0; o < outputs; o++) {
      let sum = 0;
      for (let i = o * inputs; i < (o + 1) * inputs; i++) sum += Math.abs(w[i]);
      if (sum * limit + Math.abs(b[o]) >= (wide ? 2 ** 44 : 2 ** 24) || k[o] < 0 || k[o] > 24)
        throw bad("a layer fails the overflow proof", "A1");
    }
  }
  for (const [path, [, least, most]] of tables)
    if (tensors.get(`${path}.t`).data.some((v) => v < least || v > most)) throw bad("a table is out of range", "M2");
  checkFilters(tensors.get("filter.t").data);
  for (const kind of ["y", "z"]) checkTables(kind, tensors);
}

function checkFilters(anchors) {
  for (let a = 0; a + 1 < ANCHORS; a++) {
    const most = Array.from({ length: 36 }, (_, i) => Math.max(Math.abs(anchors[36 * a + i]), Math.abs(anchors[36 * a + 36 + i])));
    if (strength(most) > STRENGTH_MAX) throw bad("a filter is too strong", "M6");
  }
}

export const STRENGTH_MAX = 56000;

/** The strength of a filter's 36 numbers, section 9. */
export function strength(filter) {
  const weight = (i) => (i < 12 ? 64 : i < 24 ? 1 : i < 30 ? 192 : 2);
  return filter.reduce((sum, v, i) => sum + weight(i) * Math.abs(v), 0);
}

function checkTables(kind, tensors) {
  const [low, size, frequency] = ["low", "size", "frequency"].map((name) => tensors.get(`${kind}.${name}`));
  const width = frequency.shape[1];
  for (let t = 0; t < low.data.length; t++) {
    let sum = 0;
    const n = size.data[t];
    for (let s = 0; s < n && n <= width; s++) sum += frequency.data[t * width + s] + 1;
    if (n < 2 || n > Math.min(width, 256) || sum !== 65536) throw bad("a probability table does not sum to 1", "M1");
    if (kind === "y" && low.data[t] % 2) throw bad("a table of y begins at an odd value", "M5");
  }
}

/** The row of a quality table for quality q, 0 to 1000. */
export function row(file, name, q) {
  const { data, shape } = file.tensors.get(`${name}.t`);
  const k = Math.min(Math.floor(q / 125), 7), f = q - 125 * k, n = shape[1];
  return Int32Array.from({ length: n }, (_, i) =>
    Math.floor((data[k * n + i] * (125 - f) + data[(k + 1) * n + i] * f + 62) / 125));
}
