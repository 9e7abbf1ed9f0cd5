/**
 * Makes `<img src="photo.vaec">` work: <script type="module" src="vaec/img.js"></script>
 *
 * The browser does all that it does for any picture: it chooses among `srcset`, `sizes` and `<source>`, and it waits
 * with lazy ones. What it has chosen it then cannot read. This script hears of that error before the page does,
 * decodes the file, and puts a PNG of the same pixels in the place of that one candidate. So `src` stays as it is,
 * `load` fires, and a server or service worker that sends a picture which the browser knows is left alone.
 *
 * While a picture is decoded it has the attribute data-vaec="decoding".
 */
import { decode, setup, toPNG } from "./vaec.js";

const TYPE = "image/vaec";
const AT_A_TIME = 2; // pictures being decoded; each has workers of its own
const SELECTOR = "img, source";

/** Of each picture that is shown: what stands in its attributes for what, to be taken back when the page changes it. */
const shown = new WeakMap(); // img -> Map(holder -> { was: string | null, now: string, urls: string[] })
const jobs = new WeakMap(); // img -> AbortController

/** Look after the pictures in `root`, now and later. For a shadow root, or one `new Image()`; the page itself is. */
export function watch(root = document) {
  root.addEventListener("error", onError, { capture: true });
  const options = { subtree: true, childList: true, attributes: true, attributeFilter: ["src", "srcset", "type"] };
  new MutationObserver(onChange).observe(root, options);
  for (const element of elements(root)) adopt(element);
}

function elements(root) {
  const inside = [...root.querySelectorAll(SELECTOR)];
  return root instanceof Element && root.matches(SELECTOR) ? [root, ...inside] : inside;
}

/** An element that is new here. */
function adopt(element) {
  if (element.localName === "source") offer(element);
  else if (element.complete && !element.naturalWidth && isVaec(element)) show(element); // its error came before us
}

/** Let the browser choose a `<source type="image/vaec">`: if the decoder cannot be had, its fallback stays. */
async function offer(source) {
  if (source.type.toLowerCase() !== TYPE || source.parentElement?.localName !== "picture") return;
  source.dataset.vaecType = TYPE;
  try {
    await setup();
    if (source.type.toLowerCase() === TYPE) source.removeAttribute("type");
  } catch (error) {
    console.warn(`${source.srcset}: ${error.message}`);
  }
}

function onError(event) {
  const image = event.target;
  if (!event.isTrusted || image.localName !== "img" || !isVaec(image)) return;
  event.stopImmediatePropagation(); // the page is told of an error only if decoding fails too
  show(image);
}

/** Whether what the browser has chosen is ours, by its name or the type of its `<source>`. */
function isVaec(image) {
  const url = image.currentSrc;
  if (!URL.canParse(url) || url.startsWith("blob:")) return false;
  return /\.vaec$/i.test(new URL(url).pathname) || holder(image)?.dataset.vaecType === TYPE;
}

/** The element that names the current source: a `<source>` of the picture, or the image itself. */
function holder(image) {
  const parent = image.parentElement;
  const sources = parent?.localName === "picture" ? [...parent.querySelectorAll(":scope > source")] : [];
  return [...sources, image].find((one) => candidates(one.srcset).some(({ url }) => isCurrent(url, image))) ?? image;
}

function isCurrent(url, image) {
  return URL.canParse(url, document.baseURI) && new URL(url, document.baseURI).href === image.currentSrc;
}

/** The parts of a `srcset`. */
function candidates(srcset) {
  const found = srcset.matchAll(/([^\s,]\S*[^\s,]|[^\s,])(?:\s+([^\s,]+))?\s*(?:,|$)/g);
  return [...found].map(([, url, descriptor = "1x"]) => ({ url, descriptor }));
}

// One picture

async function show(image) {
  if (jobs.has(image)) return;
  const job = new AbortController();
  jobs.set(image, job);
  begin(image, job);
  try {
    const png = await decoded(image, image.currentSrc, job.signal);
    if (!job.signal.aborted) put(image, URL.createObjectURL(new Blob([png], { type: "image/png" })));
  } catch (error) {
    if (job.signal.aborted) return;
    console.warn(`${image.currentSrc}: ${error.message}`);
    end(image, job);
    image.dispatchEvent(new Event("error"));
  } finally {
    end(image, job);
  }
}

/** Until it is decoded a picture is neither complete nor broken, as any that is on its way. */
function begin(image, job) {
  image.dataset.vaec = "decoding";
  const done = new Promise((resolve) => job.signal.addEventListener("abort", resolve, { once: true }));
  Object.defineProperty(image, "complete", { configurable: true, get: () => false });
  Object.defineProperty(image, "decode", {
    configurable: true,
    value: () => done.then(() => HTMLImageElement.prototype.decode.call(image)),
  });
}

function end(image, job) {
  if (jobs.get(image) !== job) return;
  jobs.delete(image);
  delete image.dataset.vaec;
  delete image.complete;
  delete image.decode;
  job.abort();
}

let running = 0;
const waiting = [];

/** The PNG of a picture, when its turn comes. */
async function decoded(image, url, signal) {
  if (running >= AT_A_TIME) await new Promise((resolve) => waiting.push(resolve));
  running++;
  try {
    signal.throwIfAborted();
    const response = await fetch(url, {
      credentials: image.crossOrigin === "use-credentials" ? "include" : "same-origin",
      headers: { Accept: `${TYPE}, */*;q=0.1` },
      referrerPolicy: image.referrerPolicy,
      signal,
    });
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    return toPNG(await decode(response, { signal }));
  } finally {
    running--;
    waiting.shift()?.();
  }
}

/** Put a picture in the place of the candidate that the browser has chosen. */
function put(image, blob) {
  const place = holder(image);
  const set = candidates(place.srcset);
  const current = set.find(({ url }) => isCurrent(url, image));
  if (current) current.url = blob;
  else set.unshift({ url: blob, descriptor: "1x" }); // goes ahead of `src`
  const holders = shown.get(image) ?? new Map();
  const { was = place.getAttribute("srcset"), urls = [] } = holders.get(place) ?? {};
  const now = set.map(({ url, descriptor }) => `${url} ${descriptor}`).join(", ");
  shown.set(image, holders.set(place, { was, now, urls: [...urls, blob] }));
  place.srcset = now;
}

// What the page changes

function onChange(records) {
  for (const { type, target, attributeName, addedNodes, removedNodes } of records) {
    if (type === "attributes") changed(target, attributeName);
    for (const node of addedNodes) if (node instanceof Element) elements(node).forEach(adopt);
    for (const node of removedNodes) if (node instanceof Element) elements(node).forEach(removed);
  }
}

function changed(element, name) {
  const image = element.localName === "img" ? element : element.parentElement?.querySelector("img");
  if (name === "type") return adopt(element);
  const ours = image && shown.get(image)?.get(element);
  if (name === "srcset" && ours?.now === element.getAttribute("srcset")) return; // by ourselves
  if (image) forget(image, name === "srcset" ? element : undefined);
}

function removed(element) {
  if (element.localName === "img" && !element.isConnected) forget(element);
}

/** Give the attributes back to the page, but for those of `changed`, which it has set anew. */
function forget(image, changed) {
  const job = jobs.get(image);
  if (job) end(image, job);
  for (const [place, { was, urls }] of shown.get(image) ?? []) {
    if (place !== changed && was === null) place.removeAttribute("srcset");
    else if (place !== changed) place.srcset = was;
    urls.forEach((url) => URL.revokeObjectURL(url));
  }
  shown.delete(image);
}

/** No sign of a broken picture while one is decoded; pages may say otherwise. */
const sheet = new CSSStyleSheet();
sheet.replaceSync(':where(img[data-vaec="decoding"]) { opacity: 0 }');
document.adoptedStyleSheets.push(sheet);
watch();
