/** Two pictures with a divider between them, and how far apart they are. */
import { Whole } from "./layers.js";

export class Divider {
  /** The element is a slider, 0 to 100 % of the stage from its left; `onMove` gets 0 to 1. */
  constructor(element, stage, onMove) {
    Object.assign(this, { element, stage, onMove });
    element.addEventListener("pointerdown", (event) => {
      event.stopPropagation(); // the picture stays
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      event.stopPropagation();
      if (element.hasPointerCapture(event.pointerId)) this.follow(event);
    });
    element.addEventListener("dblclick", (event) => event.stopPropagation());
    element.addEventListener("keydown", (event) => this.key(event));
  }

  show(share) {
    this.share = Math.min(1, Math.max(0, share));
    this.element.style.left = `${this.share * 100}%`;
    const percent = Math.round(this.share * 100);
    this.element.setAttribute("aria-valuenow", percent);
    this.element.setAttribute("aria-valuetext", `${percent} % from the left`);
    this.element.hidden = false;
    this.onMove(this.share);
  }

  hide() {
    this.element.hidden = true;
    this.onMove(null);
  }

  follow(event) {
    const box = this.stage.getBoundingClientRect();
    this.show((event.clientX - box.left) / box.width);
  }

  key(event) {
    const moves = { ArrowLeft: -0.02, ArrowRight: 0.02, ArrowDown: -0.02, ArrowUp: 0.02, Home: -1, End: 1 };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.show(this.share + moves[event.key] * (event.shiftKey ? 5 : 1));
  }
}

/** A picture that the browser reads: its layer, upright, drawn at the size of the other one; and its pixels' owner. */
export async function other(blob, name, width, height) {
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new Error(`The browser cannot show ${name}.`);
  });
  return { layer: new Whole(bitmap, width, height), name, blob, size: blob.size, width: bitmap.width, height: bitmap.height };
}

/** The numbers in a file, RGBA, as they are stored: no profile is applied. */
async function samples(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/** PSNR in dB of RGB samples, transparent ones on white; Infinity where they are equal, null where sizes differ. */
export async function psnr(picture, file) {
  if (picture.width !== file.width || picture.height !== file.height) return null;
  const [a, b] = [picture.data, await samples(file.blob)];
  let sum = 0;
  for (let at = 0; at < a.length; at += 4) {
    const [p, q] = [a[at + 3] / 255, b[at + 3] / 255];
    for (let n = at; n < at + 3; n++) {
      const d = p === 1 && q === 1 ? a[n] - b[n] : (a[n] - 255) * p - (b[n] - 255) * q;
      sum += d * d;
    }
  }
  return 10 * Math.log10((255 * 255 * 3 * picture.width * picture.height) / sum);
}
