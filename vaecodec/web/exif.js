/** The orientation that EXIF tells; nothing else of it is read. */

const ORIENTATION = 0x112;
const SIZES = /** @type {Record<number, number>} */ ({ 3: 2, 4: 4, 5: 8 }); // bytes of the types that hold numbers

/**
 * 1 to 8; 1 where there is none that makes sense.
 * @param {Uint8Array | undefined} exif from its TIFF header on
 */
export function orientationOf(exif) {
  if (!exif) return 1;
  const prefixed = String.fromCharCode(...exif.subarray(0, 6)) === "Exif\0\0"; // of a JPEG file, no part of it
  const data = prefixed ? exif.subarray(6) : exif;
  const start = String.fromCharCode(...data.subarray(0, 4));
  if (start !== "II*\0" && start !== "MM\0*") return 1;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const value = firstNumber(view, start === "II*\0");
  return value >= 1 && value <= 8 ? value : 1;
}

/**
 * The number under the tag in the first directory; 0 where there is none.
 * @param {DataView} view
 * @param {boolean} little
 */
function firstNumber(view, little) {
  const there = (/** @type {number} */ at, /** @type {number} */ size) => at + size <= view.byteLength;
  if (!there(4, 4)) return 0;
  const directory = view.getUint32(4, little);
  if (!there(directory, 2)) return 0;
  const entries = view.getUint16(directory, little);
  for (let n = 0, at = directory + 2; n < entries && there(at, 12); n++, at += 12) {
    const size = SIZES[view.getUint16(at + 2, little)];
    if (view.getUint16(at, little) !== ORIENTATION || !size) continue;
    const inside = view.getUint32(at + 4, little) * size <= 4; // of the entry
    const place = inside ? at + 8 : view.getUint32(at + 8, little);
    if (!there(place, size)) continue;
    if (size === 2) return view.getUint16(place, little);
    if (size === 4) return view.getUint32(place, little);
    if (view.getUint32(place + 4, little)) return 0; // a fraction is no orientation
  }
  return 0;
}
