// Where a device is in nRF Cloud, as far as that is known.

const originOf = (text) => {
  try {
    return new URL(text).origin;
  } catch {
    return null;
  }
};

/** Return whether people may be sent there: with https, or to the claim's own service, as an emulator's page is. */
export const mayLead = (address, summary) => {
  const origin = originOf(address);
  return /^https:/.test(origin) || (/^http:/.test(origin) && [summary.service ?? []].flat().some((each) => originOf(each) === origin));
};

const OURS = new Set(["claimed", "already_claimed"]);

/** Return the address of a device's page, nothing if it is not known or the device is not ours. */
export function devicePage(summary, id, outcome) {
  const { device_url: template } = summary;
  if (!id || !OURS.has(outcome) || typeof template !== "string" || !template.includes("{device_id}")) return null;
  const address = template.replaceAll("{device_id}", encodeURIComponent(id));
  return mayLead(address, summary) ? address : null;
}
