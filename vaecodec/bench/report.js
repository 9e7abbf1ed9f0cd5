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

// ---------------------------------------------------------------- Curves

const chart = { metric: METRICS[0]?.key, picture: "mean", axis: "log", hidden: new Set(), marks: [], active: null };

function rowsOf(codec) {
  const rows = chart.picture === "mean"
    ? data.means[codec.name] ?? []
    : data.points.filter((point) => point.codec === codec.name && point.picture === Number(chart.picture));
  return rows.filter((row) => row.bpp > 0).sort((a, b) => a.bpp - b.bpp);
}

function exactRate(codec) {
  const mean = chart.picture === "mean" && data.lossless.find((row) => row.codec === codec.name);
  return mean ? mean.bpp : rowsOf(codec)[0]?.bpp;
}

function scale(low, high, from, to, log = false) {
  const f = log ? Math.log : (value) => value;
  return (value) => from + ((to - from) * (f(value) - f(low))) / (f(high) - f(low) || 1);
}

function ticks(low, high, most) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10].find((m) => m * power * most >= high - low) * power;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

function logTicks(low, high) {
  const steps = high / low > 12 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const all = [-3, -2, -1, 0, 1, 2].flatMap((power) => steps.map((m) => m * 10 ** power));
  return all.filter((value) => value >= low && value <= high);
}

// Labels end at their marks; one that would run into its neighbour goes a line higher. Returns the lines used.
function placeLabels(exact, x, right) {
  const ends = []; // of each line: the left end of its last label
  for (const mark of exact) {
    const { name } = mark.codec;
    mark.x = Math.min(x(mark.bpp), right);
    const beyond = x(mark.bpp) > right ? " →" : "";
    mark.text = `${name}${name.includes("lossless") ? "" : " (lossless)"} ${fixed(mark.bpp, 2)}${beyond}`;
    mark.line = ends.findIndex((end) => end > mark.x + 6);
    if (mark.line < 0) mark.line = ends.push(0) - 1;
    ends[mark.line] = mark.x - 12 - 6.6 * mark.text.length;
  }
  return ends.length;
}

function drawChart() {
  const metric = metricOf(chart.metric), log = chart.axis === "log", mean = chart.picture === "mean";
  const label = mean ? metric.label : single(metric);
  const shown = CODECS.filter((codec) => !chart.hidden.has(codec.name));
  const curves = shown.filter((codec) => !codec.lossless)
    .map((codec) => ({ codec, rows: rowsOf(codec).filter((row) => isNumber(row[metric.key])) }))
    .filter(({ rows }) => rows.length).sort((a, b) => a.codec.main - b.codec.main); // vaec last, over the others
  const exact = shown.filter((codec) => codec.lossless).map((codec) => ({ codec, bpp: exactRate(codec) }))
    .filter(({ bpp }) => bpp > 0).sort((a, b) => b.bpp - a.bpp);
  let rates = curves.flatMap(({ rows }) => rows.map((row) => row.bpp));
  let values = curves.flatMap(({ rows }) => rows.map((row) => row[metric.key]));
  // On a linear axis the lossless rates would press the curves into a corner: they wait at the right edge.
  if (log || !rates.length) rates = rates.concat(exact.map(({ bpp }) => bpp));
  if (!rates.length) rates = [0.1, 1];
  if (!values.length) values = [0, 1];

  const width = Math.max(280, $("chart").clientWidth), left = 40, right = width - 12;
  const low = Math.min(...rates) * (log ? 0.93 : 0), high = Math.max(...rates) * (log ? 1.07 : 1.03);
  const x = scale(low, high, left, right, log);
  const top = 28 + 16 * placeLabels(exact, x, right), bottom = top + Math.min(440, Math.max(260, width * 0.5));
  const pad = (Math.max(...values) - Math.min(...values)) * 0.04 || 1;
  const floor = Math.min(...values) - pad, ceiling = Math.max(...values) + pad;
  const y = scale(floor, ceiling, bottom, top);

  const root = svg("svg", { viewBox: `0 0 ${width} ${bottom + 40}`, height: bottom + 40, "aria-hidden": "true" });
  const text = (at, height, anchor, content, kind) =>
    root.append(svg("text", { x: at, y: height, "text-anchor": anchor, class: kind }, content));
  text(0, 14, "start", `${label}${metric.unit ? ` (${metric.unit})` : ""}`, "axis-title");
  text(right, bottom + 36, "end", "bits per pixel");
  let last = -Infinity;
  for (const tick of log ? logTicks(low, high) : ticks(low, high, 8)) {
    root.append(svg("path", { class: "grid", d: `M${x(tick)},${top}V${bottom}` }));
    if (x(tick) - last < 30) continue;
    last = x(tick);
    text(last, bottom + 17, "middle", plain(tick));
  }
  for (const tick of ticks(floor, ceiling, 10)) {
    root.append(svg("path", { class: "grid", d: `M${left},${y(tick)}H${right}` }));
    text(left - 7, y(tick) + 4, "end", plain(tick), "y-tick");
  }
  chart.marks = [];
  for (const { codec, bpp, text: caption, line, x: at } of exact) {
    const base = top - 6 - 16 * line;
    const node = svg("path", { class: "exact", d: `M${at},${top - 2}V${top + 9}` });
    root.append(svg("g", { class: `${codec.classes} lossless`, "data-codec": codec.name },
      svg("path", { class: "leader", d: `M${at},${base - 9}V${top}` }), node,
      svg("text", { x: at - 5, y: base, "text-anchor": "end" }, caption)));
    chart.marks.push({ codec, node, x: at, y: top + 4, lines: [`lossless, ${fixed(bpp, 3)} bpp`] });
  }
  for (const { codec, rows } of curves) {
    const places = rows.map((row) => [x(row.bpp), y(row[metric.key])]);
    const group = svg("g", { class: codec.classes, "data-codec": codec.name },
      svg("path", { class: "line", d: `M${places.map((place) => place.map((v) => v.toFixed(1))).join("L")}` }));
    for (const [i, row] of rows.entries()) {
      const node = svg("path", { class: "mark", d: SHAPES[codec.shape], transform: `translate(${places[i]})` });
      const size = mean ? "mean" : `${count(row.bytes)} bytes,`;
      const lines = [`setting ${plain(row.setting)}`, `${size} ${fixed(row.bpp, 3)} bpp`,
        `${label}: ${quality(metric, row[metric.key])}`];
      group.append(node);
      chart.marks.push({ codec, node, x: places[i][0], y: places[i][1], lines });
    }
    root.append(group);
  }
  if (!chart.marks.length) text(width / 2, (top + bottom) / 2, "middle", "Nothing to draw");
  $("chart").replaceChildren(root, html("div", { class: "tip", role: "status", hidden: "" }));
  chart.active = null;
}

function showTip(mark) {
  const tip = $("chart").querySelector(".tip");
  chart.active?.node.classList.remove("active");
  chart.active = mark;
  tip.hidden = !mark;
  if (!mark) return;
  mark.node.classList.add("active");
  tip.replaceChildren(html("b", {}, mark.codec.label), ...mark.lines.map((line) => html("div", {}, line)));
  const room = $("chart").clientWidth - tip.offsetWidth;
  const beside = mark.x + 14 <= room ? mark.x + 14 : mark.x - 14 - tip.offsetWidth;
  tip.style.left = `${Math.max(0, Math.min(room, beside))}px`;
  tip.style.top = `${Math.max(0, mark.y - tip.offsetHeight / 2)}px`;
}

function nearest(marks, x, y, reach) {
  const far = (mark) => Math.hypot(mark.x - x, mark.y - y);
  return marks.reduce((best, mark) => (far(mark) < (best ? far(best) : reach) ? mark : best), null);
}

// Left and right go along a curve, up and down to the next one.
function markBeside(active, key) {
  if (!active) return chart.marks[0];
  const step = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  const along = chart.marks.filter((mark) => mark.codec === active.codec);
  if (key === "ArrowRight" || key === "ArrowLeft") return along[along.indexOf(active) + step] ?? active;
  const codecs = [...new Set(chart.marks.map((mark) => mark.codec))];
  const next = codecs.at((codecs.indexOf(active.codec) + step) % codecs.length);
  return nearest(chart.marks.filter((mark) => mark.codec === next), active.x, active.y, Infinity);
}

function setUpChart() {
  const box = $("chart");
  const pictures = data.pictures.map((picture, i) => [String(i), picture.name]);
  choose("curve-metric", METRICS.map((m) => [m.key, m.label]), chart.metric, set(chart, "metric", drawChart));
  choose("curve-picture", [["mean", "mean of all"], ...pictures], "mean", set(chart, "picture", drawChart));
  segments("curve-axis", "Rate axis", [["log", "log"], ["linear", "linear"]], "log", set(chart, "axis", drawChart));
  const inputs = CODECS.map((codec) => html("input", { type: "checkbox", value: codec.name }));
  const check = () => {
    chart.hidden = new Set(inputs.filter((input) => !input.checked).map((input) => input.value));
    drawChart();
  };
  const all = (on) => () => { for (const input of inputs) input.checked = on; check(); };
  for (const input of inputs) input.onchange = check;
  $("legend").replaceChildren(...CODECS.map((codec, i) =>
    html("label", { title: codec.label }, inputs[i], html("span", {}, swatch(codec), codec.name))));
  $("all-codecs").onclick = all(true);
  $("no-codecs").onclick = all(false);
  const others = [...new Set(CODECS.filter((codec) => codec.source !== "measured").map((codec) => codec.source))];
  if (others.length) $("legend-note").textContent = `Dashed: not of this run but from ${others.join(", ")}.`;
  box.onpointermove = box.onpointerdown = (event) => {
    const { left, top } = box.getBoundingClientRect();
    showTip(nearest(chart.marks, event.clientX - left, event.clientY - top, event.pointerType === "touch" ? 40 : 20));
  };
  box.onpointerleave = (event) => { if (event.pointerType !== "touch") showTip(null); }; // a finger leaves on lifting
  box.onblur = () => showTip(null);
  box.onkeydown = (event) => {
    if (event.key === "Escape") showTip(null);
    if (!event.key.startsWith("Arrow") || !chart.marks.length) return;
    event.preventDefault();
    showTip(markBeside(chart.active, event.key));
  };
  all(true)();
  let drawn = box.clientWidth;
  new ResizeObserver(() => { if (box.clientWidth !== drawn) { drawn = box.clientWidth; drawChart(); } }).observe(box);
}

// ---------------------------------------------------------------- Tables

// "Saves" and "spends" read best against a codec that everyone knows: the first that is not vaec.
const FIRST_ANCHOR = ANCHORS.find((name) => !BY_NAME.get(name).main) ?? ANCHORS[0];
const bd = { metric: METRICS[0]?.key, anchor: FIRST_ANCHOR };
const pairKey = (metric, test, anchor) => JSON.stringify([metric, test, anchor]);
const PAIRS = new Map(data.bd.map((entry) => [pairKey(entry.metric, entry.test, entry.anchor), entry]));
const findBd = (...names) => PAIRS.get(pairKey(...names));

function bdCell(entry, extra) {
  if (!entry) return html("td");
  const { pchip, akima, overlap, range, verdict } = entry;
  const share = isNumber(overlap) ? `${fixed(100 * overlap, 0)} % overlap` : "no overlap";
  const where = range?.every(isNumber) ? ` of the quality axis, ${range.map((v) => fixed(v, 1)).join(" to ")}` : "";
  const title = `${entry.test} against ${entry.anchor}: PCHIP ${percent(pchip)}, Akima ${percent(akima)}; `
    + `${share}${where} ${metricOf(entry.metric).unit}; ${verdict}`;
  if (verdict === "refused" || !isNumber(pchip))
    return html("td", { title, class: "refused" }, html("i", {}, "refused"), html("small", {}, share));
  const tone = pchip < -0.05 ? "win" : pchip > 0.05 ? "loss" : "";
  const why = verdict === "warned" ? html("small", { class: "warned" }, `only ${share}`) : null;
  return html("td", { title }, html("b", { class: tone }, percent(pchip)), extra(entry), why);
}

function bar(value, most) {
  const size = octaves(value) / most; // -1 to 1, as the viewBox
  const place = { x: Math.min(size, 0), y: 0, width: Math.abs(size), height: 1 };
  return svg("svg", { class: "bar", viewBox: "-1 0 2 1", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: size < 0 ? "win" : "loss", ...place }), svg("line", { x1: 0, x2: 0, y1: 0, y2: 1 }));
}

function drawSummary() {
  const anchor = FIRST_ANCHOR;
  $("summary-anchor").textContent = BY_NAME.get(anchor)?.label ?? "";
  const known = data.bd.filter((entry) => entry.anchor === anchor && isNumber(entry.pchip));
  const most = Math.max(0.2, ...known.map((entry) => Math.abs(octaves(entry.pchip))));
  const cell = (test) => (m) => bdCell(findBd(m.key, test, anchor), ({ pchip }) => bar(pchip, most));
  fillTable("summary", ["Codec", ...METRICS.map((m) => m.label)],
    TESTS.filter((test) => test !== anchor).map((test) => [nameCell(test), ...METRICS.map(cell(test))]));
}

function drawBd() {
  const cell = (test) => (anchor) =>
    bdCell(findBd(bd.metric, test, anchor), ({ akima }) => html("small", {}, percent(akima)));
  fillTable("bd", ["", ...ANCHORS], TESTS.map((test) => [nameCell(test), ...ANCHORS.map(cell(test))]));
  drawSpread();
}

function drawSpread() {
  const rows = TESTS.map((test) => findBd(bd.metric, test, bd.anchor)).filter((entry) => entry?.pictures);
  const all = rows.flatMap((entry) => entry.pictures.values.map(([, value]) => value)).filter(isNumber).map(octaves);
  const linear = scale(Math.min(-0.2, ...all) - 0.05, Math.max(0.2, ...all) + 0.05, 8, 292);
  const x = (value) => linear(octaves(value));
  const marked = []; // the most telling first, others where there is room
  for (const value of [0, -50, 100, -25, 50, -75, 200, 400, -10, 10, -90, 900]) {
    const room = marked.every((other) => Math.abs(x(other) - x(value)) > 44);
    if (room && x(value) > 16 && x(value) < 284) marked.push(value);
  }
  const strip = (height, parts) => svg("svg", { class: "strip", width: 300, height }, ...parts);
  const grid = () => marked.map((v) => svg("path", { class: v ? "grid" : "zero", d: `M${x(v)},0V22` }));
  const axis = strip(14, marked.map((v) =>
    svg("text", { x: x(v), y: 11, "text-anchor": "middle" }, v ? percent(v).replace(".0", "") : "0")));
  fillTable("spread", ["Codec", "n", "Median", "Min", "Max", axis], rows.map(({ test, pictures }) => {
    const { n, median, min, max, values } = pictures;
    const dots = values.filter(([, value]) => isNumber(value)).map(([picture, value], i) =>
      svg("circle", { cx: x(value), cy: 7 + 4 * (i % 3), r: 3.2 }, // three heights keep equal dots apart
        svg("title", {}, `${data.pictures[picture]?.name ?? picture}: ${percent(value)}`)));
    if (isNumber(median)) dots.push(svg("path", { class: "median", d: `M${x(median)},2V20` }));
    const plot = html("td", { class: BY_NAME.get(test).classes }, strip(22, [...grid(), ...dots]));
    return [nameCell(test), count(n), percent(median), percent(min), percent(max), plot];
  }));
}

function setUpTables() {
  choose("bd-metric", METRICS.map((m) => [m.key, m.label]), bd.metric, set(bd, "metric", drawBd));
  choose("spread-anchor", ANCHORS.map((name) => [name, name]), bd.anchor, set(bd, "anchor", drawSpread));
  drawSummary();
  drawBd();
  fillTable("lossless", ["Codec", "bits per pixel", "encode s", "decode s"],
    data.lossless.map((row) => [nameCell(row.codec), fixed(row.bpp, 3), three(row.enc_s), three(row.dec_s)]));
  const columns = { enc_s: "encode s", dec_s: "decode s", enc_mpx_s: "encode Mpx/s", dec_mpx_s: "decode Mpx/s",
    load_s: "load s", enc_mb: "encode MB", dec_mb: "decode MB" };
  fillTable("times", ["Codec", ...Object.values(columns)],
    data.times.map((row) => [nameCell(row.codec), ...Object.keys(columns).map((key) => three(row[key]))]));
}

// ---------------------------------------------------------------- Viewer

const SIDES = ["left", "right"];
const viewer = {
  view: 0, rate: 0, left: "original", right: "original", mode: "split", zoom: 1, split: 0.5, factor: 4, turn: 0,
};

function entryOf(name) {
  const { original, rates } = data.views[viewer.view];
  if (name === "original") return { src: original };
  return rates[viewer.rate]?.images.find((image) => image.codec === name && image.src);
}

function drawViewer() {
  const { crop: [x, y, w, h], picture } = data.views[viewer.view];
  const { name, width, height } = data.pictures[picture];
  $("stack").style.width = `${w * viewer.zoom}px`;
  $("stack").style.height = `${h * viewer.zoom}px`;
  SIDES.forEach(drawSide);
  $("cards").replaceChildren(...SIDES.map(card));
  const split = viewer.mode === "split";
  for (const id of [...SIDES, "divider", "left-tag", "right-tag"]) $(id).hidden = !split;
  $("difference").hidden = $("view-factor").hidden = split;
  const shown = w === width && h === height ? `The whole of ${name}, ${w} × ${h} pixels.`
    : `A part of ${name}: ${w} × ${h} of its ${width} × ${height} pixels, from column ${x} and row ${y} on.`;
  $("view-caption").textContent = shown;
  placeDivider();
  if (!split) drawDifference(shown);
}

function drawSide(side) {
  const entry = entryOf(viewer[side]);
  const [image, message] = $(side).children;
  // Only here does the browser decode a picture: what is not shown costs nothing.
  if (!entry) image.removeAttribute("src");
  else if (image.getAttribute("src") !== entry.src) image.src = entry.src;
  image.hidden = !entry;
  message.hidden = Boolean(entry);
  message.textContent = `No picture of ${viewer[side]} at this rate`;
  $(`${side}-tag`).textContent = isNumber(entry?.bpp) ? `${viewer[side]} · ${fixed(entry.bpp, 3)} bpp` : viewer[side];
}

function card(side) {
  const name = viewer[side], entry = entryOf(name), codec = BY_NAME.get(name);
  const box = html("div", { class: `card ${codec?.classes ?? ""}`, id: `${side}-card` },
    html("h3", {}, `${side === "left" ? "Left" : "Right"}: ${codec?.label ?? name}`));
  if (name === "original") return fill(box, {}, [html("p", { class: "muted" }, "The picture as it came.")]);
  if (!entry) return fill(box, {}, [html("p", { class: "muted" }, "No picture: the codec failed, or was not run.")]);
  const facts = [["bytes", count(entry.bytes)], ["bpp", fixed(entry.bpp, 3)], ["setting", plain(entry.setting)],
    ...new Map(METRICS.map((m) => [single(m), quality(m, entry[m.key])]))]; // conventions of means agree on one picture
  return fill(box, {}, [html("dl", {}, ...facts.map((pair) => fact(...pair))), html("code", {}, entry.command ?? "")]);
}

// The divider keeps its place in the window onto the pictures: panning does not lose it.
function placeDivider() {
  const port = $("viewport");
  const cut = port.scrollLeft + viewer.split * port.clientWidth;
  $("left").style.clipPath = `inset(0 ${Math.max(0, $("stack").offsetWidth - cut)}px 0 0)`;
  $("divider").style.left = `${viewer.split * port.clientWidth}px`;
  $("divider").setAttribute("aria-valuenow", Math.round(100 * viewer.split));
}

function moveDivider(split) {
  viewer.split = Math.min(1, Math.max(0, split));
  placeDivider();
}

async function pixels(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = html("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height);
}

async function drawDifference(shown) {
  const turn = ++viewer.turn;
  const names = viewer.mode === "pair" ? SIDES.map((side) => viewer[side]) : [viewer[viewer.mode], "original"];
  const entries = names.map(entryOf), canvas = $("difference");
  canvas.width = canvas.height = 1; // blank until both are read
  const [a, b] = await Promise.all(entries.map((entry) => pixels(entry?.src).catch(() => null)));
  if (turn !== viewer.turn) return; // a later choice overtook this one
  if (a?.width !== b?.width || a?.height !== b?.height || !a) {
    $("view-caption").textContent = `${shown} No difference to show: a picture is missing.`;
    return;
  }
  const out = new ImageData(a.width, a.height); // clamps at 255
  let total = 0, greatest = 0;
  for (let i = 0; i < out.data.length; i++) {
    const difference = Math.abs(a.data[i] - b.data[i]); // 0 for alpha
    out.data[i] = i % 4 === 3 ? 255 : difference * viewer.factor;
    total += difference;
    greatest = Math.max(greatest, difference);
  }
  [canvas.width, canvas.height] = [a.width, a.height];
  canvas.getContext("2d").putImageData(out, 0, 0);
  const mean = fixed(total / (a.width * a.height * 3), 2);
  $("view-caption").textContent = `${shown} |${names.join(" − ")}|: mean ${mean}, greatest ${greatest} of 255.`;
}

function setView(view) {
  const target = data.views[viewer.view].rates[viewer.rate]?.target_bpp; // keep the rate where the next has it
  const { rates } = data.views[view];
  viewer.view = view;
  viewer.rate = Math.max(0, rates.findIndex((rate) => rate.target_bpp === target));
  const options = rates.map((rate, i) => [i, `about ${plain(rate.target_bpp)} bpp`]);
  choose("view-rate", options, viewer.rate, set(viewer, "rate", drawViewer));
  drawViewer();
}

function setZoom(zoom) {
  const port = $("viewport"), growth = zoom / viewer.zoom; // the middle stays in the middle
  const x = (port.scrollLeft + port.clientWidth / 2) * growth, y = (port.scrollTop + port.clientHeight / 2) * growth;
  viewer.zoom = zoom;
  drawViewer();
  port.scrollTo(x - port.clientWidth / 2, y - port.clientHeight / 2);
  placeDivider();
}

function setUpViewer() {
  $("viewer-section").hidden = !data.views.length;
  if (!data.views.length) return;
  const images = data.views.flatMap((view) => view.rates.flatMap((rate) => rate.images));
  const names = new Set(images.map((image) => image.codec));
  const options = CODECS.filter((codec) => names.has(codec.name));
  const choices = [["original", "original"], ...options.map(({ name }) => [name, name])];
  viewer.right = options.find((codec) => codec.main)?.name ?? options[0]?.name ?? "original";
  viewer.left = options.find((codec) => codec.name !== viewer.right)?.name ?? "original";
  for (const side of SIDES) choose(`view-${side}`, choices, viewer[side], set(viewer, side, drawViewer));
  choose("view-picture", data.views.map((view, i) => [i, data.pictures[view.picture].name]), 0, setView);
  choose("view-mode", [["split", "left and right"], ["pair", "|left − right|"], ["left", "|left − original|"],
    ["right", "|right − original|"]], viewer.mode, set(viewer, "mode", drawViewer));
  segments("view-zoom", "Zoom", [1, 2, 4, 8].map((zoom) => [zoom, `${zoom}×`]), 1, setZoom);
  segments("view-factor", "Amplified", [1, 4, 16].map((f) => [f, `${f}×`]), 4, set(viewer, "factor", drawViewer));

  const stage = $("stage"), port = $("viewport");
  const drag = (event) => {
    const { left } = port.getBoundingClientRect();
    const at = event.clientX - left;
    if (at < 12) port.scrollLeft -= 12; // a finger has no scroll bar to pan with
    if (at > port.clientWidth - 12) port.scrollLeft += 12;
    moveDivider(at / port.clientWidth);
  };
  stage.onpointerdown = (event) => {
    if (event.button || event.target === port || viewer.mode !== "split") return; // the port itself: its scroll bars
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    $("divider").focus({ preventScroll: true });
    drag(event);
  };
  stage.onpointermove = (event) => { if (stage.hasPointerCapture(event.pointerId)) drag(event); };
  $("divider").onkeydown = (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    moveDivider(viewer.split + step);
  };
  port.onscroll = placeDivider;
  new ResizeObserver(placeDivider).observe(port);
  setView(0);
}

setUpHeader();
setUpChart();
setUpTables();
setUpViewer();
