// Send a claim file: it is checked first, then put into the inbox of a connection and claimed by a DAG.

import { inbox, send, trigger } from "./api.js";
import { h, say, show } from "./dom.js";
import { choice, field, problem, reasonText, started } from "./parts.js";
import { counted, number } from "./words.js";

const DEFAULT = "nrfprov_default";

/** Show the entry of the navigation if there is an inbox. */
export async function offerSending(entry) {
  const { dags } = await inbox(DEFAULT).catch(() => ({ dags: [] }));
  entry.hidden = dags.length === 0;
}

const refused = (error, dag) => (error.status === 403 ? new Error(`You may not start the DAG ${dag}, so you may not send it a file.`) : error);

function verdict(found) {
  if (found.error) return problem(new Error(found.error));
  const reasons = found.reasons.map((each) => h("li", {}, h("div", { class: "reason" }, h("b", {}, number(each.count)), reasonText(each.reason), h("small", {}, `${each.count === 1 ? "line" : "lines"} ${each.lines.join(", ")}${each.count > each.lines.length ? ", …" : ""}`))));
  return [
    h("p", { class: "total" }, `${counted(found.rows, "row", "rows")}: ${number(found.sendable)} can be sent, ${number(found.rejected)} cannot`),
    reasons.length > 0 && h("ul", { class: "reasons" }, reasons),
  ];
}

async function claim(dag, conn, file, result) {
  const { path, ...found } = await send(dag, conn, file, true);
  if (!path) return show(result, verdict(found));
  const run = await trigger(dag, { logical_date: null, conf: { claim_file: path }, note: `Claims ${file.name}, which was sent from Device claims.` });
  return show(result, verdict(found), started(dag, run));
}

/** Show the form, and what the check of a file says. */
export async function sendView(place, { conn = DEFAULT }, signal) {
  const { dags, most_bytes } = await inbox(conn);
  if (signal.aborted) return;
  if (!dags.length) {
    show(place, h("p", { class: "nothing" }, `The connection ${conn} has no inbox for a DAG that you may see.`));
    return;
  }
  let dag = dags[0];
  const result = h("div", { "aria-live": "polite" });
  // What was said of one file must not be shown beside the name of another.
  const forget = () => show(result);
  const file = h("input", { type: "file", required: true, onchange: forget });
  const busy = (button, words, work) => async (event) => {
    event.preventDefault();
    button.disabled = true;
    show(result, h("p", {}, words));
    try {
      await work();
    } catch (error) {
      show(result, problem(refused(error, dag)));
    }
    button.disabled = false;
  };
  const check = h("button", { class: "button main" }, "Check the file");
  const looked = async () => {
    const chosen = file.files[0];
    if (chosen.size > most_bytes) throw new Error(`The file has ${number(chosen.size)} bytes; at most ${number(most_bytes)} can be sent.`);
    const found = await send(dag, conn, chosen, false);
    const go = h("button", { type: "button", class: "button main" }, `Claim ${counted(found.sendable ?? 0, "row", "rows")}`);
    go.addEventListener("click", busy(go, "Sending…", () => claim(dag, conn, chosen, result)));
    show(result, verdict(found), found.sendable > 0 && h("p", { class: "buttons" }, go));
    say("Checked");
  };
  show(
    place,
    h("p", {}, "The file is checked first; nothing is stored or claimed until you say so."),
    h("form", { class: "filters", "aria-label": "Send a claim file", onsubmit: busy(check, "Checking…", looked) }, field("DAG", choice(dags.map((each) => [each, each]), dag, (value) => ((dag = value), forget()))), field("Claim file", file), check),
    result,
  );
}
