/**
 * Lossless WebP bitstreams (VP8L, RFC 9649 section 3), as the sections `overlay` and `alpha` of a tile are. Section 10
 * of bitstream_spec.md says what decodes and what is refused, as libwebp has it.
 *
 * A prefix code is a number, see `build`, and so is a pixel: alpha, red, green and blue from the highest byte on.
 */

import { corrupt } from "./errors.js";
import { addColour, addGreen, blocks, fromPalette, predict, toBytes } from "./vp8ltransforms.js";

const SIGNATURE = 0x2f, HEADER = 5; // bytes of the latter
const PREDICTOR = 0, COLOUR = 1, SUBTRACT_GREEN = 2; // transforms; the fourth is a palette
const LITERALS = 256, LENGTHS = 24, DISTANCES = 40; // symbols: green has literals, lengths, and keys of a cache
const CODES = 5; // of a group: green, red, blue, alpha, distances
const CACHE_MOST = 11; // bits
const LONGEST = 15; // bits of a symbol
const ROOT = 8; // bits by which a symbol is looked up first
const ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]; // of the lengths of code lengths
const REPEATS = [[2, 3], [3, 3], [7, 11]]; // of code lengths, by 16, 17 and 18: extra bits, and the least
const FIRST_REPEATED = 8;
const BEHIND = 12; // bytes: a pixel may be read as far past the end before that is noticed

/** @type {[left: number, up: number][]} pixels nearby, nearest first: the codes of distances from 1 on */
const NEAR = [];
for (let up = 0; up <= 7; up++) for (let left = -7; left <= 8; left++) if (up || left > 0) NEAR.push([left, up]);
NEAR.sort(([a, b], [c, d]) => a * a + b * b - c * c - d * d || Math.abs(a) - Math.abs(c) || c - a);

/**
 * The pixels, RGBA with straight alpha, whatever the bitstream says of the use of its alpha.
 *
 * Takes at most 10 bytes a pixel, a copy of the bitstream, and what its prefix codes need: one group for 16 pixels, and
 * two hundred times their size in the bitstream.
 * @param {Uint8Array} bytes what is behind the image data is ignored
 * @param {number} width
 * @param {number} height
 * @returns {Uint8Array} (height, width, 4)
 * @throws {import("./errors.js").VaecError} of the rules P1 and P3
 */
export function decodeVP8L(bytes, width, height) {
  check(bytes.length >= HEADER && bytes[0] === SIGNATURE, "does not begin as one");
  const fields = bytes[1] | (bytes[2] << 8) | (bytes[3] << 16) | (bytes[4] << 24);
  if ((fields & 0x3fff) + 1 !== width || ((fields >> 14) & 0x3fff) + 1 !== height) {
    throw corrupt("P1", "a VP8L bitstream has another size than its tile");
  }
  check(fields >>> 29 === 0, "is of another version");
  const decoder = new Decoder(bytes), transforms = decoder.transforms(width, height);
  let pixels = decoder.image(transforms.width, height, true);
  for (const inverse of transforms.inverses.reverse()) pixels = inverse(pixels);
  return toBytes(pixels);
}

/** @param {boolean} right @param {string} fault */
function check(right, fault) {
  if (!right) throw corrupt("P3", `a VP8L bitstream ${fault}`);
}

/** @typedef {{bits: number, across: number, groups: Int32Array}} Grouping of blocks: their side, how many in a row */

/** What is behind the header, read from its beginning to its end. */
class Decoder {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    const padded = new Uint8Array(bytes.length + BEHIND), most = LITERALS + LENGTHS + (1 << CACHE_MOST);
    padded.set(bytes);
    this.view = new DataView(padded.buffer);
    this.at = 8 * HEADER; // bits
    this.end = 8 * (bytes.length + (bytes.length % 2)); // a WebP file has a byte of 0 behind an odd length
    this.tables = new Uint16Array(1 << 12); // of prefix codes
    this.size = 0; // of what is used of them
    this.lengths = new Uint8Array(most); // of the symbols of a code
    this.sorted = new Uint16Array(most); // symbols
  }

  /** @param {number} count of bits, 24 at most */
  read(count) {
    const bits = peek(this.view, this.at);
    this.skip(count);
    return bits & ((1 << count) - 1);
  }

  /** @param {number} count of bits */
  skip(count) {
    this.at += count;
    check(this.at <= this.end, "is cut off");
  }

  /** @param {number} code */
  symbol(code) {
    const entry = look(this.view, this.at, this.tables, code);
    this.skip(entry & 15);
    return entry >> 4;
  }

  /** A length or a distance, from 1 on, by its symbol and what is behind it. @param {number} symbol */
  amount(symbol) {
    const extra = (symbol - 2) >> 1;
    return symbol < 4 ? symbol + 1 : ((2 + (symbol & 1)) << extra) + this.read(extra) + 1;
  }

  /** @param {number} code of distances @param {number} width */
  distance(code, width) {
    const coded = this.amount(this.symbol(code));
    if (coded > NEAR.length) return coded - NEAR.length;
    const [left, up] = NEAR[coded - 1];
    return Math.max(1, left + up * width);
  }

  /** What undoes the transforms, and the width that they leave. @param {number} width @param {number} height */
  transforms(width, height) {
    const inverses = /** @type {((pixels: Int32Array) => Int32Array)[]} */ ([]);
    for (let seen = 0; this.read(1); ) {
      const kind = this.read(2), own = width; // of the image that those ahead of it leave
      check(!((seen >> kind) & 1), "has a transform twice");
      seen |= 1 << kind;
      if (kind === SUBTRACT_GREEN) {
        inverses.push(addGreen);
      } else if (kind === PREDICTOR || kind === COLOUR) {
        const bits = this.read(3) + 2, inverse = kind === PREDICTOR ? predict : addColour;
        const image = this.image(blocks(own, bits), blocks(height, bits), false);
        inverses.push((pixels) => inverse(pixels, own, bits, image));
      } else {
        const count = this.read(8) + 1, bits = count > 16 ? 0 : count > 4 ? 1 : count > 2 ? 2 : 3;
        const image = this.image(count, 1, false);
        inverses.push((pixels) => fromPalette(pixels, own, bits, image));
        width = blocks(own, bits);
      }
    }
    return { inverses, width };
  }

  /**
   * An image as it is coded.
   * @param {number} width @param {number} height @param {boolean} main whether it may have groups of prefix codes
   * @returns {Int32Array}
   */
  image(width, height, main) {
    const cache = this.read(1) ? this.read(4) : null;
    check(cache === null || (cache >= 1 && cache <= CACHE_MOST), "has a colour cache of no size");
    const grouping = main && this.read(1) ? this.grouping(width, height) : null;
    const codes = this.groups(grouping?.places ?? Int32Array.of(0), cache ? 1 << cache : 0);
    return this.pixels(width, height, codes, grouping, cache ?? 0);
  }

  /**
   * The entropy image: which group each block has. Those that are used are numbered anew, for there may be many others:
   * `places` has their numbers, and -1 for the others.
   * @param {number} width @param {number} height
   * @returns {Grouping & {places: Int32Array}}
   */
  grouping(width, height) {
    const bits = this.read(3) + 2, across = blocks(width, bits);
    const groups = this.image(across, blocks(height, bits), false).map((pixel) => (pixel >> 8) & 0xffff);
    const places = new Int32Array(largest(groups) + 1).fill(-1);
    let used = 0;
    for (let n = 0; n < groups.length; n++) {
      if (places[groups[n]] < 0) places[groups[n]] = used++;
      groups[n] = places[groups[n]];
    }
    return { bits, across, groups, places };
  }

  /** Prefix codes; those of unused groups must be right. @param {Int32Array} places @param {number} keys of a cache */
  groups(places, keys) {
    const codes = new Int32Array(CODES * (largest(places) + 1));
    this.size = 0;
    for (const place of places) {
      const before = this.size;
      [LITERALS + LENGTHS + keys, LITERALS, LITERALS, LITERALS, DISTANCES].forEach((alphabet, n) => {
        const code = this.code(alphabet);
        if (place >= 0) codes[CODES * place + n] = code;
      });
      if (place < 0) this.size = before;
    }
    return codes;
  }

  /** A prefix code. @param {number} alphabet how many symbols it has */
  code(alphabet) {
    if (!this.read(1)) return this.build(this.codeLengths(alphabet));
    const two = this.read(1), first = this.read(this.read(1) ? 8 : 1);
    this.lengths.fill(0, 0, LITERALS);
    this.lengths[first] = 1;
    if (two) this.lengths[this.read(8)] = 1;
    return this.build(Math.min(alphabet, LITERALS)); // without symbols past its end
  }

  /** Reads the lengths of a code. @param {number} alphabet @returns {number} how many there are; the others are 0 */
  codeLengths(alphabet) {
    const { lengths, size } = this, count = this.read(4) + 4;
    lengths.fill(0, 0, ORDER.length);
    for (const symbol of ORDER.slice(0, count)) lengths[symbol] = this.read(3);
    const code = this.build(ORDER.length);
    this.size = size; // its table may be overwritten by the next one
    let n = 0, repeated = FIRST_REPEATED, left = this.read(1) ? 2 + this.read(2 + 2 * this.read(3)) : alphabet;
    check(left <= alphabet, "has more code lengths than symbols");
    for (; n < alphabet && left; left--) {
      const symbol = this.symbol(code);
      if (symbol < 16) {
        lengths[n++] = symbol;
        repeated = symbol || repeated;
        continue;
      }
      const [extra, least] = REPEATS[symbol - 16], end = n + least + this.read(extra);
      check(end <= alphabet, "repeats a code length past the last symbol");
      lengths.fill(symbol === 16 ? repeated : 0, n, end);
      n = end;
    }
    return n;
  }

  /**
   * A prefix code of so many lengths: where its table is, and in the lowest 4 bits by how many bits it is looked up. An
   * entry has a symbol, and its length in the lowest 4 bits. Of longer symbols it has where a second table is, from the
   * first one on, and by how many bits both are looked up.
   * @param {number} count
   */
  build(count) {
    const { lengths, sorted } = this, counts = new Int32Array(LONGEST + 1), places = new Int32Array(LONGEST + 2);
    for (let n = 0; n < count; n++) counts[lengths[n]]++;
    let longest = 0, sum = 0;
    for (let length = 1; length <= LONGEST; length++) {
      places[length + 1] = places[length] + counts[length];
      sum += counts[length] << (LONGEST - length);
      if (counts[length]) longest = length;
    }
    const single = places[LONGEST + 1] === 1;
    check(single || sum === 1 << LONGEST, "has a prefix code that is not complete");
    for (let n = 0; n < count; n++) if (lengths[n]) sorted[places[lengths[n]]++] = n;
    const root = single ? 0 : Math.min(longest, ROOT), start = this.take(1 << root);
    if (single) this.tables[start] = sorted[0] << 4;
    else this.fill(start, root, counts);
    return (start << 4) | root;
  }

  /** @param {number} start of its table @param {number} root bits @param {Int32Array} counts of symbols by length */
  fill(start, root, counts) {
    // Codes begin with the lowest bit: an entry stands wherever the lowest bits are the code's.
    let code = 0, n = 0, table = start, bits = root, low = -1;
    for (let length = 1; length <= LONGEST; length++) {
      const looked = length > root ? root : 0; // bits of the first table
      for (; counts[length]; counts[length]--, n++) {
        if (looked && (code & ((1 << root) - 1)) !== low) {
          low = code & ((1 << root) - 1);
          bits = secondBits(counts, length, root);
          table = this.take(1 << bits);
          this.tables[start + low] = ((table - start) << 4) | (root + bits);
        }
        const entry = (this.sorted[n] << 4) | length;
        for (let k = code >> looked; k < 1 << bits; k += 1 << (length - looked)) this.tables[table + k] = entry;
        code = following(code, length);
      }
    }
  }

  /** Room in the tables. @param {number} count of entries @returns {number} */
  take(count) {
    const start = this.size;
    this.size += count;
    check(this.size < 1 << 27, "has too many prefix codes"); // `build` has no room for more, which take 40 MB or so
    if (this.size > this.tables.length) {
      const tables = new Uint16Array(2 * this.tables.length);
      tables.set(this.tables);
      this.tables = tables;
    }
    return start;
  }

  /**
   * @param {number} width @param {number} height @param {Int32Array} codes
   * @param {Grouping | null} grouping
   * @param {number} cache bits
   */
  pixels(width, height, codes, grouping, cache) {
    const { view, tables, end } = this, count = width * height, pixels = new Int32Array(count);
    const colours = new Int32Array(1 << cache);
    let { at } = this, kept = 0; // how many pixels are in the cache
    let green = 0, red = 0, blue = 0, alpha = 0, distances = 0, rest = 0, plain = false;
    for (let i = 0, change = 0; i < count && at <= end; ) {
      if (i >= change) {
        let group = 0;
        change = count;
        if (grouping) {
          const y = (i / width) | 0, x = i - y * width, block = x >> grouping.bits;
          group = CODES * grouping.groups[(y >> grouping.bits) * grouping.across + block];
          change = i - x + Math.min(width, (block + 1) << grouping.bits);
        }
        green = codes[group], red = codes[group + 1], blue = codes[group + 2], alpha = codes[group + 3];
        distances = codes[group + 4];
        plain = ((red | blue | alpha) & 15) === 0; // these take no bits
        rest = literal(tables[alpha >> 4], tables[red >> 4], tables[blue >> 4]);
      }
      const entry = look(view, at, tables, green), symbol = entry >> 4;
      at += entry & 15;
      if (symbol < LITERALS) {
        if (!plain) {
          const r = look(view, at, tables, red), b = look(view, (at += r & 15), tables, blue);
          const a = look(view, (at += b & 15), tables, alpha);
          at += a & 15;
          rest = literal(a, r, b);
        }
        pixels[i++] = rest | (symbol << 8);
      } else if (symbol < LITERALS + LENGTHS) {
        this.at = at;
        const length = this.amount(symbol - LITERALS), distance = this.distance(distances, width);
        check(distance <= i && length <= count - i, "copies what is not there");
        for (let k = i; k < i + length; k++) pixels[k] = pixels[k - distance];
        at = this.at;
        i += length;
      } else {
        for (; kept < i; kept++) colours[hash(pixels[kept], cache)] = pixels[kept];
        pixels[i++] = colours[symbol - LITERALS - LENGTHS];
      }
    }
    this.skip(at - this.at);
    return pixels;
  }
}

/** @param {Int32Array} numbers */
const largest = (numbers) => numbers.reduce((most, n) => Math.max(most, n), 0);

/** All of a pixel but its green, by entries. @param {number} alpha @param {number} red @param {number} blue */
const literal = (alpha, red, blue) => ((alpha >> 4) << 24) | ((red >> 4) << 16) | (blue >> 4);

/** 25 bits or more from there on, the first one lowest. @param {DataView} view @param {number} at bits */
const peek = (view, at) => view.getUint32(at >>> 3, true) >>> (at & 7);

/** An entry. @param {DataView} view @param {number} at bits @param {Uint16Array} tables @param {number} code */
function look(view, at, tables, code) {
  const bits = peek(view, at), start = code >> 4, root = code & 15;
  const entry = tables[start + (bits & ((1 << root) - 1))], second = (entry & 15) - root;
  return second > 0 ? tables[start + (entry >> 4) + ((bits >>> root) & ((1 << second) - 1))] : entry;
}

/** The next code: 1 is added at its end, which is the highest bit. @param {number} code @param {number} length */
function following(code, length) {
  let step = 1 << (length - 1);
  while (code & step) step >>= 1;
  return step ? (code & (step - 1)) + step : code;
}

/**
 * Of a second table: enough for the symbols that begin as one of that length.
 * @param {Int32Array} counts of those that are left @param {number} length @param {number} root
 */
function secondBits(counts, length, root) {
  for (let left = 1 << (length - root); length < LONGEST; length++, left <<= 1) {
    left -= counts[length];
    if (left <= 0) break;
  }
  return length - root;
}

/** Where a colour stands in a cache. @param {number} pixel @param {number} bits */
const hash = (pixel, bits) => Math.imul(0x1e35a7bd, pixel) >>> (32 - bits);
