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
  $("divider").style.height = `${port.clientHeight}px`; // not over the scroll bars
  $("right-tag").style.right = `${port.offsetWidth - port.clientWidth + 8}px`;
  $("divider").setAttribute("aria-valuenow", Math.round(100 * viewer.split));
}

function moveDivider(split) {
  viewer.split = Math.min(1, Math.max(0, split));
  placeDivider();
}

async function pixels(src) {
  if (!src) return null;
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
  let dragging = false;
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
    dragging = true; // a browser may take the capture away
    $("divider").focus({ preventScroll: true });
    drag(event);
  };
  stage.onpointermove = (event) => { if (dragging && event.buttons) drag(event); };
  stage.onpointerup = stage.onpointercancel = () => { dragging = false; };
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
