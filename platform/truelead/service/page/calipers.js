// Calipers: two points on the paper, and what lies between them in time and amplitude.

import { MILLIMETRES_PER_MILLIVOLT, MILLIMETRES_PER_SECOND } from "./ecg_paper.js";

const HANDLE = 6;
const GRAB = 22;

export class Calipers {
  constructor() {
    /** Millimetres on the sheet, or null before anything was measured. */
    this.first = null;
    this.second = null;
    this.moving = "second";
    this.marches = false;
  }

  /** Begin at a point, or take up the handle that lies near it. */
  press(point, scale) {
    for (const name of ["first", "second"]) {
      const handle = this[name];
      if (handle && Math.hypot(handle.x - point.x, handle.y - point.y) * scale < GRAB) {
        this.moving = name;
        return;
      }
    }
    this.first = { ...point };
    this.second = { ...point };
    this.moving = "second";
  }

  move(point) {
    this[this.moving] = { ...point };
  }

  /** Move the point that is moved by so many millimetres. */
  nudge(x, y) {
    const point = this[this.moving];
    this[this.moving] = { x: point.x + x, y: point.y + y };
  }

  changeEnd() {
    this.moving = this.moving === "first" ? "second" : "first";
  }

  /** Where nothing is measured yet: 1 s and 1 mV about the window's middle. */
  placeAt(middle) {
    this.first = { x: middle.x - MILLIMETRES_PER_SECOND / 2, y: middle.y + 5 };
    this.second = { x: middle.x + MILLIMETRES_PER_SECOND / 2, y: middle.y - 5 };
    this.moving = "second";
  }

  clear() {
    this.first = this.second = null;
  }

  /** {milliseconds, beatsPerMinute (null under 1 ms), millivolts}, or null. */
  reading() {
    if (!this.first) return null;
    const seconds = Math.abs(this.second.x - this.first.x) / MILLIMETRES_PER_SECOND;
    return {
      milliseconds: 1000 * seconds,
      beatsPerMinute: seconds >= 0.001 ? 60 / seconds : null,
      // Upwards is positive, as on the paper.
      millivolts: (this.first.y - this.second.y) / MILLIMETRES_PER_MILLIVOLT,
    };
  }

  /** "412 ms, 146 bpm, 0.83 mV". */
  text() {
    const found = this.reading();
    if (!found) return "";
    const rate = found.beatsPerMinute === null ? "" : ` · ${Math.round(found.beatsPerMinute)} bpm`;
    const sign = found.millivolts < 0 ? "−" : "";
    const height = Math.abs(found.millivolts).toFixed(2);
    return `${Math.round(found.milliseconds)} ms${rate} · ${sign}${height} mV`;
  }

  draw(context, view, colours) {
    if (!this.first) return;
    const pixel = (point) => ({
      x: (point.x - view.left) * view.scale, y: (point.y - view.top) * view.scale,
    });
    const a = pixel(this.first), b = pixel(this.second);
    context.save();
    context.fillStyle = context.strokeStyle = colours.caliper;
    context.lineWidth = 1.5;
    context.globalAlpha = 0.1;
    context.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
    context.globalAlpha = 1;
    context.beginPath();
    for (const point of [a, b]) {
      context.moveTo(point.x, 0);
      context.lineTo(point.x, view.height);
      context.moveTo(Math.min(a.x, b.x), point.y);
      context.lineTo(Math.max(a.x, b.x), point.y);
    }
    context.stroke();
    if (this.marches) this.#march(context, view, a.x, b.x - a.x);
    for (const [point, name] of [[a, "first"], [b, "second"]]) {
      context.beginPath();
      context.arc(point.x, point.y, HANDLE, 0, 2 * Math.PI);
      context.fillStyle = name === this.moving ? colours.caliper : colours.paper;
      context.fill();
      context.stroke();
    }
    this.#label(context, view, a, b, colours);
    context.restore();
  }

  /** The same distance again and again, to see whether beats keep it. */
  #march(context, view, start, step) {
    if (Math.abs(step) < 4) return;
    context.save();
    context.setLineDash([4, 4]);
    context.globalAlpha = 0.8;
    context.beginPath();
    const width = Math.abs(step);
    for (let x = start - Math.ceil(start / width) * width; x <= view.width; x += width) {
      context.moveTo(x, 0);
      context.lineTo(x, view.height);
    }
    context.stroke();
    context.restore();
  }

  #label(context, view, a, b, colours) {
    context.font = `600 13px ${colours.font}`;
    context.textBaseline = "middle";
    context.textAlign = "center";
    const text = this.text();
    const width = context.measureText(text).width + 16;
    const bound = (value, least, most) => Math.max(least, Math.min(value, most));
    const x = bound((a.x + b.x) / 2, width / 2 + 4, view.width - width / 2 - 4);
    const y = bound(Math.min(a.y, b.y) - 20, 14, view.height - 14);
    context.beginPath();
    context.roundRect(x - width / 2, y - 12, width, 24, 6);
    context.fillStyle = colours.caliper;
    context.fill();
    context.fillStyle = colours.paper;
    context.fillText(text, x, y + 0.5);
  }
}
