// One claim: what became of its file, why, and each row.

import { airflow, claims, logPage, report, reportFile, runPage, taskPath } from "./api.js";
import { againButton } from "./again.js";
import { h, show } from "./dom.js";
import { bar, copyButton, mayLead, outLink, outcomeMark, problem, reasonText, stateMark } from "./parts.js";
import { rowsTable } from "./rows.js";
import { listAddress } from "./runs.js";
import { OUTCOMES, counted, duration, fileName, number, serviceName, starter, when, withoutReport } from "./words.js";

const SHOWN = 8;

function fact(name, ...value) {
  return value.flat().filter(Boolean).length ? [h("dt", {}, name), h("dd", {}, ...value)] : [];
}

const heading = (task, summary, instance, run) =>
  h(
    "div",
    { class: "headline" },
    h("h2", {}, summary.claim_file ? fileName(summary.claim_file) : `${summary.action ?? "Report"} of ${task.task_id}`),
    stateMark({ state: instance.state, summary: "claimed" in summary ? summary : null }, run),
  );

const facts = (task, summary, path, instance, run) =>
  h(
    "dl",
    { class: "details" },
    fact("File", summary.claim_file && [h("code", {}, summary.claim_file), copyButton(summary.claim_file, "the path")]),
    fact("Began", when(instance.start_date), instance.duration > 0 && ` · took ${duration(instance.duration)}`),
    fact("Started by", starter(run)),
    fact("Run", outLink(runPage(task), {}, `${task.dag_id} · ${task.run_id}`)),
    fact("Sent to", serviceName(summary), summary.connection && ` · connection ${summary.connection}`),
    fact("Tags given", (summary.tags ?? []).join(", ")),
    fact("Report", path && [h("code", {}, path), copyButton(path, "the path")]),
  );

async function links(task, summary) {
  const { extra_links: found = {} } = await airflow([...taskPath(task), "links"]).catch(() => ({}));
  const portal = found["nRF Cloud"];
  return portal && mayLead(portal, summary) ? outLink(portal, { class: "button", target: "_blank" }, "Devices in nRF Cloud") : null;
}

function reasonsOf(summary, choose) {
  const reasons = summary.reasons ?? [];
  if (!reasons.length) return null;
  const item = (each) => {
    const inner = [outcomeMark(each.outcome), h("b", {}, number(each.count)), reasonText(each.reason)];
    // Reasons beyond the first 200 are gathered under words that no row has.
    const open = each.reason === "other reasons" ? h("div", { class: "reason" }, inner) : h("button", { type: "button", class: "reason", onclick: () => choose(each) }, inner);
    return h("li", {}, open);
  };
  const rest = reasons.slice(SHOWN);
  return h(
    "section",
    {},
    h("h3", {}, "Why rows were not claimed, and warnings"),
    h("p", { class: "quiet" }, "Choose a reason to see its rows."),
    h("ul", { class: "reasons" }, reasons.slice(0, SHOWN).map(item)),
    rest.length > 0 && h("details", {}, h("summary", {}, `${counted(rest.length, "further reason", "further reasons")}`), h("ul", { class: "reasons" }, rest.map(item))),
  );
}

const meaning = (summary) =>
  "claimed" in summary &&
  h("details", {}, h("summary", {}, "What do these words mean?"), h("dl", { class: "meanings" }, Object.entries(OUTCOMES).map(([outcome, [, text]]) => [h("dt", {}, outcomeMark(outcome)), h("dd", {}, text, " In report.csv: ", h("code", {}, outcome), ".")])));

const outcomes = (summary) =>
  h("section", { "aria-label": "Outcomes" }, h("p", { class: "total" }, counted(summary.rows ?? summary.devices ?? 0, "row", "rows")), bar(summary), meaning(summary));

const back = () => h("p", {}, h("a", { href: listAddress() }, "‹ All claims"));

/** Show a claim whose report cannot be read: what Airflow knows of it, why, and where to look. */
async function showWithoutReport(place, task, error, instance, run, signal) {
  const listed = await claims({ dag_id: task.dag_id, run_id: task.run_id }).catch(() => ({ claims: [] }));
  if (signal.aborted) return;
  const summary = listed.claims.find((each) => each.task_id === task.task_id && each.map_index === task.map_index)?.summary ?? null;
  const why = summary ? "" : withoutReport(instance.state);
  show(
    place,
    back(),
    h("div", { class: "headline" }, h("h2", {}, summary?.claim_file ? fileName(summary.claim_file) : task.task_id), stateMark({ state: instance.state, summary }, run)),
    summary && outcomes(summary),
    why ? h("p", { class: "note" }, why) : problem(error),
    h("p", { class: "buttons" }, outLink(logPage(task), { class: "button" }, "Log"), outLink(runPage(task), { class: "button" }, "Run")),
    facts(task, summary ?? {}, summary?.report, instance, run),
  );
}

/** Show a claim. */
export async function runView(place, { dag, run: runId, task: taskId, map = -1, words = "" }, signal) {
  const task = { dag_id: dag, run_id: runId, task_id: taskId, map_index: Number(map) };
  const own = ["dags", dag, "dagRuns", runId];
  const [found, instance, run] = await Promise.all([report(task).catch((error) => ({ error })), airflow(taskPath(task)).catch(() => ({})), airflow(own).catch(() => ({}))]);
  if (signal.aborted) return;
  if (found.error) {
    // Airflow knows no such task, or this person may not see it.
    if (!("state" in instance)) throw found.error;
    await showWithoutReport(place, task, found.error, instance, run, signal);
    return;
  }
  const { summary, path } = found;
  const table = rowsTable(task, summary, signal, words);
  const portal = h("span", {});
  links(task, summary).then((link) => link && show(portal, link));
  show(
    place,
    back(),
    heading(task, summary, instance, run),
    outcomes(summary),
    h(
      "p",
      { class: "buttons" },
      againButton(task, summary, run),
      outLink(reportFile(task), { class: "button", download: "report.csv" }, "Download report.csv"),
      outLink(logPage(task), { class: "button" }, "Log"),
      portal,
    ),
    facts(task, summary, path, instance, run),
    reasonsOf(summary, (reason) => table.choose(reason)),
    table.element,
  );
  await table.load();
}
