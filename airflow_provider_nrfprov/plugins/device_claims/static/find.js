// Where is this device? One search over the reports of all claims that the user may see.

import { runPage, search } from "./api.js";
import { h, say, show } from "./dom.js";
import { claimAddress } from "./runs.js";
import { deviceMark, field, outcomeMark, outLink, problem } from "./parts.js";
import { counted, fileName, number, when } from "./words.js";

const OURS = new Set(["line", "device_id", "outcome", "status", "message", "bulk_ops_request_id"]);

function hit(claim, row) {
  const file = claim.summary.claim_file ?? claim.run_id;
  const others = Object.entries(row).filter(([name, value]) => !OURS.has(name) && value);
  return h(
    "li",
    { class: "card" },
    h("div", { class: "headline" }, h("h2", {}, row.device_id ? deviceMark(claim.summary, row.device_id, row.outcome) : "Device unknown"), outcomeMark(row.outcome)),
    row.message && h("p", {}, row.message),
    others.length > 0 && h("p", { class: "facts" }, others.map(([name, value]) => h("span", {}, `${name}: ${value}`))),
    h(
      "p",
      { class: "facts" },
      h("span", {}, "Line ", row.line, " of ", h("a", { href: claimAddress(claim, { words: row.device_id || row.line }), title: file }, fileName(file))),
      h("span", {}, when(claim.start_date)),
      h("span", {}, outLink(runPage(claim), { title: claim.run_id }, claim.dag_id)),
    ),
  );
}

/** Show the search, and what it finds. */
export async function findView(place, { words = "" }, signal) {
  const input = h("input", { type: "search", value: words, minlength: 4, required: true, placeholder: "IMEI, serial number or device id", autocomplete: "off" });
  const results = h("div", {});
  const go = (event) => {
    event.preventDefault();
    location.hash = `#/find?${new URLSearchParams({ words: input.value.trim() })}`;
  };
  show(
    place,
    h("form", { class: "filters", role: "search", "aria-label": "Find a device", onsubmit: go }, field("IMEI, serial number or device id, or a part of one (4 characters or more)", input), h("button", { class: "button main" }, "Find")),
    results,
  );
  if (words.length < 4) {
    input.focus();
    return;
  }
  await look(words, results, signal);
}

async function look(words, results, signal) {
  const list = h("ul", { class: "cards" });
  const status = h("p", { class: "note" }, "Looking…");
  show(results, status, list);
  let skip = 0;
  let hits = 0;
  const unread = [];
  for (;;) {
    const answer = await search(words, skip, signal);
    if (signal.aborted) return;
    for (const { claim, rows, problem: why } of answer.found) {
      list.append(...rows.map((row) => hit(claim, row)));
      hits += rows.length;
      if (why) unread.push(why);
    }
    const where = `${number(answer.searched)} of ${counted(answer.of, "claim", "claims")}`;
    status.textContent = `${counted(hits, "row", "rows")} found; searched ${where}${answer.more ? " (the newest 1,000)" : ""}.`;
    if (answer.searched >= answer.of || answer.searched === skip) break;
    skip = answer.searched;
  }
  say(status.textContent);
  if (!hits) list.replaceWith(h("p", { class: "nothing" }, "This device is in no report that you may see."));
  if (unread.length) results.append(problem(new Error(`${counted(unread.length, "report", "reports")} could not be read. ${unread[0]}`)));
}
