// One answer: its words, the options' probabilities, whether it rests on the ECG, and from where.

import { element, percent } from "./dom.js";
import { evidenceInWords, evidenceOf } from "./evidence.js";
import { relianceCard } from "./reliance.js";
import { asCurl, asPython } from "./request.js";

/**
 * @typedef {Object} Exchange a question and its answer
 * @property {import("./request.js").Inquiry} inquiry
 * @property {Object} answer of the service
 */

/** What stands for the answer in a sentence. */
export function answerInWords(answer) {
  return answer.answer || "nothing (an empty answer)";
}

/** What a screen reader says when the answer comes. */
export function spokenAnswer({ answer }) {
  const share = answer.option_probabilities[answer.answer];
  const sure = share === undefined ? "" : `, ${percent(share)}`;
  return `Answer: ${answerInWords(answer)}${sure}. Reliance: ${answer.reliance.verdict}.`;
}

/** @returns evidence of each ECG, null where there is none. */
export function evidenceOfAnswer(answer) {
  return (answer.attribution ?? []).map(evidenceOf);
}

/** The whole answer, without what the random ECG adds. @param {Exchange} exchange */
export function answerParts(exchange) {
  const { inquiry, answer } = exchange;
  return [
    element("p", { class: "asked" }, inquiry.question),
    element("p", { class: "given", id: "given" }, answerInWords(answer)),
    probabilityBars(answer),
    relianceCard(answer.reliance, inquiry.ecgs.length),
    evidencePart(answer),
    notesPart(answer.notes, inquiry.ecgs.length),
  ];
}

/** The options with their probabilities, largest first: words and numbers beside the bars. */
export function probabilityBars(answer) {
  const options = Object.entries(answer.option_probabilities).sort((a, b) => b[1] - a[1]);
  if (!options.length) return null;
  const list = element("ul", { class: "bars", "aria-label": "Probability of each answer" });
  for (const [option, share] of options) {
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${100 * share}%`;
    const chosen = option === answer.answer;
    list.append(element("li", { class: chosen ? "chosen" : null },
      element("span", { class: "option" }, chosen ? "▸ " : "", option),
      element("span", { class: "share" }, percent(share)),
      element("span", { class: "track", "aria-hidden": "true" }, bar)));
  }
  return list;
}

function evidencePart(answer) {
  if (!answer.attribution) return null;
  const two = answer.attribution.length === 2;
  return element("div", { class: "part" },
    element("h3", {}, "What the model used"),
    ...evidenceOfAnswer(answer).map((evidence, place) =>
      evidenceInWords(evidence, two ? ["First ECG", "Second ECG"][place] : "")),
    element("p", { class: "soft" },
      "The parts whose removal costs this answer most, and their share of all such costs. ",
      "It tells what the model used, not where disease is."));
}

function notesPart(notes, ecgs) {
  if (!notes.length) return null;
  const places = ecgs === 1 ? [""] : ["First ECG: ", "Second ECG: "];
  const inWords = (note) => note.replace(/^ecgs\.(\d): /, (_, place) => places[Number(place)]);
  return element("div", { class: "part" },
    element("h3", {}, "What the model could not see"),
    element("ul", {}, ...notes.map((note) => element("li", {}, inWords(note)))));
}

/** Model, digests, and the request to copy. */
export function provenanceParts(service, { inquiry, answer }) {
  return [
    element("dl", { class: "digest" },
      element("dt", {}, "Model"), element("dd", {}, answer.model),
      element("dt", {}, "Weights (SHA-256)"),
      element("dd", {}, element("code", { id: "digest" }, answer.model_digest)),
      ...(answer.data_digest ? [element("dt", {}, "Training data (SHA-256)"),
        element("dd", {}, element("code", {}, answer.data_digest))] : []),
      element("dt", {}, "Request"), element("dd", {}, element("code", {}, answer.request_id))),
    element("details", { id: "reproduce" },
      element("summary", {}, "Ask the same from a program"),
      copyable("curl", asCurl(service, inquiry)),
      copyable("Python", asPython(service, inquiry))),
  ];
}

function copyable(name, text) {
  const state = element("span", { role: "status", class: "soft" });
  const words = element("pre", { tabindex: "0", "aria-label": `${name} command` },
    element("code", { id: `as-${name.toLowerCase()}` }, text));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      state.textContent = "copied";
    } catch {
      // Browsers keep the clipboard from pages that are neither local nor encrypted.
      window.getSelection().selectAllChildren(words);
      state.textContent = "selected: copy with the keyboard";
    }
  };
  return element("div", { class: "copyable" },
    element("div", { class: "row between" },
      element("h4", {}, name), state,
      element("button", { type: "button", onclick: copy }, `Copy as ${name}`)),
    words);
}
