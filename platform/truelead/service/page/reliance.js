// Whether the answer rests on this ECG: the service's verdict in plain words, and its measure.
//
// The measure: how much likelier the answer is with this ECG than with other patients' ECGs, in
// nats. The threshold is where at most a stated share of answers that do rest on their ECG would
// be flagged by mistake.

import { element, percent } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const SIGNS = { true: ["good", "✓"], false: ["bad", "≠"], null: ["unsure", "?"] };

/** @param {Object} reliance of the service @param {number} ecgs how many the answer is about */
export function relianceCard(reliance, ecgs) {
  const own = ecgs === 1 ? "this ECG" : "these ECGs";
  const [kind, sign] = SIGNS[String(reliance.rests_on_ecg)];
  const verdict = reliance.verdict.charAt(0).toUpperCase() + reliance.verdict.slice(1);
  return element("div", { class: `reliance ${kind}`, id: "reliance" },
    element("p", { class: "verdict" },
      element("span", { class: "sign", "aria-hidden": "true" }, sign),
      element("span", {}, `${verdict}.`)),
    scale(reliance, own),
    element("p", { class: "soft" }, measureInWords(reliance, own)));
}

function measureInWords({ nats, threshold, false_alarm_rate: rate }, own) {
  if (nats === null) return "Reliance on the ECG was not measured for this answer.";
  const times = Math.exp(Math.abs(nats));
  const shown = times < 10 ? times.toFixed(2) : Math.round(times).toLocaleString("en");
  const measure = `This answer is ${shown} times ${nats >= 0 ? "as likely" : "less likely"} with `
    + `${own} ${nats >= 0 ? "as" : "than"} with other patients' ECGs (${signed(nats)} nats)`;
  if (threshold === null) return `${measure}; where to draw the line is not calibrated.`;
  return `${measure}. Below ${signed(threshold)} it would be flagged, as would ${percent(rate)} of `
    + "the answers that do rest on their ECG.";
}

function signed(value) {
  return `${value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`;
}

/** A line from "any ECG would do" to "rests on this ECG", with the threshold and the answer. */
function scale({ nats, threshold }, own) {
  if (nats === null || threshold === null) return null;
  const reach = Math.max(0.1, Math.abs(nats), Math.abs(threshold)) * 1.4;
  const x = (value) => 150 + (140 * value) / reach;
  const svg = part("svg", {
    viewBox: "0 0 300 46", role: "img",
    "aria-label": `${signed(nats)} nats, threshold ${signed(threshold)}`, class: "scale",
  });
  svg.append(
    part("line", { x1: 10, x2: 290, y1: 17, y2: 17, class: "axis" }),
    part("line", { x1: x(threshold), x2: x(threshold), y1: 6, y2: 28, class: "threshold" }),
    part("circle", { cx: x(nats), cy: 17, r: 6, class: "dot" }),
    part("text", { x: 10, y: 42 }, "any ECG would do"),
    part("text", { x: 290, y: 42, "text-anchor": "end" }, `rests on ${own}`));
  return svg;
}

function part(name, attributes, words = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.textContent = words;
  return made;
}
