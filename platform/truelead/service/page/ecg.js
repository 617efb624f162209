// An ECG as the page holds it: samples in millivolts by lead, as the service sends and takes them.

export const LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];

/**
 * @typedef {Object} PageEcg
 * @property {string} name what the reader calls it: an example's number or the files' names
 * @property {number} samplingRate samples a second
 * @property {Object<string, (number|null)[]|null>} leads mV; null where not recorded
 * @property {number} seconds length
 * @property {Object} origin {kind: "example", number} or {kind: "files", files: File[]}
 */

/** @returns {PageEcg} of the service's form of an ECG (`LeadsInput`). */
export function fromWire(wire, name, origin) {
  const factor = wire.units === "uV" ? 0.001 : 1;
  const leads = {};
  let samples = 0;
  for (const lead of LEADS) {
    const found = wire.leads[lead] ?? null;
    const recorded = found !== null && found.some((value) => value !== null);
    leads[lead] = recorded && factor !== 1
      ? found.map((value) => (value === null ? null : value * factor))
      : recorded ? found : null;
    if (found) samples = Math.max(samples, found.length);
  }
  const samplingRate = wire.sampling_rate;
  return { name, samplingRate, leads, seconds: samples / samplingRate, origin };
}

/** @returns the service's form of the ECG. */
export function toWire(ecg) {
  return { sampling_rate: ecg.samplingRate, units: "mV", leads: ecg.leads };
}

/** Names of the leads that were not recorded. */
export function missingLeads(ecg) {
  return LEADS.filter((lead) => ecg.leads[lead] === null);
}

/** "10 s at 500 Hz". */
export function lengthInWords(ecg) {
  const round = (value) => Number(value.toPrecision(4)).toString();
  return `${round(ecg.seconds)} s at ${round(ecg.samplingRate)} Hz`;
}
