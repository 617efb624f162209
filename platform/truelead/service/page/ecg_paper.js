// The 12-lead ECG on its paper: 25 mm a second, 10 mm a millivolt, lines every 1 mm and 5 mm.
//
// Layout and scale: Kligfield et al., Recommendations for the Standardization and Interpretation
// of the Electrocardiogram, Part I, Circulation 2007. Measures are those of the package's own
// drawings (truelead.signal.drawing): each lead about its median, nothing scaled or filtered.
// Units: millimetres from the sheet's upper left corner, y downwards.

import { LEADS } from "./ecg.js";

export const MILLIMETRES_PER_SECOND = 25;
export const MILLIMETRES_PER_MILLIVOLT = 10;
export const SECONDS = 10;

const LEFT = 15, RIGHT = 5, TOP = 5;
const SMALLEST_HALF_ROW = 10, LARGEST_HALF_ROW = 40;
const LABEL_SIZE = 3.4, LABEL_WIDTH = 9, PULSE_WIDTH = 5;

/** Rows of the sheet: the leads of each, one after the other in time. */
export const LAYOUTS = {
  "3x4": [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"], ["II"]],
  "12x1": LEADS.map((lead) => [lead]),
};

/**
 * Places of everything on the sheet of one ECG.
 * @param {import("./ecg.js").PageEcg} ecg
 * @param {"3x4"|"12x1"} layout
 */
export function layOut(ecg, layout) {
  const rows = [];
  let y = TOP;
  for (const leads of LAYOUTS[layout]) {
    const seconds = SECONDS / leads.length;
    const traces = leads.map((lead, column) => traceOf(ecg, lead, column * seconds, seconds));
    const highest = Math.max(0, ...traces.map((trace) => trace.highest));
    const lowest = Math.min(0, ...traces.map((trace) => trace.lowest));
    const near = Math.max(...traces.map((trace) => trace.highestNearLabel));
    const label = Math.min(
      Math.max(SMALLEST_HALF_ROW - 2, near) + 1.2, LARGEST_HALF_ROW - LABEL_SIZE);
    // Whole large squares, so that rows do not overlap and stand alike on the grid.
    const up = clamp(5 * Math.ceil((Math.max(highest, label + LABEL_SIZE) + 1) / 5),
      SMALLEST_HALF_ROW + 5, LARGEST_HALF_ROW);
    const down = clamp(5 * Math.ceil((1 - lowest) / 5), SMALLEST_HALF_ROW, LARGEST_HALF_ROW);
    const zero = y + up;
    for (const trace of traces) trace.path = pathOf(trace, zero);
    rows.push({ zero, top: y, bottom: y + up + down, labelY: zero - label, traces });
    y += up + down;
  }
  return { width: LEFT + SECONDS * MILLIMETRES_PER_SECOND + RIGHT, height: y, rows };
}

/** The trace at a place of the sheet, or null beside all of them. */
export function traceAt(sheet, x, y) {
  const row = sheet.rows.find((one) => y >= one.top && y < one.bottom);
  return row?.traces.find((trace) => x >= trace.left && x <= trace.left + trace.width) ?? null;
}

function traceOf(ecg, lead, start, seconds) {
  const whole = ecg.leads[lead];
  const trace = {
    lead, start, seconds, left: LEFT + start * MILLIMETRES_PER_SECOND,
    width: seconds * MILLIMETRES_PER_SECOND, points: null,
    highest: 0, lowest: 0, highestNearLabel: 0,
  };
  if (!whole) return trace;
  const middle = median(whole);
  const first = Math.round(start * ecg.samplingRate);
  // One sample more joins the trace to the next column's edge.
  const last = Math.min(Math.round((start + seconds) * ecg.samplingRate) + 1, whole.length);
  trace.points = [];
  for (let at = first; at < last; at += 1) {
    const value = whole[at];
    const x = trace.left + (at / ecg.samplingRate - start) * MILLIMETRES_PER_SECOND;
    const y = value === null ? null : (value - middle) * MILLIMETRES_PER_MILLIVOLT;
    trace.points.push([x, y]);
    if (y === null) continue;
    trace.highest = Math.max(trace.highest, y);
    trace.lowest = Math.min(trace.lowest, y);
    if (x < trace.left + LABEL_WIDTH) trace.highestNearLabel = Math.max(trace.highestNearLabel, y);
  }
  return trace;
}

function pathOf(trace, zero) {
  if (!trace.points) return null;
  const path = new Path2D();
  let drawing = false;
  for (const [x, y] of trace.points) {
    if (y === null) drawing = false;
    else if (drawing) path.lineTo(x, zero - y);
    else {
      path.moveTo(x, zero - y);
      path.lineTo(x, zero - y); // a single sample between gaps is a dot
      drawing = true;
    }
  }
  return path;
}

function median(values) {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  const half = known.length >> 1;
  return known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/**
 * Draw the paper's lines over the whole window and the sheet's traces, pulses and names.
 * @param {CanvasRenderingContext2D} context in CSS pixels
 * @param {Object} sheet of `layOut`
 * @param {{scale: number, left: number, top: number, width: number, height: number}} view
 *   pixels a millimetre; the millimetres at the window's corner; the window's size in pixels
 * @param {Object<string, string>} colours paper, thin, thick, ink, pale
 */
export function drawPaper(context, view, colours) {
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, view.width, view.height);
  // Thin lines closer than 2 pixels would be a haze.
  if (view.scale >= 2) lines(context, view, 1, colours.thin, view.scale < 3 ? 0.55 : 1);
  lines(context, view, 5, colours.thick, 1);
}

function lines(context, view, step, colour, opacity) {
  const { scale, left, top, width, height } = view;
  context.save();
  context.globalAlpha = opacity;
  context.strokeStyle = colour;
  context.lineWidth = step === 5 && scale > 6 ? 1.4 : 1;
  context.beginPath();
  for (let x = Math.ceil(left / step) * step; (x - left) * scale <= width; x += step) {
    const at = Math.round((x - left) * scale) + 0.5;
    context.moveTo(at, 0);
    context.lineTo(at, height);
  }
  for (let y = Math.ceil(top / step) * step; (y - top) * scale <= height; y += step) {
    const at = Math.round((y - top) * scale) + 0.5;
    context.moveTo(0, at);
    context.lineTo(width, at);
  }
  context.stroke();
  context.restore();
}

export function drawTraces(context, sheet, view, colours) {
  const { scale } = view;
  context.save();
  context.scale(scale, scale);
  context.translate(-view.left, -view.top);
  context.lineJoin = context.lineCap = "round";
  context.strokeStyle = colours.ink;
  for (const row of sheet.rows) {
    context.lineWidth = 0.25;
    context.stroke(calibrationPulse(row.zero));
    row.traces.forEach((trace, column) => {
      if (column) context.stroke(columnEdge(trace.left, row.zero));
      if (!trace.path) return drawMissing(context, trace, row.zero, colours);
      context.save();
      context.beginPath();
      context.rect(trace.left - 0.2, row.top - 5, trace.width + 0.4, row.bottom - row.top + 10);
      context.clip();
      // Never thinner than a pixel and a bit: a hairline is no trace.
      context.lineWidth = Math.max(0.3, 1.15 / scale);
      context.stroke(trace.path);
      context.restore();
    });
  }
  context.restore();
  drawNames(context, sheet, view, colours);
}

function calibrationPulse(zero) {
  const left = LEFT - 4 - PULSE_WIDTH, height = MILLIMETRES_PER_MILLIVOLT;
  const path = new Path2D();
  path.moveTo(left, zero);
  path.lineTo(left + 1, zero);
  path.lineTo(left + 1, zero - height);
  path.lineTo(left + 1 + PULSE_WIDTH, zero - height);
  path.lineTo(left + 1 + PULSE_WIDTH, zero);
  path.lineTo(left + 2 + PULSE_WIDTH, zero);
  return path;
}

function columnEdge(x, zero) {
  const path = new Path2D();
  for (const [from, to] of [[-8, -5.5], [5.5, 8]]) {
    path.moveTo(x, zero + from);
    path.lineTo(x, zero + to);
  }
  return path;
}

function drawMissing(context, trace, zero, colours) {
  context.save();
  context.strokeStyle = colours.pale;
  context.setLineDash([1.2, 1.6]);
  context.beginPath();
  context.moveTo(trace.left + 1, zero);
  context.lineTo(trace.left + trace.width - 1, zero);
  context.stroke();
  context.restore();
}

/** Names in pixels, so that they stay readable on a small screen. */
function drawNames(context, sheet, view, colours) {
  const at = (x, y) => [(x - view.left) * view.scale, (y - view.top) * view.scale];
  const size = Math.max(LABEL_SIZE * view.scale, 11);
  context.save();
  context.lineJoin = "round";
  context.textBaseline = "alphabetic";
  const write = (text, x, y, colour, font, align) => {
    context.font = font;
    context.textAlign = align;
    context.strokeStyle = colours.paper;
    context.lineWidth = 3;
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  };
  for (const row of sheet.rows) {
    for (const trace of row.traces) {
      // Of a trace whose beginning is out of sight, the name stays in it.
      const [x, y] = at(
        clamp(view.left + 1.2, trace.left + 1.2, trace.left + trace.width - LABEL_WIDTH),
        row.labelY);
      write(trace.lead, x, y, colours.ink, `600 ${size}px ${colours.font}`, "start");
      if (!trace.path) {
        const [middle, line] = at(trace.left + trace.width / 2, row.zero - 1.5);
        write("not recorded", middle, line, colours.pale,
          `500 ${Math.max(0.9 * size, 10.5)}px ${colours.font}`, "center");
      }
    }
  }
  context.restore();
}
