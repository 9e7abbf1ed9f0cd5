/**
 * Reads .vaec pictures in browsers, workers and Node: the same pixels as the command `vaecodec decode`. vaec.d.ts says
 * what each function takes and gives.
 */

import { missingTile, needModel, parse, parseHead, tileOf, tileRanges } from "./container.js";
import { drawRegion, drawScaled } from "./drawing.js";
import { VaecError } from "./errors.js";
import { engines, place } from "./parts.js";
import { toPNG, upright } from "./png.js";
import { sourceOf } from "./source.js";

export { toPNG, upright, VaecError };

const MAX_PIXELS = 128e6;
const FIRST_READ = 4096;
const SCALES = [1, 2, 4, 8];

export async function setup(options = {}) {
  place(options);
  await engines();
}

export async function decode(source, options = {}) {
  checkOptions(options);
  let received = { received: 0 };
  const tell = (decoded) => options.onProgress?.({ ...received, decoded });
  const from = await sourceOf(source, {
    signal: options.signal,
    onProgress: (bytes, total) => ((received = { received: bytes, total }), tell(0)),
  });
  if (!options.region) await from.bytes(); // in one request
  return drawn(from, await begin(from), { ...options, onProgress: ({ decoded }) => tell(decoded) });
}

export async function info(source, { signal } = {}) {
  const from = await sourceOf(source, { signal });
  return facts(await begin(from), from.size);
}

export async function open(source, { signal } = {}) {
  const from = await sourceOf(source, { signal });
  const head = await begin(from);
  return { ...facts(head, from.size), decode: (options = {}) => drawn(from, head, options) };
}

function checkOptions({ region, scale = 1, maxPixels = MAX_PIXELS, workers = 0 }) {
  const fault = (what) => new VaecError("argument", what);
  if (!SCALES.includes(scale)) throw fault(`scale is ${scale}, not one of ${SCALES.join(", ")}`);
  if (region && scale !== 1) throw fault("region and scale do not go together");
  if (region && !(region.length === 4 && [...region].every(Number.isInteger)))
    throw fault("region is left, top, width, height in whole pixels");
  if (!(maxPixels >= 1)) throw fault(`maxPixels is ${maxPixels}`);
  if (!(Number.isInteger(workers) && workers >= 0)) throw fault(`workers is ${workers}`);
}

/** Reads what stands ahead of the tiles. */
async function begin(from) {
  for (let needed = FIRST_READ; ; ) {
    const bytes = await from.read(0, needed);
    const head = parseHead(bytes, { size: bytes.length < needed ? bytes.length : from.size });
    if (!("needed" in head)) return head;
    needed = head.needed;
  }
}

function facts({ header, metadata, indexed }, size) {
  const { width, height, channels, quality, tileSide, rows, columns, progressive, model } = header;
  const own = { width, height, channels, quality: quality / 10, tileSide, tiles: rows * columns, progressive, indexed };
  return { ...own, model: model.name, size, ...metadata };
}

async function drawn(from, head, options) {
  checkOptions(options);
  const { region, scale = 1, partial = false, signal, workers, maxPixels = MAX_PIXELS } = options;
  const { header, metadata } = head;
  const box = region ? inside(header, region) : [0, 0, header.width, header.height];
  const pixels = Math.ceil(box[2] / scale) * Math.ceil(box[3] / scale);
  if (pixels > maxPixels) throw new VaecError("limit", `${pixels} pixels are more than the limit of ${maxPixels}`);
  const tile = region && !partial && head.lengths ? ranged(from, head, signal) : await whole(from, options);
  const work = {
    header,
    tile,
    engines: await engines(workers),
    damaged: partial ? new Set() : null,
    check: () => signal?.throwIfAborted(),
    progress: (decoded) => options.onProgress?.({ received: from.size ?? 0, total: from.size, decoded }),
  };
  return { ...metadata, ...(await draw(work, box, scale)) };
}

async function draw(work, box, scale) {
  needModel(work.header, work.engines.facts);
  work.check();
  const data = scale === 1 ? await drawRegion(work, box) : await drawScaled(work, scale);
  const [width, height] = box.slice(2).map((side) => Math.ceil(side / scale));
  return { width, height, data, channels: work.header.channels, damaged: [...(work.damaged ?? [])].sort((a, b) => a - b) };
}

/** A region that has pixels in the picture. */
function inside(header, region) {
  const [left, top, width, height] = region;
  const fits = left >= 0 && top >= 0 && width > 0 && height > 0 && left + width <= header.width && top + height <= header.height;
  if (!fits) throw new VaecError("argument", `region ${region.join(",")} is not within ${header.width} x ${header.height}`);
  return region;
}

/** Tiles of a file that is read as a whole, every rule checked. */
async function whole(from, { partial, maxPixels = MAX_PIXELS, region, scale = 1, signal }) {
  // A part or a smaller picture may be of a larger one than is allowed.
  const { tiles } = parse(await from.bytes({ signal }), { partial, maxPixels: region || scale > 1 ? undefined : maxPixels });
  return async (number) => tiles[number] ?? missingTile();
}

/** Tiles that are read when they are wanted. */
function ranged(from, head, signal) {
  const ranges = tileRanges(head), kept = new Map();
  return (number) => {
    if (!kept.has(number))
      kept.set(number, Promise.all(ranges[number].map(([start, end]) => from.read(start, end, { signal })))
        .then((chunks) => tileOf(head.header, number, chunks)));
    return kept.get(number);
  };
}

/** Twice as long as the last picture took to draw: so drawing what is not all there takes a third of the time at most. */
const PATIENCE = 2;

export async function* stream(source, options = {}) {
  checkOptions(options);
  const { signal, onProgress } = options;
  const from = await sourceOf(source, { signal, onProgress: (bytes, total) => onProgress?.({ received: bytes, total, decoded: 0 }) });
  const received = new Received(), kept = new Map();
  let shown = 0, wait = 0, last = -Infinity;
  for await (const chunk of from.chunks()) {
    received.add(chunk);
    if (received.size === from.size || performance.now() - last < wait) continue;
    const start = performance.now();
    const found = seen(received.bytes(), from.size, options);
    if (found && found.there > shown) {
      yield { ...(await drawSeen(found, kept, options)), complete: false };
      shown = found.there;
      wait = PATIENCE * (performance.now() - start);
    }
    last = performance.now();
  }
  yield { ...(await decode(received.bytes(), options)), complete: true };
}

/** Bytes as they come. */
class Received {
  size = 0;
  #all = new Uint8Array(1 << 16);

  add(chunk) {
    if (this.size + chunk.length > this.#all.length) {
      const more = new Uint8Array(2 * (this.size + chunk.length));
      more.set(this.bytes());
      this.#all = more;
    }
    this.#all.set(chunk, this.size);
    this.size += chunk.length;
  }

  bytes() {
    return this.#all.subarray(0, this.size);
  }
}

/** What has come of a file, and how many parts of tiles that are; undefined before there is any. */
function seen(bytes, size, { maxPixels = MAX_PIXELS }) {
  try {
    const file = parse(bytes, { partial: true, size, maxPixels });
    // Of a progressive file nothing is worth showing before the low channels are all there.
    const there = file.tiles.filter((tile) => !tile.missing && tile.present > 1).length;
    const all = file.tiles.reduce((sum, tile) => sum + (tile.missing ? 0 : tile.present), 0);
    return there ? { file, there: all } : undefined;
  } catch {
    return undefined; // the header is not all there, or the file is none: the end will tell
  }
}

async function drawSeen({ file }, kept, { signal, workers }) {
  const { header, metadata, tiles } = file;
  for (const [number, tile] of kept) if (tile.present !== tiles[number].present) kept.delete(number);
  const work = { header, tile: async (n) => tiles[n], engines: await engines(workers), damaged: new Set(), kept,
    check: () => signal?.throwIfAborted(), progress: () => {} };
  const picture = await draw(work, [0, 0, header.width, header.height], 1);
  for (const [number, tile] of kept) tile.present = tiles[number].present;
  return { ...metadata, ...picture };
}
