// Where is this device? One search over the reports of all claims that the user may see.

import { runPage, search } from "./api.js";
import { h, say, show } from "./dom.js";
import { claimAddress } from "./runs.js";
import { deviceMark, field, outcomeMark, outLink, problem } from "./parts.js";
import { counted, fileName, number, when } from "./words.js";

const SHORTEST = 4;
const OURS = new Set(["line", "device_id", "outcome", "status", "message", "bulk_ops_request_id"]);

const fileOf = (claim) => claim.summary.claim_file ?? claim.run_id;
const nameOf = (claim) => fileName(fileOf(claim));

function hit(claim, row) {
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
      h("span", {}, "Line ", row.line, " of ", h("a", { href: claimAddress(claim, { words: row.device_id || row.line }), title: fileOf(claim) }, nameOf(claim))),
      h("span", {}, when(claim.start_date)),
      h("span", {}, outLink(runPage(claim), { title: claim.run_id }, claim.dag_id)),
    ),
  );
}

/** Return a link to all rows of a claim that fit, where only the first of them are shown. */
const rest = (claim, words) =>
  h("li", { class: "note" }, "There are more: ", h("a", { href: claimAddress(claim, { words }) }, `all rows of ${nameOf(claim)} with “${words}”`), ".");

/** Show the search, and what it finds. */
export async function findView(place, { words = "" }, signal) {
  const input = h("input", { type: "search", value: words, maxlength: 100, required: true, placeholder: "IMEI, serial number or device id", autocomplete: "off" });
  const results = h("div", {});
  // Without the blanks around it, which minlength counts.
  const check = () => input.setCustomValidity(input.value.trim().length < SHORTEST ? `Type ${SHORTEST} characters or more.` : "");
  input.addEventListener("input", check);
  check();
  const go = (event) => {
    event.preventDefault();
    location.hash = `#/find?${new URLSearchParams({ words: input.value.trim() })}`;
  };
  show(
    place,
    h("form", { class: "filters", role: "search", "aria-label": "Find a device", onsubmit: go }, field("IMEI, serial number or device id, or a part of one (4 characters or more)", input), h("button", { class: "button main" }, "Find")),
    results,
  );
  if (words.trim().length < SHORTEST) {
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
  let isMore = false;
  const unread = [];
  for (;;) {
    const answer = await search(words, skip, signal);
    if (signal.aborted) return;
    for (const { claim, rows, more, problem: why } of answer.found) {
      list.append(...rows.map((row) => hit(claim, row)));
      if (more) list.append(rest(claim, words));
      hits += rows.length;
      isMore ||= more;
      if (why) unread.push(why);
    }
    const where = `${number(answer.searched)} of ${counted(answer.of, "claim", "claims")}`;
    status.textContent = `${isMore ? "More than " : ""}${counted(hits, "row", "rows")} found; searched ${where}${answer.more ? " (the newest 1,000)" : ""}.`;
    if (answer.searched >= answer.of || answer.searched === skip) break;
    skip = answer.searched;
  }
  say(status.textContent);
  if (!hits) list.replaceWith(h("p", { class: "nothing" }, "This device is in no report that you may see."));
  if (unread.length) results.append(problem(new Error(`${counted(unread.length, "report", "reports")} could not be read. ${unread[0]}`)));
}
