// The question: in free words, or one of the templates with its places filled.

import { byId, element } from "./dom.js";

const KINDS = {
  "single-verify": "Yes or no",
  "single-choose": "Which of several",
  "single-query": "What is there",
  "comparison_consecutive-verify": "Two of one patient: yes or no",
  "comparison_consecutive-query": "Two of one patient: what",
  "comparison_irrelevant-verify": "Two of any patients: yes or no",
  "comparison_irrelevant-query": "Two of any patients: what",
};

/** Chosen first where it fits: what most readers know how to see. */
const FIRST_VALUE = "AFIB";

export class AskForm {
  /** @param {() => void} onAsk the reader wants an answer */
  constructor(onAsk) {
    this.templates = [];
    this.domains = {};
    this.ecgs = 1;
    this.question = byId("question");
    this.options = byId("options");
    this.select = byId("template");
    this.places = byId("template-slots");
    this.otherWords = byId("other-words");
    this.wording = 0; // of the template: the same question can be put in many words
    this.button = byId("ask");
    this.attribution = byId("attribution");
    this.model = byId("model-choice");
    byId("ask-form").addEventListener("submit", (event) => {
      event.preventDefault();
      onAsk();
    });
    this.question.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        onAsk();
      }
    });
    this.select.addEventListener("change", () => this.#choose());
    this.otherWords.addEventListener("click", () => {
      this.wording += 1;
      this.#fill(this.#chosen());
    });
  }

  /** @param {{templates: Object[], domains: Object}} found of the service */
  setTemplates({ templates, domains }) {
    this.templates = templates;
    this.domains = domains;
    this.#list();
    const first = templates.find((one) => one.ecgs === 1);
    if (first && !this.question.value) {
      this.select.value = String(first.template_id);
      this.#choose();
    }
  }

  /** Let the reader choose where there are several. @param {Object[]} models the base first */
  setModels(models) {
    const chosen = this.model.value;
    this.model.replaceChildren(...models.map(({ name }, place) =>
      // Of the base nothing needs to be sent.
      element("option", { value: place ? name : "" }, name)));
    this.model.value = models.some(({ name }) => name === chosen) ? chosen : "";
    byId("models").hidden = models.length < 2;
  }

  /** Offer the templates about so many ECGs. */
  setEcgs(count) {
    if (count === this.ecgs) return;
    this.ecgs = count;
    this.#list();
    const first = this.templates.find((one) => one.ecgs === count);
    if (first) this.select.value = String(first.template_id);
    this.#choose();
  }

  /** {question, options, attribution, model} as they stand. */
  read() {
    return {
      question: this.question.value.trim(),
      options: this.options.value.split("\n").map((line) => line.trim()).filter(Boolean),
      attribution: this.attribution.checked,
      model: this.model.value,
    };
  }

  /** Bring a question back. */
  write({ question, options, model }) {
    this.select.value = "";
    this.#choose();
    this.question.value = question;
    this.options.value = options.join("\n");
    this.model.value = model;
  }

  setBusy(busy) {
    this.button.disabled = busy;
    this.button.textContent = busy ? "Asking…" : "Ask";
  }

  /** Say a refusal where it belongs; with null, nothing is wrong. */
  showRefusal(refusal) {
    const own = refusal && ["question", "options"].includes(refusal.where) ? refusal.where : "ask";
    for (const where of ["question", "options", "ask"]) {
      const wrong = refusal !== null && where === own;
      byId(`${where}-error`).textContent = wrong ? refusal.message : "";
      if (where !== "ask") byId(where).setAttribute("aria-invalid", String(wrong));
    }
    if (refusal && own !== "ask") byId(own).focus();
  }

  #list() {
    const groups = new Map();
    for (const one of this.templates.filter((template) => template.ecgs === this.ecgs)) {
      const kind = KINDS[one.question_type] ?? one.question_type;
      if (!groups.has(kind)) groups.set(kind, element("optgroup", { label: kind }));
      const words = this.#shown(one.wordings[0], one);
      groups.get(kind).append(element("option", { value: String(one.template_id) }, words));
    }
    this.select.replaceChildren(element("option", { value: "" }, "Choose…"), ...groups.values());
  }

  /** A wording with its places named: "Is there {a} in lead {lead}?" -> "Is there … in lead …?" */
  #shown(wording, template) {
    return template.placeholders.reduce((text, name) => text.replaceAll(`{${name}}`, "…"), wording);
  }

  #chosen() {
    return this.templates.find((one) => String(one.template_id) === this.select.value);
  }

  #choose() {
    const template = this.#chosen();
    this.places.replaceChildren();
    this.wording = 0;
    this.otherWords.hidden = !template || template.wordings.length < 2;
    if (!template) return;
    template.slots.forEach((slot, place) => {
      const values = this.domains[slot] ?? [];
      const select = element("select", { onchange: () => this.#fill(template) },
        ...values.map(({ value, spoken }) => element("option", { value }, spoken)));
      // Two places of one kind start with two different values.
      const before = template.slots.slice(0, place).filter((one) => one === slot).length;
      const known = values.findIndex(({ value }) => value === FIRST_VALUE);
      select.selectedIndex = (Math.max(known, 0) + before) % values.length;
      this.places.append(element("label", {}, slot.replaceAll("_", " "), " ", select));
    });
    this.#fill(template);
  }

  #fill(template) {
    const selects = [...this.places.querySelectorAll("select")];
    const spoken = selects.map((select) => select.selectedOptions[0]?.textContent ?? "");
    this.question.value = template.placeholders.reduce(
      (text, name, place) => text.replaceAll(`{${name}}`, spoken[place]),
      template.wordings[this.wording % template.wordings.length]);
    let options = template.options;
    if (!options.length && template.question_type.endsWith("choose")) {
      const named = spoken.filter((_, place) =>
        !["lead", "feature"].includes(template.slots[place]));
      options = [...new Set(named), "none"];
    }
    this.options.value = options.join("\n");
    this.showRefusal(null);
  }
}
