// A small picture of an ECG: five seconds of lead II, or of the first lead where II is missing.

import { LEADS } from "./ecg.js";
import { MILLIMETRES_PER_MILLIVOLT, MILLIMETRES_PER_SECOND } from "./ecg_paper.js";

const SECONDS = 5;
const WIDTH = SECONDS * MILLIMETRES_PER_SECOND, HEIGHT = 32;

export class Thumbnail {
  /** @param {import("./ecg.js").PageEcg} ecg */
  constructor(ecg) {
    this.ecg = ecg;
    this.lead = ecg.leads.II ? "II" : LEADS.find((lead) => ecg.leads[lead]);
    this.canvas = document.createElement("canvas");
    this.canvas.className = "thumbnail";
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Lead ${this.lead} of ${ecg.name}`);
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
  }

  #draw() {
    const density = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    if (!width) return;
    const scale = (width / WIDTH) * density;
    this.canvas.width = Math.round(width * density);
    this.canvas.height = Math.round(HEIGHT * scale);
    const style = getComputedStyle(this.canvas);
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    context.strokeStyle = style.getPropertyValue("--paper-ink");
    context.lineWidth = (1.2 * density) / scale;
    context.lineJoin = "round";
    context.beginPath();
    const samples = this.ecg.leads[this.lead];
    const known = samples.filter((value) => value !== null).sort((a, b) => a - b);
    const middle = known[known.length >> 1];
    const last = Math.min(samples.length, Math.round(SECONDS * this.ecg.samplingRate));
    let drawing = false;
    for (let at = 0; at < last; at += 1) {
      if (samples[at] === null) {
        drawing = false;
        continue;
      }
      const x = (at / this.ecg.samplingRate) * MILLIMETRES_PER_SECOND;
      const y = 0.62 * HEIGHT - (samples[at] - middle) * MILLIMETRES_PER_MILLIVOLT;
      if (drawing) context.lineTo(x, y);
      else context.moveTo(x, y);
      drawing = true;
    }
    context.stroke();
  }
}
