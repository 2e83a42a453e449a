// The claims, newest first.

import { airflow, claims, dagPage, runPage } from "./api.js";
import { h, say, show } from "./dom.js";
import { bar, choice, field, outLink, pages, problem, stateMark } from "./parts.js";
import { counted, duration, fileName, outcomeName, serviceName, starter, stateOf, when, withoutReport } from "./words.js";

const SIZE = 20;
const DAY = 86400;
export const PERIODS = [
  [DAY, "the last 24 hours"],
  [7 * DAY, "the last 7 days"],
  [30 * DAY, "the last 30 days"],
  [90 * DAY, "the last 90 days"],
  [0, "all time"],
].map(([seconds, label]) => [String(seconds), label]);

/** Return the moment at which a period begins; nothing for all time. */
export const sinceOf = (seconds) => (Number(seconds) ? new Date(Date.now() - seconds * 1000).toISOString() : "");

/** Return the address of a claim's view. */
export const claimAddress = (claim, more = {}) =>
  `#/run?${new URLSearchParams({ dag: claim.dag_id, run: claim.run_id, task: claim.task_id, map: claim.map_index, ...more })}`;

const BAD = ["rejected", "failed", "unknown"];
const RESULTS = [
  ["", "any"],
  ["bad", "something was not claimed"],
  ...BAD.map((outcome) => [outcome, `has “${outcomeName(outcome)}”`]),
  ["good", "all claimed"],
  ["busy", "under way"],
];

function fits(claim, { dag, result, words }) {
  const summary = claim.summary ?? {};
  const bad = BAD.filter((outcome) => summary[outcome] > 0);
  const text = `${summary.claim_file ?? ""} ${serviceName(summary)} ${summary.connection ?? ""} ${claim.dag_id} ${claim.run_id} ${claim.task_id}`.toLowerCase();
  if (dag && claim.dag_id !== dag) return false;
  if (!words.toLowerCase().split(/\s+/).every((each) => text.includes(each))) return false;
  if (result === "bad") return bad.length > 0;
  if (result === "good") return claim.summary !== null && bad.length === 0;
  if (result === "busy") return stateOf(claim.state)[1] === "busy";
  return !result || bad.includes(result);
}

const known = new Map();
/** Return a DAG run, as Airflow's own API has it. */
async function runOf(claim) {
  const key = `${claim.dag_id} ${claim.run_id}`;
  if (!known.has(key)) known.set(key, airflow(["dags", claim.dag_id, "dagRuns", claim.run_id]).catch(() => ({})));
  return known.get(key);
}

function card(claim) {
  const { summary } = claim;
  const who = h("span", {});
  const started = runOf(claim);
  started.then((run) => (who.textContent = starter(run) ? `started by ${starter(run)}` : ""));
  const mapped = claim.map_index >= 0 ? ` [${claim.map_index}]` : "";
  const service = summary ? serviceName(summary) : "";
  const name = summary?.claim_file ? fileName(summary.claim_file) : `${claim.task_id}${mapped}`;
  return h(
    "li",
    { class: "card" },
    h(
      "div",
      { class: "headline" },
      h("h2", {}, h("a", { href: claimAddress(claim), title: summary?.claim_file }, name)),
      stateMark(claim, started),
    ),
    h(
      "p",
      { class: "facts" },
      h("span", {}, when(claim.start_date)),
      claim.duration > 0 && h("span", {}, `took ${duration(claim.duration)}`),
      who,
      h("span", {}, outLink(dagPage(claim), {}, claim.dag_id), mapped && ` · ${claim.task_id}${mapped}`),
      h("span", {}, outLink(runPage(claim), {}, claim.run_id)),
      service && h("span", {}, `sent to ${service}`),
      summary?.connection && h("span", {}, `connection ${summary.connection}`),
    ),
    summary ? bar(summary) : h("p", { class: "quiet" }, withoutReport(claim.state)),
  );
}

const FILTERS = { period: String(7 * DAY), dag: "", result: "", words: "", offset: "0" };
let last = "#/runs";
/** Return the address of the list of claims as it was last seen: with its filters, at its page. */
export const listAddress = () => last;

/** Keep the filters in the address, so that Back and a reload bring them back. */
function remember(filters) {
  const others = Object.entries(filters).filter(([name, value]) => String(value) !== FILTERS[name]);
  last = others.length ? `#/runs?${new URLSearchParams(others)}` : "#/runs";
  try {
    history.replaceState(null, "", last);
  } catch {
    // A browser that takes no more of these so soon.
  }
}

/** Show a page of claims. */
function showPage(list, found, filters, go, ...before) {
  const last = Math.max(0, Math.floor((found.length - 1) / SIZE) * SIZE);
  const offset = Math.min(Math.max(0, Math.floor(Number(filters.offset) / SIZE) * SIZE || 0), last);
  show(
    list,
    before,
    h("ul", { class: "cards" }, found.slice(offset, offset + SIZE).map(card)),
    found.length > SIZE && pages({ offset, size: SIZE, total: found.length, go, what: "claims" }),
  );
}

/** Show the claims with filters. */
export async function runsView(place, parameters, signal) {
  const filters = { ...FILTERS, ...Object.fromEntries(Object.entries(parameters).filter(([name]) => name in FILTERS)) };
  const list = h("div", {});
  const dags = h("select", {});
  let found = { claims: [], more: false };
  let latest = 0;

  const draw = () => {
    const fitting = found.claims.filter((claim) => fits(claim, filters));
    const go = (offset) => set({ offset }, draw);
    const more = found.more && h("p", { class: "note" }, "There are more: these are the newest 1,000. Choose a shorter period or a DAG.");
    say(counted(fitting.length, "claim", "claims"));
    if (fitting.length) showPage(list, fitting, filters, go, more);
    else show(list, more, nothing(found.claims.length));
  };
  const set = (values, then) => {
    Object.assign(filters, { offset: 0 }, values);
    remember(filters);
    then();
  };
  const change = (name) => (value) => set({ [name]: value }, draw);
  const load = async () => {
    const mine = ++latest;
    show(list, h("p", {}, "Loading…"));
    try {
      const answer = await claims({ since: sinceOf(filters.period) });
      if (mine !== latest || signal.aborted) return;
      found = answer;
      known.clear();
      const names = [...new Set([...found.claims.map((claim) => claim.dag_id), ...[filters.dag].filter(Boolean)])].sort();
      show(dags, h("option", { value: "" }, "all"), names.map((name) => h("option", { selected: name === filters.dag }, name)));
      draw();
    } catch (error) {
      if (mine === latest && !signal.aborted) show(list, problem(error));
    }
  };
  dags.addEventListener("change", () => change("dag")(dags.value));
  const words = h("input", { type: "search", value: filters.words, placeholder: "file, DAG, run, service or connection", oninput: () => change("words")(words.value.trim()) });
  show(
    place,
    h(
      "form",
      { class: "filters", role: "search", "aria-label": "Filter the claims", onsubmit: (event) => event.preventDefault() },
      field("Period", choice(PERIODS, filters.period, (period) => set({ period }, load))),
      field("DAG", dags),
      field("Result", choice(RESULTS, filters.result, change("result"))),
      field("Text", words),
      h("button", { type: "button", onclick: load }, "Refresh"),
    ),
    list,
  );
  remember(filters);
  await load();
}

const nothing = (all) =>
  h("p", { class: "nothing" }, all ? "No claim matches these filters." : "No file was claimed in this period by a DAG that you may see.");

/** Show the claims of one DAG run: if there is one, the claim itself. */
export async function runsOfRun(place, given, signal) {
  const found = await claims({ dag_id: given.dag_id, run_id: given.run_id });
  if (found.claims.length === 1 && found.claims[0].summary) {
    location.replace(claimAddress(found.claims[0]));
    return;
  }
  if (signal.aborted) return;
  if (!found.claims.length) {
    show(place, h("p", { class: "nothing" }, "No file was claimed in this run."));
    return;
  }
  const draw = (offset) => showPage(place, found.claims, { offset }, draw);
  draw(0);
}
