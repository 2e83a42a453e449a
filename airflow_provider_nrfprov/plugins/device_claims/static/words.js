// How numbers, times, states and outcomes are put into words.

/** What can become of a row, in the order in which it is shown: its name, and what it means. */
export const OUTCOMES = {
  __proto__: null, // A report may name an outcome, or a column, as objects name what they all have.
  claimed: ["Claimed", "The device is yours now, by this claim."],
  already_claimed: ["Already yours", "The device was yours before."],
  rejected: ["Bad row", "Not sent: something is wrong with the row in the file."],
  failed: ["Refused", "nRF Cloud refused the device, or the row could not be sent."],
  unknown: ["Not known", "It was sent, but what became of it is not known yet. Run the task again."],
};
/** Outcomes of devices that were tagged, blocked or given up. */
const OTHERS = { __proto__: null, unchanged: "Already as it should be", not_tried: "Not tried" };

export const outcomeName = (outcome) =>
  OUTCOMES[outcome]?.[0] ?? OTHERS[outcome] ?? String(outcome).replaceAll("_", " ");

const STATES = {
  __proto__: null,
  success: ["Finished", "good"],
  failed: ["Failed", "bad"],
  upstream_failed: ["Did not start", "bad"],
  skipped: ["Skipped", ""],
  removed: ["Removed", ""],
  up_for_retry: ["Will be tried again", "busy"],
  running: ["Under way", "busy"],
  deferred: ["Under way", "busy"],
  restarting: ["Under way", "busy"],
};
/** Return a task's state in words, and what kind of state it is. */
export const stateOf = (state) => STATES[state] ?? ["Waiting", "busy"];

const WITHOUT_A_REPORT = {
  failed: "It ended without a report: its log says why.",
  upstream_failed: "It did not start, since a task before it failed: the run shows which.",
  skipped: "It was skipped, so nothing was claimed.",
};
/** Return why a task has no report, as far as its state says so. */
export const withoutReport = (state) => WITHOUT_A_REPORT[state] ?? (stateOf(state)[1] === "busy" ? "No report yet." : "");

/** Return the state of a claim in words, and its kind: what became of its rows says more than its task's state. */
export function standing(claim) {
  const [state, kind] = stateOf(claim.state);
  if (kind === "busy" || !claim.summary) return [state, kind];
  const { rejected = 0, failed = 0, unknown = 0, rows } = claim.summary;
  const bad = rejected + failed + unknown;
  if (!bad) return ["All claimed", "good"];
  return bad === rows ? ["Nothing claimed", "bad"] : [`${number(bad)} not claimed`, "bad"];
}

export const number = (count) => Number(count).toLocaleString("en");
export const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
/** Return a share in per cent: 99.99 is not 100, and one of very many is not 0. */
export const percent = (part, whole) => {
  if (!whole) return "none";
  const share = Math.floor((1000 * part) / whole) / 10;
  return part > 0 && share === 0 ? "under 0.1 %" : `${share} %`;
};

/** The time zone that was chosen in Airflow around this page; that of this computer, if none was. */
const timeZone = (() => {
  try {
    const chosen = JSON.parse(localStorage.getItem("timezone"));
    return new Intl.DateTimeFormat("en", { timeZone: chosen }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
})();
const CLOCK = new Intl.DateTimeFormat("en", { timeZone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric" });
/** Return the hour that clocks show in that time zone, as the moment at which they would in UTC: there, all days have 24 hours. */
export function clockHour(date) {
  const { year, month, day, hour } = Object.fromEntries(CLOCK.formatToParts(date).map(({ type, value }) => [type, Number(value)]));
  return new Date(Date.UTC(year, month - 1, day, hour));
}

const DATE = new Intl.DateTimeFormat("en-GB", { timeZone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const YEAR = new Intl.DateTimeFormat("en-GB", { timeZone, dateStyle: "medium", timeStyle: "short" });
/** Return a moment in words. */
export const when = (text) => {
  if (!text) return "not yet";
  const date = new Date(text);
  return (clockHour(date).getUTCFullYear() === clockHour(new Date()).getUTCFullYear() ? DATE : YEAR).format(date);
};

/** Return how long something took. */
export const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  const whole = Math.round(seconds);
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes} min ${whole % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

/** Return the last part of a path or URL. */
export const fileName = (path) => String(path).split("/").filter(Boolean).pop() ?? String(path);

const DAMAGED = /not CBOR|not base64url|parts joined by one dot|not an attestation message|goes on after its end/;
/** Return what to do about a row that was not sent, where its reason tells it to engineers only; nothing otherwise. */
export const advice = (reason) => (DAMAGED.test(reason) ? "The token is damaged: scan it again, or read it from the device again." : null);

/** Return the names of the service that a claim was sent to. */
export const serviceName = (summary) => [...new Set([summary.service ?? []].flat().map((url) => String(url).replace(/^https?:\/\//, "").replace(/\/.*$/, "")))].join(", ");

/** Return who or what started a run. */
export const starter = (run) => {
  if (run.triggering_user_name) return run.triggering_user_name;
  const kinds = { scheduled: "the schedule", backfill: "a backfill", asset_triggered: "an asset event", manual: "a person or the API" };
  return kinds[run.run_type] ?? run.run_type ?? "";
};
