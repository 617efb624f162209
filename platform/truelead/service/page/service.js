// The service over HTTP. The token is asked for once, and kept in this page's memory alone.

/** A refusal of the service, or no answer at all, in words for a reader. */
export class Refusal extends Error {
  /**
   * @param {number} status of HTTP; 0 where there was no answer
   * @param {string} where the field it is about, such as "question"
   * @param {number|null} ecg which of the ECGs it is about
   */
  constructor(status, message, where = "", ecg = null) {
    super(message);
    this.status = status;
    this.where = where;
    this.ecg = ecg;
    /** Name of what a file lacks and the reader can state; null where that is not the reason. */
    this.unstated = null;
  }
}

const IN_WORDS = {
  0: "The service cannot be reached. Is it still running?",
  401: "The service asks for its token.",
  403: "The service refused this request.",
  413: "That is more than the service takes in one request.",
  429: "The service answers many questions just now. Please try again in a moment.",
  500: "The service met an error of its own; it has been logged there.",
  502: "The service answered something this page cannot read.",
  503: "The service is busy or still loading its model. Please try again in a moment.",
  504: "The answer did not come in time. Please try again.",
};

export class Service {
  #token = "";
  #askForToken;
  #asking = null;

  /** @param {(wrong: boolean) => Promise<string>} askForToken asks the reader, once at a time */
  constructor(askForToken) {
    this.#askForToken = askForToken;
    /** Address of the service, for what is copied: the page's own without its last part. */
    this.address = new URL(".", window.location.href).href.replace(/\/$/, "");
  }

  /** Whether the service asked for a token, which copied commands must name. */
  get bearsToken() {
    return this.#token !== "";
  }

  get(path) {
    return this.#send(path, {});
  }

  post(path, body) {
    return this.#send(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
  }

  /** @param {FormData} form */
  postForm(path, form) {
    return this.#send(path, { method: "POST", body: form });
  }

  async #send(path, options) {
    for (;;) {
      const sent = this.#token;
      const headers = { ...options.headers };
      if (sent) headers.Authorization = `Bearer ${sent}`;
      let response;
      try {
        response = await fetch(path, { ...options, headers, credentials: "omit" });
      } catch {
        throw new Refusal(0, IN_WORDS[0]);
      }
      const found = await readJson(response);
      if (response.ok && found) return found;
      const wrong = response.status === 403 && sent !== "" && /token/.test(lineOf(found));
      if (response.status === 401 || wrong) {
        // Another request may have been given the token meanwhile.
        if (this.#token === sent) await this.#obtainToken(wrong);
        continue;
      }
      throw refusalOf(response.status, found);
    }
  }

  async #obtainToken(wrong) {
    this.#asking ??= this.#askForToken(wrong).finally(() => { this.#asking = null; });
    this.#token = await this.#asking;
  }
}

async function readJson(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

function lineOf(found) {
  return typeof found?.error?.message === "string" ? found.error.message : "";
}

/** "question: expected words, found none" belongs to the question; its words say what to do. */
function refusalOf(status, found) {
  const line = lineOf(found);
  if (!line) return new Refusal(status, IN_WORDS[status] ?? `The service answered ${status}.`);
  const [where, rest] = /^[\w.-]+: /.test(line) ? line.split(/: (.*)/s) : ["", line];
  const [part, number] = where.split(".");
  const ecg = ["ecgs", "files"].includes(part) && /^\d+$/.test(number) ? Number(number) : null;
  const known = status === 422 ? "" : IN_WORDS[status];
  const words = known ? `${known} (${line})` : inPlainWords(where, rest);
  const refusal = new Refusal(status, words, part, ecg);
  // What a file does not say itself: the reader can.
  if (found.error.kind === "statement") refusal.unstated = /the field (\w+)/.exec(rest)?.[1] ?? "";
  return refusal;
}

function inPlainWords(where, rest) {
  // Which ECG it is says the place where the words stand.
  const place = where.replace(/^(?:ecgs|files)\.\d+(?:\.file)?\.?/, "")
    .replaceAll(".", ", ").replaceAll("_", " ");
  const words = place ? `${place}: ${rest}` : rest;
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}
