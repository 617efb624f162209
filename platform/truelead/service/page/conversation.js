// What was asked about the ECG (or the two) now shown, newest first; any of it can be brought back.

import { answerInWords } from "./answer.js";
import { byId, element } from "./dom.js";

export class Conversation {
  /** @param {(exchange: import("./answer.js").Exchange) => void} onChosen */
  constructor(onChosen) {
    this.onChosen = onChosen;
    this.byEcgs = new Map();
    this.section = byId("conversation");
    this.list = byId("asked");
  }

  add(exchange) {
    const key = keyOf(exchange.inquiry.ecgs);
    this.byEcgs.set(key, [exchange, ...(this.byEcgs.get(key) ?? [])]);
  }

  /** The last exchange about these ECGs, or null. */
  lastAbout(ecgs) {
    return this.byEcgs.get(keyOf(ecgs))?.[0] ?? null;
  }

  /** Show what was asked about these ECGs, one of it marked as the one that is shown. */
  show(ecgs, current) {
    const exchanges = this.byEcgs.get(keyOf(ecgs)) ?? [];
    this.section.hidden = exchanges.length === 0;
    const two = ecgs.length === 2;
    byId("conversation-heading").textContent = two
      ? "Asked about these two ECGs" : "Asked about this ECG";
    this.list.replaceChildren(...exchanges.map((exchange) => element("li", {},
      element("button", {
        type: "button", class: "exchange",
        "aria-current": exchange === current ? "true" : null,
        onclick: () => this.onChosen(exchange),
      },
      element("span", { class: "asked" }, exchange.inquiry.question),
      element("span", { class: "said" }, answerInWords(exchange.answer))))));
  }
}

function keyOf(ecgs) {
  return JSON.stringify(ecgs.map(({ origin }) =>
    origin.kind === "example" ? ["example", origin.number]
      : ["files", origin.reading, origin.place]));
}
