/** Reads .vaec pictures in browsers, workers and Node: the same pixels as the command `vaecodec decode`. */

/** Bytes, or where they are. Of a `Response`, what is left of its body. A string is a URL; in Node also a path. */
export type Source = Uint8Array | ArrayBuffer | Blob | Response | URL | string;

/** Left, top, width, height in pixels of the picture as it is stored, before its orientation is applied. */
export type Region = readonly [left: number, top: number, width: number, height: number];

export interface Progress {
  /** Bytes received so far, and of how many; `total` is undefined where the server does not say. */
  received: number;
  total?: number;
  /** Share of the decoding that is done, 0 to 1. */
  decoded: number;
}

export interface DecodeOptions {
  /** Only this part, from the tiles that it needs. From a URL, only those are fetched where the file has an index. */
  region?: Region;
  /** All of the picture at 1/scale, in a fraction of the time. Not together with `region`. */
  scale?: 1 | 2 | 4 | 8;
  /** Make what can be made of a file that is damaged or cut off; `damaged` says which tiles are not as they were. */
  partial?: boolean;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
  /** How many workers share the work; 0: none, on this thread. By default what the machine has, at most 8. */
  workers?: number;
  /** Refuse larger pictures (or regions, or scaled pictures); 128 million by default. */
  maxPixels?: number;
}

export interface Metadata {
  /** An ICC profile. Where there is `cicp`, that goes first; without both, colours are sRGB. */
  icc?: Uint8Array;
  /** EXIF, from its TIFF header on. */
  exif?: Uint8Array;
  /** An XMP packet, UTF-8. */
  xmp?: Uint8Array;
  /** Colour primaries, transfer, matrix (0) and full range (1) as H.273 numbers them. */
  cicp?: readonly [number, number, number, number];
  /** The EXIF orientation, 1 to 8; 1 where there is none. Pixels are as stored: viewers should turn them. */
  orientation: number;
}

export interface Picture extends Metadata {
  width: number;
  height: number;
  /** RGBA, rows from above, straight alpha; ready for `new ImageData(data, width, height)`. */
  data: Uint8ClampedArray;
  /** Samples of a pixel in the file: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. */
  channels: 1 | 2 | 3 | 4;
  /** Numbers of tiles that are damaged or missing; only with `partial`. */
  damaged: number[];
}

export interface Info extends Metadata {
  width: number;
  height: number;
  channels: 1 | 2 | 3 | 4;
  /** The quality dial, 0 to 100. */
  quality: number;
  /** Side of a tile, and how many there are. */
  tileSide: number;
  tiles: number;
  progressive: boolean;
  /** Whether it has an index of tiles, so that regions can be read over HTTP without the rest. */
  indexed: boolean;
  model: string;
  /** Size of the file in bytes. */
  size: number;
}

export type ErrorCode =
  | "not-vaec" // no .vaec file at all
  | "corrupt" // damaged, or breaks the rule `rule` of the specification
  | "unsupported" // a later version, or another model
  | "limit" // larger than `maxPixels` allows
  | "argument" // a bad option
  | "network"; // the file, the model or the decoder cannot be fetched

/** What all functions here reject with, besides the `AbortError` of an aborted signal. */
export class VaecError extends Error {
  readonly code: ErrorCode;
  /** The rule of bitstream_spec.md that a file breaks, like "C2". */
  readonly rule?: string;
}

/** Pixels and metadata of a picture. */
export function decode(source: Source, options?: DecodeOptions): Promise<Picture>;

/** What is in a file, without decoding it. Of a URL only the beginning is fetched, where the server allows it. */
export function info(source: Source, options?: { signal?: AbortSignal }): Promise<Info>;

/** A file whose parts are decoded one after the other, and fetched as they are needed. */
export interface Opened extends Info {
  decode(options?: DecodeOptions): Promise<Picture>;
}
export function open(source: Source, options?: { signal?: AbortSignal }): Promise<Opened>;

/**
 * The picture as it arrives: what has come so far, grey where nothing has. The last one is whole. A progressive file
 * shows all of the picture from its first part on.
 */
export function stream(source: Source, options?: DecodeOptions): AsyncGenerator<Picture & { complete: boolean }>;

export interface Setup {
  /** Where the decoder-only model is; by default beside this module. */
  model?: URL | string;
  /** Where the WebAssembly is; by default beside this module. */
  wasm?: URL | string;
  /** Whether the model is kept in the Cache API; true by default. */
  cache?: boolean;
}
/** Say where parts are, before the first picture; or have them fetched ahead of it: `await setup()`. */
export function setup(options?: Setup): Promise<void>;

/** The pixels upright: turned by `orientation`, which is 1 then. */
export function upright(picture: Picture): Picture;

/** A PNG file of a picture, uncompressed, with its colours (cICP, iCCP) and turned upright: what an <img> can show. */
export function toPNG(picture: Picture): Uint8Array;
