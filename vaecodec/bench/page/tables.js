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
