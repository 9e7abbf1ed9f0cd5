/** The few facts of EXIF that people look for. What is damaged is left out, never an error. */

const WANTED = {
  0x010f: "make", 0x0110: "model", 0x9003: "taken", 0x829a: "exposure", 0x829d: "aperture", 0x8827: "iso",
  0x920a: "focal", 0xa434: "lens", 0x010e: "title", 0x013b: "artist", 0x8298: "copyright", 0x8825: "gps",
};
const SIZES = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8 };

/** Pairs of name and text. */
export function facts(exif) {
  const tags = {};
  try {
    const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
    const little = view.getUint16(0) === 0x4949;
    directory(view, view.getUint32(4, little), little, tags, 0);
  } catch {
    // what was found until here
  }
  const { make = "", model = "", taken, exposure, aperture, iso, focal } = tags;
  const camera = model.startsWith(make) ? model : `${make} ${model}`;
  const how = [
    exposure && (exposure < 0.4 ? `1/${Math.round(1 / exposure)} s` : `${round(exposure)} s`),
    aperture && `f/${round(aperture)}`,
    iso && `ISO ${iso}`,
    focal && `${round(focal)} mm`,
  ];
  const rows = [
    ["Title", tags.title],
    ["Taken", taken?.replace(/^(\d{4}):(\d\d):/, "$1-$2-")],
    ["Camera", camera.trim()],
    ["Lens", tags.lens],
    ["Exposure", how.filter(Boolean).join(", ")],
    ["By", tags.artist],
    ["Copyright", tags.copyright],
    ["Place", tags.gps && "in the file"],
  ];
  return rows.filter(([, text]) => text);
}

const round = (value) => Math.round(value * 10) / 10;

function directory(view, at, little, tags, depth) {
  const count = view.getUint16(at, little);
  for (let n = 0; n < count; n++) {
    const entry = at + 2 + 12 * n;
    const tag = view.getUint16(entry, little);
    if (tag === 0x8769 && depth === 0) directory(view, view.getUint32(entry + 8, little), little, tags, 1);
    else if (WANTED[tag]) tags[WANTED[tag]] = value(view, entry, little);
  }
}

function value(view, entry, little) {
  const [type, count] = [view.getUint16(entry + 2, little), view.getUint32(entry + 4, little)];
  const at = SIZES[type] * count > 4 ? view.getUint32(entry + 8, little) : entry + 8;
  if (type === 2) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at, Math.min(count, 500));
    return new TextDecoder().decode(bytes).replace(/\0[^]*$/, "").trim();
  }
  if (type === 3) return view.getUint16(at, little);
  if (type === 4) return view.getUint32(at, little);
  if (type === 5) return view.getUint32(at, little) / view.getUint32(at + 4, little);
  return undefined;
}
