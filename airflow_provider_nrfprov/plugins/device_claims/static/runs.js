// The claims, newest first.

import { airflow, claims, dagPage, runPage } from "./api.js";
import { h, say, show } from "./dom.js";
import { bar, choice, field, outLink, pages, stateMark } from "./parts.js";
import { counted, duration, fileName, outcomeName, serviceName, starter, stateOf, when } from "./words.js";

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
  if (words && !text.includes(words.toLowerCase())) return false;
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
  const [, kind] = stateOf(claim.state);
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
      claim.duration !== null && h("span", {}, `took ${duration(claim.duration)}`),
      who,
      h("span", {}, outLink(dagPage(claim), {}, claim.dag_id), mapped && ` · ${claim.task_id}${mapped}`),
      h("span", {}, outLink(runPage(claim), {}, claim.run_id)),
      service && h("span", {}, `sent to ${service}`),
      summary?.connection && h("span", {}, `connection ${summary.connection}`),
    ),
    summary ? bar(summary) : h("p", { class: "quiet" }, kind === "bad" ? "It ended without a report: its log says why." : "No report yet."),
  );
}

/** Show the claims with filters. */
export async function runsView(place, parameters) {
  const filters = { period: parameters.period ?? String(7 * DAY), dag: "", result: parameters.result ?? "", words: "", offset: 0 };
  const list = h("div", {});
  const dags = h("select", {});
  let found = { claims: [], more: false };

  const draw = () => {
    const fitting = found.claims.filter((claim) => fits(claim, filters));
    const shown = fitting.slice(filters.offset, filters.offset + SIZE);
    const go = (offset) => {
      filters.offset = offset;
      draw();
    };
    say(counted(fitting.length, "claim", "claims"));
    show(
      list,
      found.more && h("p", { class: "note" }, "There are more: these are the newest 1,000. Choose a shorter period or a DAG."),
      fitting.length ? h("ul", { class: "cards" }, shown.map(card)) : nothing(found.claims.length),
      fitting.length > SIZE && pages({ offset: filters.offset, size: SIZE, total: fitting.length, go, what: "claims" }),
    );
  };
  const change = (name) => (value) => {
    filters[name] = value;
    filters.offset = 0;
    draw();
  };
  const load = async () => {
    show(list, h("p", {}, "Loading…"));
    found = await claims({ since: sinceOf(filters.period) });
    known.clear();
    const names = [...new Set(found.claims.map((claim) => claim.dag_id))].sort();
    show(dags, h("option", { value: "" }, "all"), names.map((name) => h("option", { selected: name === filters.dag }, name)));
    filters.offset = 0;
    draw();
  };
  dags.addEventListener("change", () => change("dag")(dags.value));
  const words = h("input", { type: "search", placeholder: "file, DAG, run, service or connection", oninput: () => change("words")(words.value) });
  show(
    place,
    h(
      "form",
      { class: "filters", role: "search", "aria-label": "Filter the claims", onsubmit: (event) => event.preventDefault() },
      field("Period", choice(PERIODS, filters.period, (value) => ((filters.period = value), load().catch((error) => show(list, h("p", { class: "problem", role: "alert" }, error.message)))))),
      field("DAG", dags),
      field("Result", choice(RESULTS, filters.result, change("result"))),
      field("Text", words),
      h("button", { type: "button", onclick: load }, "Refresh"),
    ),
    list,
  );
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
  show(
    place,
    found.claims.length ? h("ul", { class: "cards" }, found.claims.map(card)) : h("p", { class: "nothing" }, "No file was claimed in this run."),
  );
}
