/** The canvas: what part of a picture it shows, how large, and what moves it. */

const LARGEST = 64; // device pixels for a pixel of the picture
const STEP = Math.SQRT2;
const NUDGE = 60; // CSS pixels by an arrow key

export class Stage extends EventTarget {
  /** Events: "view" after each change of place or size, "hover" with `detail` {x, y} in the picture, or null. */
  constructor(element, canvas) {
    super();
    Object.assign(this, { element, canvas, layers: [], width: 0, height: 0, zoom: 1, x: 0, y: 0, split: null });
    this.fitted = true;
    this.transparent = false;
    this.context = canvas.getContext("2d", { colorSpace: colourSpace() });
    this.pointers = new Map();
    new ResizeObserver(() => this.resize()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave"])
      element.addEventListener(type, (event) => this[type](event));
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("dblclick", (event) => this.toggle(event));
    this.resize();
  }

  /** Device pixels for a CSS pixel. */
  get ratio() {
    return devicePixelRatio || 1;
  }

  /** Show another picture of so many pixels. The layers are drawn one over the other, the last by its side of `split`. */
  start(width, height, transparent) {
    Object.assign(this, { width, height, transparent, layers: [] });
    this.draw();
    this.fit();
  }

  resize() {
    const { clientWidth, clientHeight } = this.element;
    const [width, height] = [clientWidth, clientHeight].map((side) => Math.max(1, Math.round(side * this.ratio)));
    const [dx, dy] = [(width - this.canvas.width) / 2, (height - this.canvas.height) / 2];
    Object.assign(this.canvas, { width, height });
    if (this.fitted) return this.fit();
    this.move(dx, dy); // the middle stays
  }

  /** A picture that has room pixel for pixel is not made smaller; another leaves room for what lies over it. */
  fitting() {
    const { width, height } = this.canvas;
    if (this.width <= width && this.height <= height) return 1;
    const [beside, above] = [Math.min(24 * this.ratio, width * 0.02), Math.min(68 * this.ratio, height * 0.11)];
    return Math.min(1, (width - 2 * beside) / this.width, (height - 2 * above) / this.height);
  }

  fit() {
    if (!this.width) return;
    this.zoom = this.fitting();
    this.x = (this.canvas.width - this.width * this.zoom) / 2;
    this.y = (this.canvas.height - this.height * this.zoom) / 2;
    this.fitted = true;
    this.changed();
  }

  /** Zoom so that a point of the canvas, by default its middle, stays where it is. */
  zoomTo(zoom, at = [this.canvas.width / 2, this.canvas.height / 2]) {
    if (!this.width) return;
    const least = Math.min(this.fitting(), 1);
    const next = Math.min(LARGEST, Math.max(least, zoom));
    if (next === least && zoom <= least) return this.fit();
    const [left, top] = [(at[0] - this.x) / this.zoom, (at[1] - this.y) / this.zoom];
    Object.assign(this, { zoom: next, x: at[0] - left * next, y: at[1] - top * next, fitted: false });
    this.move(0, 0);
  }

  /** A step by key or button stops at 100 %. */
  step(direction, at) {
    const next = this.zoom * STEP ** direction;
    const passes = (this.zoom - 1) * (next - 1) < -1e-9;
    this.zoomTo(passes || Math.abs(next - 1) < 0.02 ? 1 : next, at);
  }

  toggle(event) {
    if (this.zoom === 1) this.fit();
    else this.zoomTo(1, this.point(event));
  }

  /** Move by device pixels; the picture cannot leave the canvas, and stays in the middle where it is smaller. */
  move(dx, dy) {
    const place = (at, size, room) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
    this.x = place(this.x + dx, this.width * this.zoom, this.canvas.width);
    this.y = place(this.y + dy, this.height * this.zoom, this.canvas.height);
    this.changed();
  }

  nudge(dx, dy) {
    this.move(dx * NUDGE * this.ratio, dy * NUDGE * this.ratio);
  }

  changed() {
    this.dispatchEvent(new Event("view"));
    this.draw();
  }

  /** What of the picture can be seen: left, top, right, bottom in its pixels. */
  visible() {
    const { canvas, x, y, zoom, width, height } = this;
    return [-x / zoom, -y / zoom, Math.min(width, (canvas.width - x) / zoom), Math.min(height, (canvas.height - y) / zoom)]
      .map((value) => Math.max(0, value));
  }

  /** Draw with the next frame. */
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  paint() {
    const { context, canvas, layers, width, height } = this;
    context.reset();
    if (!width || !layers.length) return;
    const view = { x: Math.round(this.x), y: Math.round(this.y), zoom: this.zoom, visible: this.visible() };
    context.imageSmoothingEnabled = this.zoom < 1;
    context.imageSmoothingQuality = "high";
    if (this.transparent) this.checker(view);
    layers.forEach((layer, n) => {
      context.save();
      if (n && this.split !== null) {
        context.beginPath();
        context.rect(0, 0, Math.round(this.split * canvas.width), canvas.height);
        context.clip();
        context.clearRect(view.x, view.y, width * this.zoom, height * this.zoom);
        if (this.transparent) this.checker(view);
      }
      layer.draw(context, view);
      context.restore();
    });
  }

  /** What shows through a transparent picture. */
  checker(view) {
    const style = getComputedStyle(this.element);
    const side = Math.round(8 * this.ratio);
    const tile = new OffscreenCanvas(2 * side, 2 * side);
    const paint = tile.getContext("2d");
    paint.fillStyle = style.getPropertyValue("--page");
    paint.fillRect(0, 0, 2 * side, 2 * side);
    paint.fillStyle = style.getPropertyValue("--check");
    paint.fillRect(0, 0, side, side);
    paint.fillRect(side, side, side, side);
    this.context.fillStyle = this.context.createPattern(tile, "repeat");
    this.context.fillRect(view.x, view.y, this.width * this.zoom, this.height * this.zoom);
  }

  // Mouse, pen and fingers

  /** Where an event is, in device pixels of the canvas. */
  point(event) {
    const box = this.element.getBoundingClientRect();
    return [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio];
  }

  pointerdown(event) {
    if (event.button || !this.width) return;
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.point(event));
  }

  pointermove(event) {
    const now = this.point(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.hover(now);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, now);
    const moved = [now[0] - before[0], now[1] - before[1]];
    if (!others.length) return this.move(...moved);
    const other = others[0][1];
    const far = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
    this.move(moved[0] / 2, moved[1] / 2);
    this.zoomTo((this.zoom * far(now)) / Math.max(1, far(before)), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  }

  pointerup(event) {
    this.pointers.delete(event.pointerId);
  }

  pointercancel(event) {
    this.pointers.delete(event.pointerId);
  }

  pointerleave() {
    this.dispatchEvent(new CustomEvent("hover", { detail: null }));
  }

  hover([left, top]) {
    const [x, y] = [Math.floor((left - this.x) / this.zoom), Math.floor((top - this.y) / this.zoom)];
    const inside = this.layers.length && x >= 0 && y >= 0 && x < this.width && y < this.height;
    this.dispatchEvent(new CustomEvent("hover", { detail: inside ? { x, y } : null }));
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    this.zoomTo(this.zoom * Math.exp(-Math.max(-200, Math.min(200, pixels)) / (event.ctrlKey ? 100 : 300)), this.point(event));
  }
}

/** The widest that screen and browser have; pictures are converted to it as they are drawn. */
function colourSpace() {
  return matchMedia("(color-gamut: p3)").matches ? "display-p3" : "srgb";
}
