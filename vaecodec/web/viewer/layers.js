/** What the stage draws: a picture as one bitmap, or, of a huge one, a small picture and the tiles that are seen. */
import { toPNG, upright } from "../vaec.js";

export const HUGE = 40e6; // pixels from which on a picture is shown by tiles
const LONGEST = 16384; // side of a canvas or bitmap that browsers draw
const COARSE = 6e6; // pixels that the small picture may have
const BULKY = 8e6; // bytes that are worth fetching for it: of larger files with an index only the tiles that are seen
const KEPT = 48e6; // pixels of the tiles that are kept
const DEEPEST = 5; // tiles are kept at 1/32 at the least
const AT_A_TIME = 3; // tiles being decoded

export const isHuge = ({ width, height }) => width * height > HUGE || Math.max(width, height) > LONGEST;

/** A bitmap in the colours of the picture. What has a profile goes through PNG: browsers convert that, any profile. */
export async function bitmapOf(picture, options) {
  if (!picture.icc && !picture.cicp) {
    const { data, width, height } = upright(picture);
    return createImageBitmap(new ImageData(data, width, height), options);
  }
  return createImageBitmap(new Blob([toPNG(picture)], { type: "image/png" }), options);
}

/** A whole picture; `width` and `height` are those it is drawn at. */
export class Whole {
  constructor(bitmap, width = bitmap.width, height = bitmap.height) {
    Object.assign(this, { bitmap, width, height });
  }

  draw(context, { x, y, zoom }) {
    context.drawImage(this.bitmap, x, y, this.width * zoom, this.height * zoom);
  }

  close() {
    this.bitmap.close();
  }
}

/** A huge picture: all of it, coarse, and over that its tiles, of which the least recently seen are dropped. */
export class Tiled {
  /** redraw: called when a tile has come. report: called with an error. */
  constructor(opened, redraw, report, kept = KEPT) {
    Object.assign(this, { opened, redraw, report, kept });
    [this.width, this.height] = turnedSize(opened);
    this.tiles = new Map(); // key -> bitmap; the last seen are the last
    this.failed = new Set();
    this.pixels = 0;
    this.wanted = [];
    this.running = new Map(); // key -> AbortController
  }

  /** Decode the coarse picture, if it is worth it. remote: whether the file has to be fetched. */
  async begin(remote, options) {
    const { width, height, indexed, size } = this.opened;
    if (remote && indexed && size > BULKY) return;
    this.scale = (width * height) / 64 > COARSE ? 16 : 8;
    this.coarse = new Whole(await bitmapOf(await this.opened.decode({ ...options, scale: this.scale })), this.width, this.height);
  }

  draw(context, view) {
    this.coarse?.draw(context, view);
    this.wanted = [];
    if (this.coarse && (view.zoom * this.scale < 1.5 || view.zoom < 0.2)) return this.drop();
    const level = Math.max(0, Math.min(DEEPEST, Math.floor(Math.log2(1 / view.zoom))));
    const [left, top, right, bottom] = view.visible;
    for (const cell of this.cells()) {
      const [x, y, w, h] = turnedRegion(cell, this.opened);
      if (x >= right || y >= bottom || x + w <= left || y + h <= top) continue;
      const key = `${level} ${cell}`;
      const tile = this.tiles.get(key);
      const far = Math.hypot(x + w / 2 - (left + right) / 2, y + h / 2 - (top + bottom) / 2);
      if (!tile) {
        if (!this.failed.has(key)) this.wanted.push({ key, cell, level, far });
        continue;
      }
      this.tiles.delete(key);
      this.tiles.set(key, tile);
      // To whole device pixels, or lines would be seen between tiles.
      const edges = [view.x + x * view.zoom, view.y + y * view.zoom, view.x + (x + w) * view.zoom, view.y + (y + h) * view.zoom];
      const [x0, y0, x1, y1] = edges.map(Math.round);
      context.drawImage(tile, x0, y0, x1 - x0, y1 - y0);
    }
    this.wanted.sort((a, b) => a.far - b.far);
    this.drop();
    this.fetch();
  }

  /** Regions of the stored picture, as its tiles are. */
  *cells() {
    const { width, height, tileSide } = this.opened;
    for (let y = 0; y < height; y += tileSide)
      for (let x = 0; x < width; x += tileSide)
        yield [x, y, Math.min(tileSide, width - x), Math.min(tileSide, height - y)];
  }

  /** End what is no longer seen. */
  drop() {
    for (const [key, job] of this.running) if (!this.wanted.some((one) => one.key === key)) job.abort();
  }

  fetch() {
    for (const { key, cell, level } of this.wanted) {
      if (this.running.size >= AT_A_TIME) return;
      if (!this.running.has(key)) this.load(key, cell, level);
    }
  }

  async load(key, cell, level) {
    const job = new AbortController();
    this.running.set(key, job);
    try {
      const picture = await this.opened.decode({ region: cell, signal: job.signal });
      const [width, height] = turnedSize(picture).map((side) => Math.max(1, side >> level));
      const options = level ? { resizeWidth: width, resizeHeight: height, resizeQuality: "high" } : undefined;
      const bitmap = await bitmapOf(picture, options);
      if (this.closed) return bitmap.close();
      this.keep(key, bitmap);
    } catch (error) {
      if (job.signal.aborted) return;
      this.failed.add(key); // the coarse picture has to do
      this.report(error);
    } finally {
      this.running.delete(key);
      if (!this.closed) this.redraw();
    }
  }

  keep(key, bitmap) {
    this.tiles.set(key, bitmap);
    this.pixels += bitmap.width * bitmap.height;
    for (const [oldest, tile] of this.tiles) {
      if (this.pixels <= this.kept || oldest === key) return;
      this.tiles.delete(oldest);
      this.pixels -= tile.width * tile.height;
      tile.close();
    }
  }

  close() {
    this.closed = true;
    this.wanted = [];
    this.drop();
    this.coarse?.close();
    this.tiles.forEach((tile) => tile.close());
    this.tiles.clear();
  }
}

/** Width and height when the orientation is applied. */
export function turnedSize({ width, height, orientation }) {
  return orientation > 4 ? [height, width] : [width, height];
}

/** A region of the stored picture where it lies in the upright one. */
export function turnedRegion([x, y, w, h], { width, height, orientation }) {
  const [right, below] = [width - x - w, height - y - h]; // what is left beyond it
  return {
    1: [x, y, w, h],
    2: [right, y, w, h],
    3: [right, below, w, h],
    4: [x, below, w, h],
    5: [y, x, h, w],
    6: [below, x, h, w],
    7: [below, right, h, w],
    8: [y, right, h, w],
  }[orientation] ?? [x, y, w, h];
}
