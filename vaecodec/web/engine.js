/** The four kinds of work that a picture is made of. One engine runs on this thread or in each worker. */

import { Core } from "./core.js";
import { corrupt } from "./errors.js";
import { decodeLatents } from "./latents.js";
import { Model } from "./model.js";
import { readModel } from "./modelfile.js";
import { drawWindow, linearPixels, readFilter } from "./synthesis.js";
import { decodeVP8L } from "./vp8l.js";

export class Engine {
  /**
   * @param {WebAssembly.Module} wasm
   * @param {Uint8Array} model the bytes of its file
   */
  static async create(wasm, model) {
    const engine = new Engine();
    engine.model = new Model(new Core(wasm), await readModel(model));
    const { name, hash, config } = engine.model.file;
    /** What a caller has to know of the model. channels: of y. margin: positions of y that a pixel sees beyond its own. */
    engine.facts = { name, hash, channels: config.M, margin: engine.model.margin + 1 };
    return engine;
  }

  /** y_hat (h, w, M) of a tile, and its filter, where it has one of its own. lowOnly: the other channels are 0. */
  latents({ quality, tile, h, w, lowOnly }) {
    const filter = tile.filter.length ? readFilter(tile.filter, this.model.row("filter", quality)) : null;
    return { y: decodeLatents(this.model, quality, tile, h, w, lowOnly), filter };
  }

  /** The wanted pixels of a window, RGBA; see `drawWindow`. */
  window({ quality, window }) {
    return { pixels: drawWindow(this.model, quality, window) };
  }

  /** (n, 16 / scale, 16 / scale, 3) of positions y (n, M). */
  linear({ quality, y, scale }) {
    return { pixels: linearPixels(this.model, quality, y, scale) };
  }

  /** RGBA of a tile's section `overlay` or `alpha` (section 10). */
  exact({ section, width, height, overlay }) {
    const pixels = decodeVP8L(section, width, height);
    if (overlay)
      for (let k = 3; k < pixels.length; k += 4)
        if (pixels[k] !== 0 && pixels[k] !== 255) throw corrupt("P4", "an overlay has a pixel that is half there");
    return { pixels };
  }
}

/** The buffers of a result, which can be handed over instead of copied. */
export function buffersOf(result) {
  return Object.values(result).filter(ArrayBuffer.isView).map((view) => view.buffer);
}
