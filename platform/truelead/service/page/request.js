// One question as the service takes it, and the same as curl and Python for another day.
//
// ECGs of whole files are sent as those files; examples, and mixtures, as samples. What is copied
// asks for the same thing in the same way, and names the token's variable, never the token.

import { toWire } from "./ecg.js";

/**
 * @typedef {Object} Inquiry
 * @property {string} question
 * @property {string[]} options empty for a free answer
 * @property {boolean} attribution
 * @property {string} model that is to answer; empty for the service's base model
 * @property {import("./ecg.js").PageEcg[]} ecgs one or two
 */

export function pathOf(inquiry) {
  return inquiry.ecgs.length === 2 ? "v1/compare" : "v1/ask";
}

/** @returns the service's answer. @param {import("./service.js").Service} service */
export function send(service, inquiry) {
  const files = filesAlone(inquiry.ecgs);
  if (!files) {
    return service.post(pathOf(inquiry), { ...fields(inquiry), ecgs: inquiry.ecgs.map(toWire) });
  }
  const form = new FormData();
  for (const [name, value] of formFields(inquiry)) form.append(name, value);
  for (const file of files) form.append("files", file, file.name);
  return service.postForm(pathOf(inquiry), form);
}

function fields({ question, options, attribution, model }) {
  return {
    question, ...(options.length ? { options } : {}), attribution, ...(model ? { model } : {}),
  };
}

function formFields(inquiry) {
  const { question, options, attribution, model, ecgs } = inquiry;
  return [
    ["question", question], ...options.map((option) => ["options", option]),
    ["attribution", String(attribution)], ...(model ? [["model", model]] : []),
    ...Object.entries(ecgs[0].origin.stated),
  ];
}

/** The files that make up just these ECGs in this order, or null where there are none such. */
function filesAlone(ecgs) {
  const origins = ecgs.map((ecg) => ecg.origin);
  if (origins.some(({ kind }) => kind !== "files")) return null;
  const [first, second] = origins;
  if (!second) return first.of === 1 ? first.files : null;
  if (first.reading === second.reading) {
    return first.of === 2 && first.place === 0 && second.place === 1 ? first.files : null;
  }
  const alike = JSON.stringify(first.stated) === JSON.stringify(second.stated);
  const names = [...first.files, ...second.files].map((file) => file.name.toLowerCase());
  // Two pairs of the same names could not be told apart.
  const apart = new Set(names).size === names.length;
  return alike && apart && first.of === 1 && second.of === 1
    ? [...first.files, ...second.files] : null;
}

/** @returns {string} a command line for a POSIX shell; where samples are sent it needs jq. */
export function asCurl(service, inquiry) {
  const bearer = service.bearsToken ? ` -H "Authorization: Bearer $TRUELEAD_TOKEN"` : "";
  const url = (path) => quoted(`${service.address}/${path}`);
  const files = filesAlone(inquiry.ecgs);
  if (files) {
    return [
      `curl -sS${bearer} ${url(pathOf(inquiry))}`,
      ...formFields(inquiry)
        .map(([name, value]) => `  --form-string ${quoted(`${name}=${value}`)}`),
      ...files.map((file) => `  ${fileArgument(file)}`),
    ].join(" \\\n");
  }
  const fetched = inquiry.ecgs.map(({ origin }, place) => {
    const to = `ecg-${place + 1}.json`;
    if (origin.kind === "example") {
      return `curl -sS${bearer} ${url(`v1/examples/${origin.number}`)} -o ${to}`;
    }
    const stated = Object.entries(origin.stated)
      .map(([name, value]) => ` --form-string ${quoted(`${name}=${value}`)}`).join("");
    const parts = origin.files.map((file) => ` ${fileArgument(file)}`).join("");
    return `curl -sS${bearer} ${url("v1/samples")}${stated}${parts} -o ${to}`;
  });
  const picks = inquiry.ecgs.map(({ origin }, place) =>
    origin.kind === "example" ? `.[${place}].ecg` : `.[${place}].ecgs[${origin.place}]`);
  const body = JSON.stringify(fields(inquiry));
  const names = inquiry.ecgs.map((_, place) => `ecg-${place + 1}.json`).join(" ");
  return [
    ...fetched,
    `jq -s ${quoted(`${body} + {ecgs: [${picks.join(", ")}]}`)} ${names} |`,
    `  curl -sS${bearer} -H 'Content-Type: application/json' --data-binary @- \\`,
    `  ${url(pathOf(inquiry))}`,
  ].join("\n");
}

function fileArgument(file) {
  // curl's own quotes: names may hold commas and semicolons.
  const name = file.name.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  return `-F ${quoted(`files=@"${name}"`)}`;
}

/** For a POSIX shell: one word, whatever it holds. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** @returns {string} a Python program that needs httpx alone. */
export function asPython(service, inquiry) {
  const bears = service.bearsToken;
  const lines = [
    ...(bears ? ["import os", ""] : []),
    "import httpx",
    "",
    bears
      ? `headers = {"Authorization": f"Bearer {os.environ['TRUELEAD_TOKEN']}"}`
      : null,
    `service = httpx.Client(base_url=${literal(service.address)}, timeout=60${
      bears ? ", headers=headers" : ""})`,
    ...pythonBody(inquiry),
    "answer.raise_for_status()",
    "print(answer.json())",
    "",
  ];
  return lines.filter((line) => line !== null).join("\n");
}

function pythonBody(inquiry) {
  const path = literal(`/${pathOf(inquiry)}`);
  const asFiles = (files) =>
    `[${files.map((file) => `("files", open(${literal(file.name)}, "rb"))`).join(", ")}]`;
  const files = filesAlone(inquiry.ecgs);
  if (files) {
    const data = {};
    for (const [name, value] of formFields(inquiry)) {
      if (name === "options") (data.options ??= []).push(value);
      else data[name] = value;
    }
    return [`answer = service.post(${path}, data=${literal(data)}, files=${asFiles(files)})`];
  }
  const ecgs = inquiry.ecgs.map(({ origin }) => {
    if (origin.kind === "example") {
      return `service.get("/v1/examples/${origin.number}").raise_for_status().json()["ecg"]`;
    }
    const stated = Object.keys(origin.stated).length ? `, data=${literal(origin.stated)}` : "";
    return `service.post("/v1/samples", files=${asFiles(origin.files)}${stated})`
      + `.raise_for_status().json()["ecgs"][${origin.place}]`;
  });
  return [
    "ecgs = [", ...ecgs.map((ecg) => `    ${ecg},`), "]",
    `request = ${literal(fields(inquiry))}`,
    `answer = service.post(${path}, json={**request, "ecgs": ecgs})`,
  ];
}

/** A value as Python writes it: JSON's strings are Python's, its booleans are not. */
function literal(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([k, v]) => `${literal(k)}: ${literal(v)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}
