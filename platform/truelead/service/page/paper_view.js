// The window onto one ECG's paper: zoom, pan, calipers, and what the answer is laid over.
//
// Pointer: drag moves the paper (or measures, with calipers on), two fingers or Ctrl + wheel zoom.
// Keyboard, on the focused paper: arrows move the paper or the caliper, + and - zoom, 0 fits,
// C turns the calipers on or off, Space changes the caliper's end, Escape clears it.

import { Calipers } from "./calipers.js";
import { drawPaper, drawTraces, layOut, traceAt } from "./ecg_paper.js";
import { drawEvidence } from "./evidence.js";
import { lengthInWords, missingLeads } from "./ecg.js";

const LARGEST_SCALE = 24;
/** Pixels a millimetre below which a phone shows a part of the sheet rather than all of it. */
const SMALLEST_FIRST_SCALE = 2.2;

/** A sheet without an ECG: lines alone. */
const EMPTY = { width: 270, height: 100, rows: [] };

export class PaperView {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} caption line under the paper
   * @param {(text: string) => void} announce what the calipers read
   * @param {() => void} toggleCalipers of the whole page
   */
  constructor(canvas, caption, announce, toggleCalipers) {
    this.canvas = canvas;
    this.caption = caption;
    this.announce = announce;
    this.toggleCalipers = toggleCalipers;
    this.context = canvas.getContext("2d");
    this.calipers = new Calipers();
    this.measures = false;
    this.layout = "3x4";
    this.ecg = null;
    this.evidence = null;
    this.pointers = new Map();
    this.sheet = EMPTY; // until an ECG is shown
    this.view = { scale: 4, left: 0, top: 0, width: 0, height: 0 };
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
    window.matchMedia("(prefers-color-scheme: dark)")
      .addEventListener("change", () => this.redraw());
    this.#listen();
  }

  /** @param {import("./ecg.js").PageEcg} ecg @param {string} title what the caption begins with */
  show(ecg, title) {
    this.ecg = ecg;
    this.evidence = null;
    this.calipers.clear();
    this.#describe(title);
    this.#lay();
  }

  setTitle(title) {
    this.#describe(title);
  }

  setLayout(layout) {
    this.layout = layout;
    this.calipers.clear();
    if (this.ecg) this.#lay();
  }

  /** Lay an answer's evidence over the paper; null takes it away. */
  setEvidence(evidence) {
    this.evidence = evidence;
    this.redraw();
  }

  setMeasures(on) {
    this.measures = on;
    this.canvas.classList.toggle("measures", on);
    if (!on) this.calipers.clear();
    this.redraw();
  }

  setMarches(on) {
    this.calipers.marches = on;
    this.redraw();
  }

  fit() {
    this.view.scale = this.#firstScale();
    this.view.left = this.view.top = 0;
    this.redraw();
  }

  /** Zoom about a point of the window, in pixels; its middle where left out. */
  zoomBy(factor, x = this.view.width / 2, y = this.view.height / 2) {
    const { view } = this;
    const scale = Math.min(Math.max(view.scale * factor, this.#fittingScale()), LARGEST_SCALE);
    view.left += x / view.scale - x / scale;
    view.top += y / view.scale - y / scale;
    view.scale = scale;
    this.redraw();
  }

  #describe(title) {
    const missing = missingLeads(this.ecg);
    const absent = missing.length ? ` · not recorded: ${missing.join(", ")}` : "";
    const cut = this.ecg.seconds > 10.05 ? " · the first 10 s are drawn" : "";
    this.caption.textContent = `${title} · ${lengthInWords(this.ecg)}${cut}${absent}`;
    this.canvas.setAttribute(
      "aria-label", `12-lead ECG on ECG paper. ${this.caption.textContent}. 25 mm/s, 10 mm/mV.`);
  }

  #lay() {
    this.sheet = layOut(this.ecg, this.layout);
    this.#resize();
    this.fit();
  }

  /** The whole width, in steps that make a large square whole pixels: an even grid. */
  #fittingScale() {
    const steps = 5 * (this.density ?? 1);
    return Math.floor((this.view.width / this.sheet.width) * steps) / steps;
  }

  #firstScale() {
    return Math.max(this.#fittingScale(), SMALLEST_FIRST_SCALE);
  }

  #resize() {
    const { view, canvas } = this;
    const width = canvas.parentElement.clientWidth;
    if (!width) return;
    const fitted = view.width && Math.abs(view.scale - this.#firstScale()) < 1e-6;
    view.width = width;
    const density = Math.min(window.devicePixelRatio || 1, 3);
    this.density = density;
    view.height = Math.round(this.sheet.height * this.#firstScale());
    canvas.style.height = `${view.height}px`;
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(view.height * density);
    if (fitted) view.scale = this.#firstScale();
    this.redraw();
  }

  /** Draw once before the next frame, however often it is asked for. */
  redraw() {
    if (this.frame) return;
    this.frame = window.requestAnimationFrame(() => {
      this.frame = 0;
      this.#keepInside();
      const colours = this.#colours();
      const { context, view } = this;
      context.setTransform(this.density, 0, 0, this.density, 0, 0);
      drawPaper(context, view, colours);
      if (this.evidence) drawEvidence(context, this.sheet, view, colours, this.evidence);
      drawTraces(context, this.sheet, view, colours);
      this.calipers.draw(context, view, colours);
    });
  }

  #keepInside() {
    const { view, sheet } = this;
    const bound = (value, most) => Math.min(Math.max(value, 0), Math.max(most, 0));
    view.left = bound(view.left, sheet.width - view.width / view.scale);
    view.top = bound(view.top, sheet.height - view.height / view.scale);
  }

  #colours() {
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      paper: colour("paper"), thin: colour("paper-thin"), thick: colour("paper-thick"),
      ink: colour("paper-ink"), pale: colour("paper-pale"), caliper: colour("caliper"),
      evidence: colour("evidence"), font: style.fontFamily,
    };
  }

  #sheetPoint(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    return { x: this.view.left + x / this.view.scale, y: this.view.top + y / this.view.scale };
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.#up(event));
    }
    canvas.addEventListener("dblclick", () => this.#double());
    canvas.addEventListener("wheel", (event) => {
      if (!this.ecg || (!event.ctrlKey && !event.metaKey)) return; // the page scrolls
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      this.zoomBy(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #double() {
    if (!this.measures) this.fit();
  }

  #down(event) {
    if (event.button !== 0 || !this.ecg) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.measures && this.pointers.size === 1) {
      this.calipers.press(this.#sheetPoint(event), this.view.scale);
      this.redraw();
    }
  }

  #moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    if (this.pointers.size === 2) this.#pinch(event.pointerId, before, now);
    else if (this.measures) this.calipers.move(this.#sheetPoint(event));
    else {
      this.view.left -= (now.x - before.x) / this.view.scale;
      this.view.top -= (now.y - before.y) / this.view.scale;
    }
    this.pointers.set(event.pointerId, now);
    this.redraw();
  }

  #pinch(id, before, now) {
    const [other] = [...this.pointers].filter(([key]) => key !== id).map(([, value]) => value);
    const distance = (point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 1);
    const box = this.canvas.getBoundingClientRect();
    // The middle between the fingers keeps its place on the paper.
    this.view.left -= (now.x - before.x) / 2 / this.view.scale;
    this.view.top -= (now.y - before.y) / 2 / this.view.scale;
    this.zoomBy(distance(now) / distance(before),
      (now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top);
  }

  #up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.measures) this.#announceReading();
  }

  #announceReading() {
    const { first } = this.calipers;
    if (!first) return;
    const trace = traceAt(this.sheet, first.x, first.y);
    this.announce(this.calipers.text() + (trace ? ` (from lead ${trace.lead})` : ""));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.ecg) return;
    const step = event.shiftKey ? 5 : 1;
    const arrows = {
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    };
    const arrow = arrows[event.key];
    if (arrow && this.measures) this.#nudge(...arrow);
    else if (arrow) {
      this.view.left += 5 * arrow[0];
      this.view.top += 5 * arrow[1];
    } else if (event.key === "+" || event.key === "=") this.zoomBy(1.25);
    else if (event.key === "-") this.zoomBy(0.8);
    else if (event.key === "0") this.fit();
    else if (event.key === "c" || event.key === "C") this.toggleCalipers();
    else if (event.key === " " && this.measures) this.calipers.changeEnd();
    else if (event.key === "Escape" && this.calipers.first) this.calipers.clear();
    else return;
    event.preventDefault();
    this.redraw();
  }

  #nudge(x, y) {
    const { view } = this;
    if (!this.calipers.first) {
      this.calipers.placeAt({
        x: view.left + view.width / view.scale / 2, y: view.top + view.height / view.scale / 2,
      });
    } else this.calipers.nudge(x, y);
    this.#announceReading();
  }
}
