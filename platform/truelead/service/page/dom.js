// Elements of the page, made without markup in text: what a server or a file says stays text.

/**
 * An element with attributes and children. An attribute of null is left out; children of null too.
 * @param {string} name such as "button"
 * @param {Object<string, string|null|function>} attributes "on..." ones are listeners
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The element of the page's markup with this id; a page without it is a mistake of ours. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/** Put text into a live region: emptied first, so that the same words are said again. */
export function say(region, text) {
  region.textContent = "";
  if (text) window.setTimeout(() => { region.textContent = text; }, 30);
}

/** 0.8312 as "83 %"; what is neither 0 nor 1 never reads as such. */
export function percent(share) {
  const whole = Math.round(100 * share);
  if (whole === 0 && share > 0) return "under 1 %";
  if (whole === 100 && share < 1) return "over 99 %";
  return `${whole} %`;
}
