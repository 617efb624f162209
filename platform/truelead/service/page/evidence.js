// What the answer rests on, as the model's own measure says: leads and stretches of time.
//
// The service puts each lead, and each stretch of time in all leads, out of the ECG and states what
// the answer's score loses (occlusion, Zeiler and Fergus, ECCV 2014), in nats. Only losses are
// shown: a gain spoke against the answer. It tells what the model used, not where disease is.

import { element, percent } from "./dom.js";
import { LEADS } from "./ecg.js";

const LEADS_SHOWN = 3;
const STRETCHES_SHOWN = 3;
/** Odds that change by less than a hundredth are next to nothing. */
const SMALLEST_NATS = 0.01;

/**
 * @typedef {Object} Evidence
 * @property {{lead: string, share: number}[]} leads largest first; share of all losses by leads
 * @property {{start: number, end: number, share: number}[]} stretches seconds, largest first
 */

/** @returns {Evidence|null} of one ECG's attribution; null where nothing lost any score. */
export function evidenceOf(attribution) {
  const lost = LEADS.map((lead) => ({ lead, loss: attribution.leads[lead] ?? 0 }))
    .filter(({ loss }) => loss > SMALLEST_NATS);
  const all = lost.reduce((sum, { loss }) => sum + loss, 0);
  const leads = lost.map(({ lead, loss }) => ({ lead, share: loss / all }))
    .sort((a, b) => b.share - a.share).slice(0, LEADS_SHOWN);
  const stretches = strongest(attribution.windows);
  return leads.length || stretches.length ? { leads, stretches } : null;
}

/** The windows of largest loss that do not overlap. */
function strongest(windows) {
  const lost = windows.filter(({ share }) => share > SMALLEST_NATS)
    .sort((a, b) => b.share - a.share);
  const all = lost.reduce((sum, { share }) => sum + share, 0);
  const chosen = [];
  for (const { start_seconds: start, end_seconds: end, share } of lost) {
    if (chosen.every((one) => end <= one.start || start >= one.end)) {
      chosen.push({ start, end, share: share / all });
    }
    if (chosen.length === STRETCHES_SHOWN) break;
  }
  return chosen;
}

/** Leads get a frame and a mark before their name; stretches are hatched: never colour alone. */
export function drawEvidence(context, sheet, view, colours, evidence) {
  const x = (millimetres) => (millimetres - view.left) * view.scale;
  const y = (millimetres) => (millimetres - view.top) * view.scale;
  const marked = new Map(evidence.leads.map(({ lead }, place) => [lead, place + 1]));
  context.save();
  context.strokeStyle = context.fillStyle = colours.evidence;
  for (const row of sheet.rows) {
    for (const trace of row.traces) {
      for (const { start, end } of evidence.stretches) {
        const from = Math.max(start, trace.start), to = Math.min(end, trace.start + trace.seconds);
        if (to <= from) continue;
        const at = (seconds) => x(trace.left + (seconds - trace.start) * 25);
        hatch(context, at(from), y(row.top), at(to) - at(from), y(row.bottom) - y(row.top));
      }
      if (marked.has(trace.lead)) {
        frame(context, x(trace.left) + 1, y(row.top) + 2, trace.width * view.scale - 2,
          (row.bottom - row.top) * view.scale - 4, marked.get(trace.lead), colours);
      }
    }
  }
  context.restore();
}

function hatch(context, left, top, width, height) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.globalAlpha = 0.1;
  context.fill();
  context.globalAlpha = 0.38;
  context.lineWidth = 1;
  context.beginPath();
  for (let offset = -height; offset < width; offset += 7) {
    context.moveTo(left + offset, top + height);
    context.lineTo(left + offset + height, top);
  }
  context.stroke();
  context.restore();
}

function frame(context, left, top, width, height, place, colours) {
  context.lineWidth = 2;
  context.beginPath();
  context.roundRect(left, top, width, height, 6);
  context.stroke();
  const radius = 9, x = left + width - radius - 4, y = top + radius + 4;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
  context.save();
  context.fillStyle = colours.paper;
  context.font = `700 12px ${colours.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(String(place), x, y + 0.5);
  context.restore();
}

/** One after the other; a line ends between them, never inside one. */
function listed(texts) {
  return texts.flatMap((text, place) => [
    ...(place ? [", "] : []), element("span", { class: "whole" }, text)]);
}

/** The same in words, for one ECG. */
export function evidenceInWords(evidence, title) {
  if (!evidence) {
    return element("p", {}, title ? `${title}: ` : "",
      "Putting out single leads or moments costs this answer next to nothing.");
  }
  const seconds = (value) => Number(value.toFixed(2));
  const list = element("dl", { class: "evidence" });
  if (evidence.leads.length) {
    list.append(element("dt", {}, "Leads (framed, 1 = most)"), element("dd", {}, ...listed(
      evidence.leads.map(({ lead, share }) => `${lead} (${percent(share)})`))));
  }
  if (evidence.stretches.length) {
    list.append(element("dt", {}, "Moments (hatched)"), element("dd", {}, ...listed(
      evidence.stretches.map(({ start, end, share }) =>
        `${seconds(start)}–${seconds(end)} s (${percent(share)})`))));
  }
  return element("div", {}, title ? element("h4", {}, title) : null, list);
}
