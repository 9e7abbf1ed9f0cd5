/** The panel: what is known of a file, and of the one it is compared with. */
import { facts } from "./exif.js";

const SAMPLES = { 1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha" };
const SPACES = {
  "1 13": "sRGB", "12 13": "Display P3", "1 1": "BT.709", "9 1": "BT.2020", "9 14": "BT.2020", "9 16": "BT.2100 PQ",
  "9 18": "BT.2100 HLG", "1 8": "linear sRGB",
};
const TURNS = { 2: "mirrored", 3: "turned by 180°", 4: "mirrored", 5: "turned and mirrored", 6: "turned by 90°",
  7: "turned and mirrored", 8: "turned by 270°" };

/** Bytes in the unit that suits: 312 B, 61.2 kB, 12.3 MB. */
export function human(size) {
  if (size < 1000) return `${size} B`;
  return size < 999_950 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

/** A PSNR. */
export const decibels = (psnr) => (psnr === Infinity ? "equal" : `${psnr.toFixed(2)} dB`);

/** Fill the panel. `against` is what it is compared with: its name, size and `psnr` (dB, null, or undefined). */
export function show(panel, info, against, notes = []) {
  const { width, height, channels, orientation } = info;
  const parts = [];
  if (against) parts.push(section("Comparison", comparison(info, against)));
  parts.push(
    section("Picture", [
      ["Size", `${width} × ${height}`],
      ["Pixels", `${((width * height) / 1e6).toFixed(width * height < 1e5 ? 3 : 1)} million, ${SAMPLES[channels]}`],
      ["Colours", space(info)],
      ["Shown", TURNS[orientation]],
    ]),
    section("File", [
      ["Size", `${human(info.size)}, ${bpp(info.size, info)}`],
      ["Quality", `${Math.round(info.quality * 10) / 10} of 100`],
      ["Model", info.model],
      ["Tiles", `${info.tiles} of ${info.tileSide} × ${info.tileSide}${info.indexed ? ", with an index" : ""}`],
      ["Progressive", info.progressive ? "yes" : "no"],
    ]),
  );
  if (info.exif) parts.push(section("Photograph", facts(info.exif)));
  for (const note of notes) parts.push(element("p", note));
  if (info.xmp) {
    const more = element("details", "", element("summary", "XMP"));
    more.append(element("pre", new TextDecoder().decode(info.xmp).trim()));
    parts.push(more);
  }
  panel.replaceChildren(...parts.filter(Boolean));
}

function comparison(info, { name, size, psnr, width, height }) {
  const less = (1 - info.size / size) * 100;
  return [
    ["With", name],
    ["Size", `${human(size)}, ${bpp(size, { width, height })}`],
    ["This file", `${Math.abs(less).toFixed(less > 99 ? 1 : 0)} % ${less < 0 ? "larger" : "smaller"}`],
    ["PSNR", psnr === undefined ? "" : psnr === null ? "none, as the sizes differ" : decibels(psnr)],
  ];
}

const bpp = (size, { width, height }) => `${((8 * size) / (width * height)).toFixed(3)} bpp`;

function space({ cicp, icc }) {
  if (cicp) return SPACES[`${cicp[0]} ${cicp[1]}`] ?? `H.273 ${cicp[0]}, ${cicp[1]}`;
  return icc ? `ICC profile ${profile(icc)}`.trim() : "sRGB";
}

/** The name in an ICC profile: its tag "desc", text (version 2) or Unicode (version 4). */
function profile(icc) {
  try {
    const view = new DataView(icc.buffer, icc.byteOffset, icc.byteLength);
    for (let n = 0; n < Math.min(view.getUint32(128), 100); n++) {
      if (view.getUint32(132 + 12 * n) !== 0x64657363) continue;
      const at = view.getUint32(136 + 12 * n);
      const unicode = view.getUint32(at) === 0x6d6c7563;
      const [start, length] = unicode
        ? [at + view.getUint32(at + 24), view.getUint32(at + 20)]
        : [at + 12, view.getUint32(at + 8) - 1];
      const bytes = new Uint8Array(icc.buffer, icc.byteOffset + start, Math.min(length, 200));
      return new TextDecoder(unicode ? "utf-16be" : "latin1").decode(bytes);
    }
  } catch {
    // a damaged profile has no name
  }
  return "";
}

function section(title, rows) {
  const list = element("dl");
  for (const [name, text] of rows) if (text) list.append(element("div", "", element("dt", name), element("dd", text)));
  return list.childElementCount ? element("section", "", element("h2", title), list) : null;
}

function element(name, text = "", ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}
