// The page's conductor: which ECGs are shown, what is asked of them, and where answers go.

import { answerParts, evidenceOfAnswer, provenanceParts, spokenAnswer } from "./answer.js";
import { AskForm } from "./ask_form.js";
import { Conversation } from "./conversation.js";
import { byId, element, say } from "./dom.js";
import { askWithRandomEcgs, comparison, randomEcgCard } from "./random_ecg.js";
import { send } from "./request.js";
import { Refusal, Service } from "./service.js";
import { EcgSlot } from "./slot.js";
import { askForToken } from "./token.js";

const service = new Service(askForToken);
const form = new AskForm(ask);
const conversation = new Conversation((exchange) => {
  form.write(exchange.inquiry);
  showExchange(exchange);
});
const page = {
  onEcgs, toggleCalipers,
  announce: (text) => { byId("reading").textContent = text; },
};
const slots = [new EcgSlot(service, page), new EcgSlot(service, page)];
let examples = [];
let compares = false;
let current = null; // the exchange that is shown

function shownEcgs() {
  return slots.slice(0, compares ? 2 : 1).map((slot) => slot.ecg).filter(Boolean);
}

/** ECGs were read for a place: one, or by one choice of files two. */
function onEcgs(slot, ecgs) {
  if (ecgs.length === 2) {
    setCompares(true);
    slots.forEach((one, place) => one.show(ecgs[place]));
  } else slot.show(ecgs[0]);
  ecgsChanged();
  say(byId("spoken"), `Shown: ${ecgs.map((ecg) => ecg.name).join(" and ")}.`);
}

function ecgsChanged() {
  const ecgs = shownEcgs();
  showExchange(conversation.lastAbout(ecgs));
  byId("swap").hidden = ecgs.length < 2;
}

function setCompares(on) {
  compares = on;
  byId("compare").setAttribute("aria-pressed", String(on));
  slots[1].root.hidden = !on;
  slots[0].setHeading(on ? "First ECG" : "ECG");
  slots[1].setHeading("Second ECG");
  form.setEcgs(on ? 2 : 1);
}

async function toggleCompares() {
  setCompares(!compares);
  if (compares && !slots[1].ecg) {
    const first = slots[0].ecg?.origin;
    const other = examples.find(({ number }) => number !== first?.number);
    if (other) {
      await slots[1].openExample(other.number);
      return;
    }
  }
  ecgsChanged();
}

function swap() {
  const [first, second] = slots.map((slot) => slot.ecg);
  slots[0].show(second);
  slots[1].show(first);
  ecgsChanged();
  say(byId("spoken"), `Order swapped: first ${second.name}, second ${first.name}.`);
}

async function ask() {
  if (form.button.disabled) return;
  const ecgs = shownEcgs();
  if (ecgs.length < (compares ? 2 : 1)) {
    form.showRefusal(new Refusal(422, "Choose an example or open a file first."));
    return;
  }
  const inquiry = { ...form.read(), ecgs };
  if (!inquiry.question) {
    form.showRefusal(new Refusal(422, "Write a question first.", "question"));
    return;
  }
  form.showRefusal(null);
  for (const slot of slots) slot.setError("");
  form.setBusy(true);
  byId("answer").setAttribute("aria-busy", "true");
  try {
    const exchange = { inquiry, answer: await send(service, inquiry) };
    conversation.add(exchange);
    // The reader may have turned to another ECG meanwhile: there the answer waits in the list.
    if (conversation.lastAbout(shownEcgs()) === exchange) {
      showExchange(exchange);
      bringIntoSight(byId("answer"));
      say(byId("spoken"), spokenAnswer(exchange));
    }
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    const about = refusal.ecg === null ? undefined : slots[refusal.ecg];
    if (about) about.setError(refusal.message);
    else form.showRefusal(refusal);
  } finally {
    form.setBusy(false);
    byId("answer").removeAttribute("aria-busy");
  }
}

/** Scroll to what begins in the window's last quarter or below it. */
function bringIntoSight(part) {
  if (part.getBoundingClientRect().top < 0.75 * window.innerHeight) return;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  part.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
}

/** Show an exchange about the ECGs that are shown, or with null that there is none yet. */
function showExchange(exchange) {
  current = exchange;
  const ecgs = shownEcgs();
  conversation.show(ecgs, exchange);
  const evidence = exchange ? evidenceOfAnswer(exchange.answer) : [];
  slots.forEach((slot, place) => slot.view.setEvidence(evidence[place] ?? null));
  byId("answer-body").replaceChildren(...(exchange
    ? [...answerParts(exchange), randomPart(exchange), ...provenanceParts(service, exchange)]
      .filter(Boolean)
    : [element("p", { class: "soft" }, "Ask something, and the answer stands here.")]));
}

/** The button that switches the ECG for a random one, and the place of what comes of it. */
function randomPart(exchange) {
  const result = element("div", {});
  const error = element("p", { class: "error", role: "alert" });
  const two = exchange.inquiry.ecgs.length === 2;
  const first = two ? "Switch both ECGs for random ones" : "Switch the ECG for a random one";
  const tried = [];
  const button = element("button", { type: "button", id: "switch", class: "wide" }, first);
  button.addEventListener("click", async () => {
    error.textContent = "";
    button.disabled = true;
    button.textContent = "Asking with another patient's ECG…";
    try {
      const other = await askWithRandomEcgs(service, exchange, examples, tried);
      tried.push(...other.inquiry.ecgs.map(({ origin }) => origin.number));
      result.replaceChildren(randomEcgCard(exchange, other));
      say(byId("spoken"), comparison(exchange.answer, other.answer).words);
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      error.textContent = refusal.message;
    } finally {
      button.disabled = false;
      button.textContent = tried.length ? "Try another random ECG" : first;
    }
  });
  return element("div", { class: "part" },
    element("h3", {}, "Does it look at the ECG?"), button, error, result);
}

function setMeasures(on) {
  byId("calipers").setAttribute("aria-pressed", String(on));
  byId("marches").hidden = !on;
  byId("reading").textContent = on ? "Drag over the paper." : "";
  for (const slot of slots) slot.view.setMeasures(on);
}

function toggleCalipers() {
  setMeasures(byId("calipers").getAttribute("aria-pressed") !== "true");
}

/** The paper sticks under the header where it fits the window, else with its end in sight. */
function keepPaperInSight() {
  const paper = document.querySelector(".ecgs");
  const place = () => {
    const under = document.querySelector("header").offsetHeight + 16;
    paper.style.top = `${Math.min(under, window.innerHeight - paper.offsetHeight - 16)}px`;
  };
  new ResizeObserver(place).observe(paper);
  window.addEventListener("resize", place);
}

function listen() {
  for (const radio of document.querySelectorAll("input[name=layout]")) {
    radio.addEventListener("change", () => {
      for (const slot of slots) slot.view.setLayout(radio.value);
    });
  }
  const onSlots = (act) => () => { for (const slot of slots) if (slot.ecg) act(slot.view); };
  byId("zoom-in").addEventListener("click", onSlots((view) => view.zoomBy(1.35)));
  byId("zoom-out").addEventListener("click", onSlots((view) => view.zoomBy(1 / 1.35)));
  byId("zoom-fit").addEventListener("click", onSlots((view) => view.fit()));
  byId("calipers").addEventListener("click", toggleCalipers);
  byId("marches").addEventListener("click", () => {
    const on = byId("marches").getAttribute("aria-pressed") !== "true";
    byId("marches").setAttribute("aria-pressed", String(on));
    for (const slot of slots) slot.view.setMarches(on);
  });
  byId("compare").addEventListener("click", toggleCompares);
  byId("swap").addEventListener("click", swap);
  // Files dropped beside a place are the first ECG's, and must not replace the page.
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    if (files.length && !event.target.closest?.(".slot")) slots[0].openFiles(files);
  });
}

async function showModel() {
  try {
    const { models } = await service.get("v1/models");
    const [model] = models;
    form.setModels(models);
    byId("model").textContent = `Model ${model.name} · ${model.digest.slice(0, 12)}`;
    byId("model").title = `SHA-256 of the weights: ${model.digest}`;
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    byId("model").textContent = refusal.message;
    byId("model").classList.add("error");
  }
}

async function offerTemplatesAndExamples() {
  try {
    const [templates, list] = await Promise.all(
      ["v1/templates", "v1/examples"].map((path) => service.get(path)));
    form.setTemplates(templates);
    examples = list.examples;
    for (const slot of slots) slot.setExamples(examples);
    // A file that was opened meanwhile stays.
    if (examples.length && !slots[0].ecg) await slots[0].openExample(examples[0].number);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    slots[0].setError(refusal.message);
  }
}

byId("slots").append(...slots.map((slot) => slot.root));
setCompares(false);
listen();
keepPaperInSight();
showModel();
offerTemplatesAndExamples();
