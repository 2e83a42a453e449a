// A new run of the same DAG with the rows that were not claimed, by the user's own rights.

import { airflow, trigger } from "./api.js";
import { h, show } from "./dom.js";
import { problem, started } from "./parts.js";
import { counted, fileName } from "./words.js";

const left = (summary) => (summary.rejected ?? 0) + (summary.failed ?? 0) + (summary.unknown ?? 0) - (summary.repeated ?? 0);

async function configuration(task, summary, run) {
  const details = await airflow(["dags", task.dag_id, "details"]);
  if (!("claim_file" in (details.params ?? {})))
    throw new Error(`The DAG ${task.dag_id} has no parameter claim_file, so it cannot be given another file. Claim ${summary.failed_rows} with a DAG that has one.`);
  const conf = { ...(run.conf ?? {}), claim_file: summary.failed_rows };
  // The new run reports beside its own file: the old report stays as it is.
  delete conf.report_dir;
  return conf;
}

/** Return the button to claim again what was not claimed; nothing if there is nothing. */
export function againButton(task, summary, run) {
  if (!summary.failed_rows || !("claimed" in summary)) return null;
  const dialog = h("dialog", { "aria-labelledby": "again-title" });
  const ask = () => {
    const outcome = h("div", {});
    const start = h("button", { type: "button", class: "button main" }, "Start the claim");
    const configured = configuration(task, summary, run);
    configured.catch((error) => {
      start.disabled = true;
      show(outcome, problem(error));
    });
    start.addEventListener("click", async () => {
      start.disabled = true;
      try {
        const conf = await configured;
        const note = `Claims again the rows that run ${task.run_id} (task ${task.task_id}) did not claim.`;
        show(outcome, started(task.dag_id, await trigger(task.dag_id, { logical_date: null, conf, note })));
      } catch (error) {
        start.disabled = false;
        show(outcome, problem(error.status === 403 ? new Error(`You may not start the DAG ${task.dag_id}. Ask somebody who may.`) : error));
      }
    });
    show(
      dialog,
      h("h3", { id: "again-title" }, "Claim these again?"),
      h("p", {}, `A new run of ${task.dag_id} claims ${fileName(summary.failed_rows)}: ${counted(left(summary), "row", "rows")} that this claim did not claim.`),
      summary.rejected > 0 && h("p", {}, "Bad rows are rejected again until the file is corrected."),
      outcome,
      h("p", { class: "buttons" }, start, h("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Close")),
    );
    // Gone with the view that it belongs to.
    if (!dialog.isConnected) document.getElementById("main").append(dialog);
    dialog.showModal();
  };
  return h("button", { type: "button", class: "button main", onclick: ask }, `Claim these again (${counted(left(summary), "row", "rows")})`);
}
