/**
 * The native core (vaecodec/core/vaec_core.h) in WebAssembly, and its memory, which is dealt out like a stack: nothing
 * is freed but by going back to where it stood.
 */

import { VaecError } from "./errors.js";

const PAGE = 65536;
const MOST = 32768; // pages: 2 GiB
const ABI = 4; // VAEC_ABI

export class Core {
  /** @param {WebAssembly.Module} module */
  constructor(module) {
    this.memory = new WebAssembly.Memory({ initial: 8, maximum: MOST });
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory } });
    /** @type {Record<string, (...numbers: (number | bigint)[]) => number | bigint>} */
    this.functions = /** @type {any} */ (instance.exports);
    if (this.functions.vaec_abi() !== ABI) throw new VaecError("unsupported", "the WebAssembly is of another version");
    this.top = /** @type {any} */ (instance.exports.__heap_base).value;
  }

  /** The address of so many bytes that are free, whatever they hold. */
  take(bytes) {
    const at = (this.top + 63) & ~63;
    const missing = at + bytes - this.memory.buffer.byteLength;
    if (missing > 0) {
      try {
        this.memory.grow(Math.ceil(missing / PAGE));
      } catch {
        throw new VaecError("limit", "the picture needs more memory than there is");
      }
    }
    this.top = at + bytes;
    return at;
  }

  /** What `work` returns; what it took is free again. */
  within(work) {
    const top = this.top;
    try {
      return work();
    } finally {
      this.top = top;
    }
  }

  // Views are good until memory grows: make them right before they are used.
  bytes(at, n) { return new Uint8Array(this.memory.buffer, at, n); }
  i16(at, n) { return new Int16Array(this.memory.buffer, at, n); }
  u16(at, n) { return new Uint16Array(this.memory.buffer, at, n); }
  i32(at, n) { return new Int32Array(this.memory.buffer, at, n); }
  u32(at, n) { return new Uint32Array(this.memory.buffer, at, n); }
  f32(at, n) { return new Float32Array(this.memory.buffer, at, n); }

  /** The address of a copy of an array of numbers. */
  put(array) {
    const at = this.take(array.byteLength);
    this.bytes(at, array.byteLength).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return at;
  }

  /** The address of so many bytes of 0. */
  zeros(bytes) {
    const at = this.take(bytes);
    this.bytes(at, bytes).fill(0);
    return at;
  }

  /** The address of a structure: addresses and int32, all of four bytes. */
  struct(...fields) {
    return this.put(new Int32Array(fields.flat(Infinity)));
  }

  /** What vaec_NAME gives. */
  call(name, ...numbers) {
    return Number(this.functions[`vaec_${name}`](...numbers));
  }

  /** The same, of a function that gives less than 0 where sizes do not fit: a fault of this code, not of a file. */
  must(name, ...numbers) {
    const result = this.call(name, ...numbers);
    if (result < 0) throw new Error(`vaec_${name}: ${result}`);
    return result;
  }
}
