// A place for one ECG: where it comes from (an example, files) and its paper.

import { byId, element } from "./dom.js";
import { fromWire } from "./ecg.js";
import { PaperView } from "./paper_view.js";
import { Refusal } from "./service.js";

let filesRead = 0;

export class EcgSlot {
  /**
   * @param {import("./service.js").Service} service
   * @param {Object} page what happens elsewhere on it:
   *   onEcgs(slot, ecgs) when ECGs were read, announce(text), toggleCalipers()
   */
  constructor(service, page) {
    this.service = service;
    this.page = page;
    this.ecg = null;
    this.files = [];
    this.turn = 0;
    const part = byId("slot").content.cloneNode(true);
    this.root = part.querySelector("article");
    this.heading = this.root.querySelector("h3");
    this.examples = this.root.querySelector("select");
    this.error = this.root.querySelector(".error");
    this.stated = this.root.querySelector("form");
    this.view = new PaperView(
      this.root.querySelector("canvas"), this.root.querySelector(".caption"),
      page.announce, page.toggleCalipers);
    this.#listen();
  }

  /** @param {string} heading "ECG", "First ECG", ... */
  setHeading(heading) {
    this.heading.textContent = heading;
    this.examples.setAttribute("aria-label", `${heading}: example`);
    this.root.querySelector("input[type=file]").setAttribute("aria-label", `${heading}: files`);
    if (this.ecg) this.view.setTitle(this.#title());
  }

  setExamples(examples) {
    this.examples.replaceChildren(
      element("option", { value: "" }, "Choose…"),
      ...examples.map(({ number, title }) =>
        element("option", { value: String(number) }, `${number}: ${title}`)));
  }

  show(ecg) {
    this.ecg = ecg;
    this.error.textContent = "";
    this.examples.value = ecg.origin.kind === "example" ? String(ecg.origin.number) : "";
    this.view.show(ecg, this.#title());
  }

  /** Say what is wrong with this ECG; nothing, with no words. */
  setError(words) {
    this.error.textContent = words;
  }

  async openExample(number) {
    await this.#reading(async () => [await readExample(this.service, number)]);
  }

  /** @param {File[]} files one ECG, or the files of two */
  async openFiles(files) {
    this.files = files;
    await this.#reading(() => this.#readFiles());
  }

  #title() {
    const heading = this.heading.textContent;
    return heading === "ECG" ? this.ecg.name : `${heading}: ${this.ecg.name}`;
  }

  async #readFiles() {
    const form = new FormData();
    const stated = {};
    for (const [name, value] of new FormData(this.stated)) {
      if (value.trim()) stated[name] = value.trim();
    }
    for (const file of this.files) form.append("files", file, file.name);
    for (const [name, value] of Object.entries(stated)) form.append(name, value);
    const { ecgs } = await this.service.postForm("v1/samples", form);
    filesRead += 1;
    const names = this.files.map((file) => file.name).join(", ");
    return ecgs.map((wire, place) => fromWire(
      wire, ecgs.length > 1 ? `${names} (${place + 1} of ${ecgs.length})` : names,
      { kind: "files", files: this.files, place, of: ecgs.length, stated, reading: filesRead }));
  }

  async #reading(read) {
    this.error.textContent = "";
    this.root.setAttribute("aria-busy", "true");
    this.turn += 1;
    const turn = this.turn;
    try {
      const ecgs = await read();
      if (turn !== this.turn) return; // the reader has chosen another one meanwhile
      this.stated.hidden = true;
      this.page.onEcgs(this, ecgs);
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      if (turn !== this.turn) return;
      this.error.textContent = refusal.message;
      this.stated.hidden = refusal.unstated === null;
      this.stated.elements.namedItem(refusal.unstated)?.focus();
    } finally {
      if (turn === this.turn) this.root.removeAttribute("aria-busy");
    }
  }

  #listen() {
    this.examples.addEventListener("change", () => {
      if (this.examples.value !== "") this.openExample(Number(this.examples.value));
    });
    const input = this.root.querySelector("input[type=file]");
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = "";
      if (files.length) this.openFiles(files);
    });
    this.stated.addEventListener("submit", (event) => {
      event.preventDefault();
      this.openFiles(this.files);
    });
    for (const kind of ["dragover", "dragleave", "drop"]) {
      this.root.addEventListener(kind, (event) => {
        event.preventDefault();
        this.root.classList.toggle("over", kind === "dragover");
        const files = kind === "drop" ? [...event.dataTransfer.files] : [];
        if (files.length) this.openFiles(files);
      });
    }
  }
}

/** @returns {Promise<import("./ecg.js").PageEcg>} a generated example of the service. */
export async function readExample(service, number) {
  const found = await service.get(`v1/examples/${number}`);
  return fromWire(found.ecg, `example ${number}: ${found.title}`, { kind: "example", number });
}
