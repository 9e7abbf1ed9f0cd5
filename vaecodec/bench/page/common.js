"use strict";
// Draws what the JSON in #data says. Names of files are untrusted: text and attributes only, never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const METRICS = data.metrics;
const CODECS = data.codecs.map(styled);
const BY_NAME = new Map(CODECS.map((codec) => [codec.name, codec]));
const inBd = (role) => CODECS.map((c) => c.name).filter((name) => data.bd.some((entry) => entry[role] === name));
const ANCHORS = inBd("anchor"), TESTS = inBd("test");

// ---------------------------------------------------------------- Elements and numbers

function $(id) {
  return document.getElementById(id);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value != null) node.setAttribute(key, value);
  node.append(...children.filter((child) => child != null)); // strings become text nodes
  return node;
}

function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fixed(value, digits) {
  return isNumber(value) ? value.toFixed(digits).replace(/^-(?=[0.]+$)/, "").replace("-", "−") : "–";
}

function three(value) { // three significant digits, no exponent
  return fixed(value, value ? Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(Math.abs(value))))) : 0);
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const percent = (value) => (isNumber(value) ? `${value >= 0.05 ? "+" : ""}${fixed(value, 1)} %` : "–");
const count = (value) => (isNumber(value) ? value.toLocaleString("en-US") : "–");
const plain = (value) => (isNumber(value) ? String(Number(value.toPrecision(6))).replace("-", "−") : "–");
const quality = (metric, value) => `${fixed(value, 2)} ${isNumber(value) ? metric.unit : ""}`.trim();
// What a metric is called for one picture: "PSNR, mean over pictures" and "PSNR of the mean ..." are both PSNR.
const single = (metric) => metric.label.replace(/,?( of the)? mean .*/, "");
const metricOf = (key) => METRICS.find((metric) => metric.key === key);
// Rate factors on a log scale: half is as far as double. The floor keeps a nonsense -100 % finite.
const octaves = (value) => Math.log2(Math.max(1 + value / 100, 2 ** -8));

// ---------------------------------------------------------------- Codec styles, choosers, tables

const SHAPES = [
  "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0", // the disc is vaec's
  "M-4,-4h8v8h-8z", "M0,-5.4L5,3.7H-5Z", "M0,-5.7L5,0L0,5.7L-5,0Z", "M0,5.4L5,-3.7H-5Z",
  "M-1.7,-5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z", "M0,-5.3L5,-1.6L3.1,4.3H-3.1L-5,-1.6Z",
];

function styled(codec, index, all) {
  const main = codec.name.startsWith("vaec");
  const before = all.slice(0, index).filter((other) => other.name.startsWith("vaec") === main).length;
  const colour = main ? 0 : 1 + ((before + Math.floor(before / 6)) % 6); // shifted each round: no pair comes twice
  const classes = `curve c${colour}${main ? " main" : ""}${codec.source === "measured" ? "" : " other"}`;
  return { ...codec, main, shape: main ? before % 7 : 1 + (before % 6), classes };
}

function swatch(codec) {
  const mark = svg("path", { class: "mark", d: SHAPES[codec.shape], transform: "translate(14,7)" });
  const parts = [svg("path", { class: "line", d: "M0,7H28" }), mark];
  const exact = svg("path", { class: "exact", d: "M14,1V13" });
  return svg("svg", { class: `swatch ${codec.classes}`, "aria-hidden": "true" }, ...(codec.lossless ? [exact] : parts));
}

// A handler that keeps the value in a state and draws again.
const set = (state, key, draw) => (value) => { state[key] = value; draw(); };

function choose(id, options, value, changed) {
  const select = $(id);
  select.replaceChildren(...options.map(([key, text]) => html("option", { value: key }, text)));
  select.value = value;
  select.onchange = () => changed(select.value);
}

function segments(id, title, options, value, changed) {
  $(id).replaceChildren(html("i", {}, title), ...options.map(([key, text]) => {
    const input = html("input", { type: "radio", name: id, value: key });
    input.checked = key === value;
    input.onchange = () => changed(key);
    return html("label", {}, input, html("span", {}, text));
  }));
}

function nameCell(name) {
  const codec = BY_NAME.get(name);
  if (!codec) return name;
  return html("th", { scope: "row", title: codec.label, class: codec.main ? "main" : null }, swatch(codec), name);
}

// Cells are text, or elements of their own.
function fillTable(id, headers, rows) {
  const cell = (tag, scope) => (content) =>
    content instanceof HTMLTableCellElement ? content : html(tag, { scope }, content);
  const body = rows.map(([first, ...cells]) => html("tr", {}, cell("th", "row")(first), ...cells.map(cell("td"))));
  const head = html("tr", {}, ...headers.map(cell("th", "col")));
  $(id).replaceChildren(html("thead", {}, head), html("tbody", {}, ...body));
  const section = $(`${id}-section`);
  if (section) section.hidden = !rows.length;
}

// ---------------------------------------------------------------- Header

function setUpHeader() {
  document.title = $("title").textContent = data.title;
  const { date, pictures, points } = data;
  $("date").textContent = `${date} · pictures: ${count(pictures.length)} · files: ${count(points.length)}`;
  $("command").textContent = data.command;
  $("environment").replaceChildren(...Object.entries(data.environment).map(([key, value]) => fact(key, value)));
  $("notes").replaceChildren(...data.notes.map((note) => html("li", {}, note)));
  fillTable("codecs", ["Codec", "What", "Version", "From"],
    CODECS.map((codec) => [nameCell(codec.name), codec.label, codec.version, codec.source]));
  fillTable("failures", ["Picture", "Codec", "Setting", "Error"],
    data.failures.map((failure) => [failure.picture, failure.codec, plain(failure.setting), failure.error]));
  $("save-commands").onclick = () => save("commands.txt", "text/plain", commandLines());
  // The embedded pictures would be nearly all of it.
  const slim = (_, value) => (typeof value === "string" && value.startsWith("data:") ? undefined : value);
  $("save-data").onclick = () => save("bench.json", "application/json", JSON.stringify(data, slim, 1));
}

function fact(term, text) {
  return html("div", {}, html("dt", {}, term), html("dd", {}, text));
}

function commandLines() {
  return data.points.map((point) => {
    const picture = data.pictures[point.picture]?.name ?? "?";
    const about = `# ${picture}, ${point.codec}, setting ${plain(point.setting)}, ${plain(point.bytes)} bytes`;
    const line = `${point.command ?? "# not recorded"}  ${about}`;
    // A line break in a file name must not start a line of its own, which a shell would run.
    return `${line.replace(/[\u0000-\u001f\u007f\u0085\u2028\u2029]+/g, " ")}\n`;
  }).join("");
}

function save(name, type, text) {
  const link = html("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // the browser may still be reading it
}
