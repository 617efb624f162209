// The random-ECG test, live: the same question on another patient's ECG, both answers side by side.
//
// A model that answers from the words alone answers alike whatever the ECG. One switch is an
// observation, no proof: the page says so, and offers the next.

import { answerInWords, probabilityBars } from "./answer.js";
import { element, percent } from "./dom.js";
import { Thumbnail } from "./thumbnail.js";
import { readExample } from "./slot.js";
import { send } from "./request.js";
import { Refusal } from "./service.js";

/** Points of probability below which an answer that kept its words did not move. */
const MOVED = 0.1;

/**
 * Ask again with a random example in place of each ECG.
 * @param {import("./service.js").Service} service
 * @param {import("./answer.js").Exchange} exchange
 * @param {Object[]} examples of the service: {number, title}
 * @returns {Promise<import("./answer.js").Exchange>}
 */
export async function askWithRandomEcgs(service, exchange, examples, avoided = []) {
  const shown = exchange.inquiry.ecgs.filter(({ origin }) => origin.kind === "example")
    .map(({ origin }) => origin.number);
  const others = examples.map(({ number }) => number).filter((number) => !shown.includes(number));
  const fresh = others.filter((number) => !avoided.includes(number));
  const count = exchange.inquiry.ecgs.length;
  if (others.length < count) throw new Refusal(0, "The service has no other example ECG.");
  const numbers = draw(fresh.length >= count ? fresh : others, count);
  const ecgs = await Promise.all(numbers.map((number) => readExample(service, number)));
  const inquiry = { ...exchange.inquiry, ecgs, attribution: false };
  return { inquiry, answer: await send(service, inquiry) };
}

/** So many different ones of a list, each as likely as any other. */
function draw(list, count) {
  const left = [...list];
  return Array.from({ length: count }, () =>
    left.splice(Math.floor(Math.random() * left.length), 1)[0]);
}

/** Whether the answer moved: {moved: true|false, words}. */
export function comparison(own, other) {
  const mine = answerInWords(own), theirs = answerInWords(other);
  if (mine !== theirs) {
    return {
      moved: true,
      words: `The answer moved: “${mine}” became “${theirs}”. `
        + "Here the model did not answer from the words alone.",
    };
  }
  const before = own.option_probabilities[own.answer];
  const after = other.option_probabilities[own.answer];
  if (before === undefined || after === undefined) {
    return { moved: false, words: stayed(`The answer stayed “${mine}”, word for word.`) };
  }
  const shares = `${percent(before)} with this ECG, ${percent(after)} with the other`;
  if (Math.abs(before - after) >= MOVED) {
    return {
      moved: true,
      words: `The answer stayed “${mine}”, but its probability moved: ${shares}.`,
    };
  }
  return {
    moved: false, words: stayed(`The answer did not move: “${mine}”, ${shares}.`),
  };
}

function stayed(words) {
  return `${words} If the truth differs between the two, the model answers from the question and `
    + "not from the ECG.";
}

/** Both answers side by side, and what the difference tells. */
export function randomEcgCard(own, other) {
  const { moved, words } = comparison(own.answer, other.answer);
  const side = (title, { inquiry, answer }) => element("div", { class: "side-by-side" },
    element("h4", {}, title),
    ...inquiry.ecgs.map((ecg) => new Thumbnail(ecg).canvas),
    element("p", { class: "soft" }, inquiry.ecgs.map((ecg) => ecg.name).join("; ")),
    element("p", { class: "given" }, answerInWords(answer)),
    probabilityBars(answer));
  return element("div", { class: "random", id: "random" },
    element("p", { class: `verdict ${moved ? "good" : "unsure"}` },
      element("span", { class: "sign", "aria-hidden": "true" }, moved ? "↔" : "="),
      element("span", { id: "random-words" }, words)),
    element("div", { class: "two" }, side("This ECG", own), side("Random ECG", other)),
    element("p", { class: "soft" }, "One switch is an observation, not a proof."));
}
