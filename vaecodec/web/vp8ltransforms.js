/** Undoes the transforms of a VP8L bitstream (RFC 9649, section 3.5), on pixels as vp8l.js has them. */

const BLACK = 0xff000000 | 0;

/** @typedef {(pixels: Int32Array, width: number, bits: number, image: Int32Array) => Int32Array} Inverse */

/** How many blocks of 2^bits pixels a side has. @param {number} side @param {number} bits */
export const blocks = (side, bits) => ((side - 1) >> bits) + 1;

/** By predictors of blocks, which are the green of an image. @type {Inverse} */
export function predict(pixels, width, bits, image) {
  const across = blocks(width, bits);
  pixels[0] = add(pixels[0], BLACK);
  for (let i = 1; i < width; i++) pixels[i] = add(pixels[i], pixels[i - 1]);
  for (let row = width, y = 1; row < pixels.length; row += width, y++) {
    const modes = (y >> bits) * across;
    pixels[row] = add(pixels[row], pixels[row - width]);
    for (let x = 1; x < width; x++) {
      const i = row + x, top = i - width; // on the right of the last one above is the first one of this row
      const mode = (image[modes + (x >> bits)] >> 8) & 15;
      pixels[i] = add(pixels[i], guess(mode, pixels[i - 1], pixels[top], pixels[top - 1], pixels[top + 1]));
    }
  }
  return pixels;
}

/**
 * A pixel by the one on its left, the one above and those beside that.
 * @param {number} mode @param {number} left @param {number} top @param {number} topLeft @param {number} topRight
 */
function guess(mode, left, top, topLeft, topRight) {
  switch (mode) {
    case 1: return left;
    case 2: return top;
    case 3: return topRight;
    case 4: return topLeft;
    case 5: return mean(mean(left, topRight), top);
    case 6: return mean(left, topLeft);
    case 7: return mean(left, top);
    case 8: return mean(topLeft, top);
    case 9: return mean(top, topRight);
    case 10: return mean(mean(left, topLeft), mean(top, topRight));
    case 11: return nearer(top, left, topLeft);
    case 12: return full(left, top, topLeft);
    case 13: return half(mean(left, top), topLeft);
    default: return BLACK;
  }
}

/** By factors of blocks, signed, in 1/32: green to red as blue, green to blue as green, red to blue. @type {Inverse} */
export function addColour(pixels, width, bits, image) {
  const across = blocks(width, bits);
  for (let i = 0, y = 0; i < pixels.length; y++) {
    for (let x = 0; x < width; x++, i++) {
      const factors = image[(y >> bits) * across + (x >> bits)], pixel = pixels[i], green = (pixel << 16) >> 24;
      const red = ((pixel >> 16) + ((((factors << 24) >> 24) * green) >> 5)) & 255;
      const byGreen = (((factors << 16) >> 24) * green) >> 5;
      const byRed = (((factors << 8) >> 24) * ((red << 24) >> 24)) >> 5;
      pixels[i] = (pixel & 0xff00ff00) | (red << 16) | ((pixel + byGreen + byRed) & 255);
    }
  }
  return pixels;
}

/** Green to red and blue. @param {Int32Array} pixels */
export function addGreen(pixels) {
  for (let i = 0; i < pixels.length; i++) {
    const green = (pixels[i] >> 8) & 255;
    pixels[i] = add(pixels[i], (green << 16) | green);
  }
  return pixels;
}

/** 2^bits indices a green, the first one lowest. The image has differences of colours. @type {Inverse} */
export function fromPalette(packed, width, bits, image) {
  const palette = new Int32Array(256); // 0 beyond its colours
  for (let n = 0; n < image.length; n++) palette[n] = add(image[n], n ? palette[n - 1] : 0);
  const across = blocks(width, bits), size = 8 >> bits, pixels = new Int32Array((packed.length / across) * width);
  for (let i = 0, row = 0; i < pixels.length; row += across) {
    for (let x = 0; x < width; x++, i++) {
      const green = (packed[row + (x >> bits)] >> 8) & 255;
      pixels[i] = palette[(green >> (size * (x & ((1 << bits) - 1)))) & ((1 << size) - 1)];
    }
  }
  return pixels;
}

/** RGBA, in the same memory. All browsers run on little-endian processors. @param {Int32Array} pixels */
export function toBytes(pixels) {
  for (let i = 0; i < pixels.length; i++) {
    const pixel = pixels[i];
    pixels[i] = (pixel & 0xff00ff00) | ((pixel >> 16) & 255) | ((pixel & 255) << 16);
  }
  return new Uint8Array(pixels.buffer);
}

/** Sums of samples, modulo 256. @param {number} a @param {number} b */
const add = (a, b) =>
  (((a & 0xff00ff00) + (b & 0xff00ff00)) & 0xff00ff00) | (((a & 0xff00ff) + (b & 0xff00ff)) & 0xff00ff);

/** Means of samples, rounded down. @param {number} a @param {number} b */
const mean = (a, b) => ((((a ^ b) & 0xfefefefe) >>> 1) + (a & b)) | 0;

/** @param {number} v */
const clamp = (v) => (v < 0 ? 0 : v > 255 ? 255 : v);

/** a where b is at least as far from c, else b. @param {number} a @param {number} b @param {number} c */
function nearer(a, b, c) {
  let more = 0;
  for (let n = 0; n < 32; n += 8) {
    const from = (c >>> n) & 255;
    more += Math.abs(((b >>> n) & 255) - from) - Math.abs(((a >>> n) & 255) - from);
  }
  return more <= 0 ? a : b;
}

/** a + b - c. @param {number} a @param {number} b @param {number} c */
function full(a, b, c) {
  let pixel = 0;
  for (let n = 0; n < 32; n += 8) pixel |= clamp(((a >>> n) & 255) + ((b >>> n) & 255) - ((c >>> n) & 255)) << n;
  return pixel;
}

/** a + (a - b) / 2, of which the half is rounded towards 0. @param {number} a @param {number} b */
function half(a, b) {
  let pixel = 0;
  for (let n = 0; n < 32; n += 8) {
    const sample = (a >>> n) & 255;
    pixel |= clamp(sample + (((sample - ((b >>> n) & 255)) / 2) | 0)) << n;
  }
  return pixel;
}
