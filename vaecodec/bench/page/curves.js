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
  const { codec } = active ?? chart.marks.at(-1); // at first what was drawn last: vaec
  const along = chart.marks.filter((mark) => mark.codec === codec);
  if (!active) return along[0];
  const step = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  if (key === "ArrowRight" || key === "ArrowLeft") return along[along.indexOf(active) + step] ?? active;
  const codecs = [...new Set(chart.marks.map((mark) => mark.codec))];
  const next = codecs.at((codecs.indexOf(codec) + step) % codecs.length);
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
