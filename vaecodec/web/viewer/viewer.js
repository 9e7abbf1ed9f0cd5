/**
 * The viewer: opens files that are dropped, chosen or linked, and wires the parts together.
 *
 * A page may list files in <nav id="files">: a link to each, with data-original where there is a picture to compare it
 * with. `?src=photo.vaec` opens a file of the same site. `data-alive` of <html> is where the server that serves
 * this page alone is told that it is still open.
 */
import { open, setup, stream, upright } from "../vaec.js";
import { Divider, other, psnr } from "./compare.js";
import { decibels, human, show } from "./details.js";
import { bitmapOf, isHuge, Tiled, turnedSize, Whole } from "./layers.js";
import { Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const PLAIN = /\.(png|jpe?g|avif|webp|gif)$/i; // what the browser reads by itself

const stage = new Stage($("stage"), $("canvas"));
const divider = new Divider($("divider"), $("stage"), (share) => {
  stage.split = share;
  stage.draw();
});
let current = null; // { name, job, opened, picture, layer, against, notes }

// Opening

/** Show a file: a Blob, or a URL. original: the same of a picture to compare it with. */
async function openFile(source, name, original) {
  close();
  const mine = (current = { name, job: new AbortController(), notes: [] });
  const { signal } = mine.job;
  setState("loading");
  $("name").textContent = document.title = name;
  progress({ received: 0, decoded: 0 });
  try {
    mine.opened = await open(source, { signal });
    signal.throwIfAborted();
    describe(mine);
    await (isHuge(mine.opened) ? openHuge : openWhole)(mine, source, signal);
    if (original) await compareWith(original);
    signal.throwIfAborted();
    say(`${name} is open, ${turnedSize(mine.opened).join(" by ")} pixels.`);
  } catch (error) {
    if (signal.aborted) return;
    fault(sentence(error, name, String(source)));
    if (!mine.layer) setState("failed");
  } finally {
    if (mine === current) $("progress").hidden = true;
  }
}

/** The picture as it arrives; of a damaged file what there is. */
async function openWhole(mine, source, signal) {
  for await (const picture of stream(source, { signal, partial: true, onProgress: progress })) {
    const bitmap = await bitmapOf(picture);
    if (signal.aborted) return bitmap.close();
    mine.layer?.close();
    mine.layer = new Whole(bitmap);
    mine.picture = upright(picture);
    layers(mine);
    if (picture.damaged.length) mine.lost = picture.damaged.length;
  }
  if (mine.lost) fault(`${mine.name} is damaged. Tiles that are lost or coarse: ${mine.lost} of ${mine.opened.tiles}.`);
}

async function openHuge(mine, source, signal) {
  const tiled = new Tiled(mine.opened, () => stage.draw(), (error) => fault(sentence(error, mine.name)));
  await tiled.begin(source instanceof URL, { signal, onProgress: progress });
  if (signal.aborted) return tiled.close();
  mine.layer = tiled;
  mine.notes.push("A picture this large is shown by tiles, as you look at them.");
  layers(mine);
}

function close() {
  if (!current) return;
  current.job.abort();
  stopComparing();
  stage.start(0, 0, false);
  current.layer?.close();
  current = null;
  $("fault").hidden = true;
}

/** All that is known before the pixels are. */
function describe({ name, opened, against, notes }) {
  const [width, height] = turnedSize(opened);
  $("facts").textContent = `${width} × ${height} · ${human(opened.size)}`;
  $("canvas").setAttribute("aria-label", `${name}, ${width} by ${height} pixels`);
  show($("details"), opened, against, notes);
}

function layers(mine) {
  const all = [mine.layer, mine.against?.layer].filter(Boolean);
  if (document.body.dataset.state !== "ready") {
    setState("ready");
    stage.start(...turnedSize(mine.opened), mine.opened.channels % 2 === 0);
    describe(mine);
  }
  stage.layers = all;
  stage.draw();
}

// Comparing

/** original: a File, or { url, name }. */
async function compareWith(original) {
  const mine = current;
  const { name } = original;
  try {
    const blob = original.url ? await fetched(original.url, name) : original;
    const against = await other(blob, name, ...turnedSize(mine.opened));
    if (mine !== current) return against.layer.close();
    mine.against?.layer.close();
    mine.against = against;
    layers(mine);
    divider.show(0.5);
    tag("before", name, human(against.size));
    tag("after", mine.name, human(mine.opened.size));
    $("compare").setAttribute("aria-pressed", "true");
    if (mine.picture) against.psnr = await psnr(mine.picture, against);
    if (mine !== current || mine.against !== against) return;
    describe(mine);
    if (against.psnr) tag("after", mine.name, `${human(mine.opened.size)} · ${decibels(against.psnr)}`);
    say(`Compared with ${name}. The divider moves with the arrow keys.`);
  } catch (error) {
    if (mine === current) fault(sentence(error, name));
  }
}

function stopComparing() {
  if (!current?.against) return;
  current.against.layer.close();
  current.against = null;
  stage.layers = [current.layer].filter(Boolean);
  divider.hide();
  for (const id of ["before", "after"]) $(id).hidden = true;
  $("compare").setAttribute("aria-pressed", "false");
  describe(current);
}

/** A name, which is cut off where there is no room, and figures. */
function tag(id, name, figures) {
  const parts = [name, figures].map((text) => Object.assign(document.createElement("span"), { textContent: text }));
  $(id).replaceChildren(...parts);
  $(id).hidden = false;
}

async function fetched(url, name) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${name} cannot be fetched: the server answers ${response.status}.`);
  return response.blob();
}

// Files: dropped, chosen, listed, linked

/** A .vaec file is opened; a picture that the browser reads is what it, or the one that is open, is compared with. */
function take(files) {
  const plain = [...files].find((file) => PLAIN.test(file.name));
  const coded = [...files].find((file) => !PLAIN.test(file.name));
  if (coded) {
    mark(null);
    openFile(coded, coded.name, plain);
  } else if (plain && current?.layer) compareWith(plain);
  else if (plain) fault(`${plain.name} is no .vaec file. Open one first to compare the two.`);
}

const links = [...document.querySelectorAll("#files a")];

function mark(link) {
  for (const one of links) one.toggleAttribute("aria-current", one === link);
  link?.setAttribute("aria-current", "true");
  if (!link) return;
  // Not scrollIntoView: in newer versions of Chromium Tab then goes on from there.
  const place = link.getBoundingClientRect(), seen = $("files").getBoundingClientRect();
  $("files").scrollBy(Math.min(0, place.left - seen.left) + Math.max(0, place.right - seen.right), 0);
}

function openLink(link) {
  mark(link);
  const { original } = link.dataset;
  const url = new URL(link.href);
  history.replaceState(null, "", links.length > 1 ? `#${encodeURIComponent(link.textContent)}` : "#");
  openFile(url, link.textContent, original && { url: new URL(original, document.baseURI), name: named(original) });
}

function turnPage(step) {
  const at = links.findIndex((link) => link.hasAttribute("aria-current"));
  const next = links[at + step];
  if (next) openLink(next);
}

const named = (url) => decodeURIComponent(new URL(url, document.baseURI).pathname.split("/").pop());

function start() {
  const { alive } = document.documentElement.dataset;
  if (alive) new EventSource(alive); // the server ends when this does
  if (alive) setup({ cache: false }).catch(() => {}); // its address is a new one each time; decoding tells of errors
  $("files").hidden = links.length < 2;
  for (const link of links)
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      openLink(link);
    });
  const src = new URLSearchParams(location.search).get("src");
  if (src) return openSrc(src);
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = links.find((link) => link.textContent === wanted) ?? links[0];
  if (first) openLink(first);
}

function openSrc(src) {
  const url = URL.canParse(src, document.baseURI) ? new URL(src, document.baseURI) : null;
  if (url?.origin !== location.origin) return fault("Only files of this site can be linked.");
  openFile(url, named(url));
}

// What the page says

function setState(state) {
  document.body.dataset.state = state;
  const ready = state === "ready";
  $("compare").disabled = !ready;
  $("details-toggle").disabled = !ready;
  if (!ready) $("facts").textContent = "";
  if (state === "failed") toggleDetails(false);
  $("pixel").hidden = true;
}

function progress({ received, total, decoded }) {
  const share = total ? (received / total) * 0.5 + decoded * 0.5 : decoded;
  $("progress").value = share || 0.02;
  $("progress").hidden = false;
}

function say(text) {
  $("status").textContent = text;
}

function fault(text) {
  $("fault").textContent = text;
  $("fault").hidden = false;
}

function sentence(error, name, url = name) {
  const text = (error.message || String(error)).replaceAll(url, name);
  return `${text.includes(name) ? "" : `${name}: `}${text}${/[.!?]$/.test(text) ? "" : "."}`;
}

function toggleDetails(wanted = $("details").hidden) {
  $("details").hidden = !wanted;
  $("details-toggle").setAttribute("aria-expanded", String(wanted));
}

function compare() {
  if (current?.against) stopComparing();
  else choose();
}

const choose = () => $("file").click();

// Wiring

stage.addEventListener("view", () => {
  $("zoom").textContent = `${Number((stage.zoom * 100).toPrecision(stage.zoom < 0.1 ? 2 : 3))} %`;
});
stage.addEventListener("hover", ({ detail }) => {
  const { picture } = current ?? {};
  $("pixel").hidden = !(detail && picture);
  if (!detail || !picture) return;
  const at = 4 * (detail.y * picture.width + detail.x);
  const values = picture.data.subarray(at, at + (picture.channels % 2 ? 3 : 4));
  $("pixel").textContent = `${detail.x}, ${detail.y} · ${[...values].join(" ")}`;
});

const actions = {
  "+": () => stage.step(1), "=": () => stage.step(1), "-": () => stage.step(-1), 0: () => stage.fit(),
  1: () => stage.zoomTo(1), o: choose, c: compare, i: () => toggleDetails(), "?": () => $("keys").showModal(),
  ArrowLeft: () => stage.nudge(1, 0), ArrowRight: () => stage.nudge(-1, 0),
  ArrowUp: () => stage.nudge(0, 1), ArrowDown: () => stage.nudge(0, -1),
  PageUp: () => turnPage(-1), PageDown: () => turnPage(1),
};
const ALWAYS = ["o", "?", "PageUp", "PageDown"];

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key.startsWith("Arrow") && $("details").contains(event.target)) return; // they scroll
  if (!(key in actions) || !(ALWAYS.includes(key) || current?.layer)) return;
  event.preventDefault();
  actions[key]();
});

const buttons = {
  open: choose, choose, compare, "details-toggle": () => toggleDetails(), help: actions["?"], fit: actions[0],
  full: actions[1], "zoom-in": actions["+"], "zoom-out": actions["-"],
};
for (const [id, action] of Object.entries(buttons)) $(id).addEventListener("click", action);

$("file").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = "";
});

let inside = 0; // dragenter and dragleave come for every element
for (const [type, step] of [["dragenter", 1], ["dragleave", -1]])
  addEventListener(type, () => {
    inside += step;
    $("drop").hidden = inside <= 0;
  });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  $("drop").hidden = true;
  take(event.dataTransfer.files);
});
addEventListener("paste", (event) => take(event.clipboardData.files));

start();
