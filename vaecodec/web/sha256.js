/** SHA-256 (FIPS 180-4), since crypto.subtle is not there on pages that are not served by HTTPS. */

const K = new Uint32Array(64);
const START = new Uint32Array(8);

// The first 32 bits of the fractions of the cube roots, and for the state square roots, of the first primes.
for (let n = 2, found = 0; found < 64; n++) {
  let prime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
  if (!prime) continue;
  K[found] = Math.cbrt(n) * 2 ** 32;
  if (found < 8) START[found] = Math.sqrt(n) * 2 ** 32;
  found++;
}

export class Sha256 {
  constructor() {
    this.state = START.slice();
    this.rest = new Uint8Array(64);
    this.size = 0;
  }

  /** @param {Uint8Array} bytes */
  update(bytes) {
    let at = 0;
    const begun = this.size % 64;
    this.size += bytes.length;
    if (begun) {
      at = Math.min(64 - begun, bytes.length);
      this.rest.set(bytes.subarray(0, at), begun);
      if (begun + at < 64) return this;
      this.#block(this.rest, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) this.#block(bytes, at);
    this.rest.set(bytes.subarray(at));
    return this;
  }

  /** In hex. Nothing may follow. */
  hex() {
    const bits = this.size * 8;
    const end = new Uint8Array(((55 - this.size) & 63) + 9);
    end[0] = 128;
    new DataView(end.buffer).setUint32(end.length - 8, bits / 2 ** 32);
    new DataView(end.buffer).setUint32(end.length - 4, bits);
    this.update(end);
    return Array.from(this.state, (word) => word.toString(16).padStart(8, "0")).join("");
  }

  #words = new Int32Array(64);

  #block(bytes, at) {
    const w = this.#words;
    for (let i = 0; i < 16; i++, at += 4)
      w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = this.state;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      h = g; g = f; f = e; e = (d + one) | 0;
      d = c; c = b; b = a; a = (one + s0 + ((b & c) ^ (b & d) ^ (c & d))) | 0;
    }
    const sums = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) this.state[i] += sums[i];
  }
}
