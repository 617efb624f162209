// The service's token: typed once, handed to what calls the service, kept nowhere else.

import { byId } from "./dom.js";

/** @param {boolean} wrong whether the last one was refused @returns {Promise<string>} */
export function askForToken(wrong) {
  const form = byId("token-form"), field = byId("token");
  form.hidden = false;
  byId("token-error").textContent = wrong ? "That is not the service's token." : "";
  field.value = "";
  field.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = field.value.trim();
      field.value = "";
      form.hidden = true;
      resolve(token);
    }, { once: true });
  });
}
