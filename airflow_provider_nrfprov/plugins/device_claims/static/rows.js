// The rows of a report: paged, sorted, filtered and searched by the server.

import { rows as ask } from "./api.js";
import { h, say, show } from "./dom.js";
import { choice, copyButton, countsOf, deviceMark, field, outcomeMark, pages, problem } from "./parts.js";
import { OUTCOMES, counted, number, outcomeName } from "./words.js";

const SIZE = 50;
const LABELS = { __proto__: null, line: "Line", device_id: "Device", outcome: "Outcome", status: "Status", message: "What happened", bulk_ops_request_id: "Bulk operation" };
/** What says how, and not what: shown if it is asked for. */
const TECHNICAL = new Set(["status", "bulk_ops_request_id"]);
const FIRST = ["line", "device_id"];
const LAST = ["outcome", "message", "status", "bulk_ops_request_id"];
/** Return the places of the columns in the order in which they are read: which device, what the file says of it, what became of it. */
function inOrder(columns) {
  // By place: a file may call two of its columns alike.
  const of = (names) => names.map((name) => columns.indexOf(name)).filter((place) => place >= 0);
  return [...of(FIRST), ...[...columns.keys()].filter((place) => !FIRST.includes(columns[place]) && !LAST.includes(columns[place])), ...of(LAST)];
}
const labelOf = (column) => LABELS[column] ?? column;
const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

function cell(column, text, mark) {
  if (text === null || text === "") return "";
  if (column === "outcome") return outcomeMark(text);
  if (column === "device_id") return [mark(text), copyButton(text, "the device id")];
  return String(text);
}

/** Return the part of a claim's view that shows its rows: element, load and choose. */
export function rowsTable(task, summary, signal, words) {
  const total = summary.rows ?? summary.devices ?? 0;
  const wanted = { offset: 0, limit: SIZE, outcome: "", reason: "", words, sort: "", descending: false };
  const body = h("div", { class: "rows" });
  const chosen = h("p", { class: "chosen", hidden: true });
  const heading = h("h3", { tabindex: "-1" }, "Rows");
  let latest = 0;

  async function load() {
    const mine = ++latest;
    body.setAttribute("aria-busy", "true");
    try {
      let answer = await ask(task, wanted, signal);
      while (answer.building !== undefined && mine === latest && !signal.aborted) {
        draw(answer);
        await pause(700);
        answer = await ask(task, wanted, signal);
      }
      if (mine === latest && !signal.aborted) draw(answer);
    } catch (error) {
      if (mine === latest && !signal.aborted) show(body, problem(error));
    } finally {
      if (mine === latest) body.removeAttribute("aria-busy");
    }
  }

  const isAll = () => !wanted.outcome && !wanted.reason && !wanted.words;

  /** Return where to look instead, if it was an outcome that was searched for. */
  function ofThatOutcome() {
    const words = wanted.words.trim().toLowerCase();
    const name = Object.keys(OUTCOMES).map(outcomeName).find((each) => each.toLowerCase() === words);
    return name && ` Rows that ended as “${name}” are found by the choice Outcome.`;
  }

  function set(values) {
    Object.assign(wanted, { offset: 0 }, values);
    return load();
  }

  function sorter(column, isSortable) {
    const isSorted = () => wanted.sort === column || (!wanted.sort && column === "line");
    const direction = !isSorted() ? "none" : wanted.descending ? "descending" : "ascending";
    if (!isSortable) return h("th", { role: "columnheader", scope: "col" }, labelOf(column));
    const sort = () => set({ sort: column, descending: isSorted() && !wanted.descending });
    const arrow = { none: "", ascending: " ▲", descending: " ▼" }[direction];
    return h("th", { role: "columnheader", scope: "col", "aria-sort": direction }, h("button", { type: "button", onclick: sort }, labelOf(column), h("span", { "aria-hidden": "true" }, arrow)));
  }

  function draw(answer) {
    const ready = answer.building === undefined;
    const progress = ready ? null : h("p", { class: "note" }, `Preparing ${number(total)} rows for sorting and searching: ${Math.round(100 * answer.building)} %`, h("progress", { max: 1, value: answer.building, "aria-label": "Preparing the rows" }));
    if (!answer.rows) {
      show(body, progress);
      return;
    }
    const all = answer.total ?? total;
    const mark = (row) => (id) => deviceMark(summary, id, row[answer.columns.indexOf("outcome")]);
    const { columns } = answer;
    const filled = (place) => answer.rows.some((row) => (row[place] ?? "") !== "");
    const shown = inOrder(columns).filter((place) => filled(place) && (details.checked || !TECHNICAL.has(columns[place])));
    const sortable = (place) => ready && answer.sortable.includes(columns[place]) && columns.indexOf(columns[place]) === place;
    const cellOf = (row, place) => h("td", { role: "cell", "data-label": labelOf(columns[place]), class: `of-${columns[place] in LABELS ? columns[place] : "carried"}` }, cell(columns[place], row[place], mark(row)));
    say(answer.more ? `More than ${number(all)} rows` : counted(all, "row", "rows"));
    const focused = document.activeElement?.closest?.(".rows th")?.textContent;
    show(
      body,
      progress,
      ready && isAll() && all !== total && h("p", { class: "note" }, `The claim had ${counted(total, "row", "rows")}, and its report has ${number(all)}: ${all < total ? "a part of it is missing" : "it was changed"}.`),
      answer.more && h("p", { class: "note" }, `More than ${number(all)} rows match; these are the first of them. Type more to narrow the search.`),
      answer.rows.length === 0
        ? h("p", { class: "nothing" }, isAll() ? "The report has no rows." : "No row matches.", ofThatOutcome())
        : h(
            "div",
            { class: "scroll", role: "region", "aria-label": "Rows of the report", tabindex: "0" },
            h(
              "table",
              { role: "table" },
              h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, shown.map((place) => sorter(columns[place], sortable(place))))),
              h("tbody", { role: "rowgroup" }, answer.rows.map((row) => h("tr", { role: "row" }, shown.map((place) => cellOf(row, place))))),
            ),
          ),
      ready && all > SIZE && pages({ offset: wanted.offset, size: SIZE, total: all, go: (offset) => set({ offset }) }),
    );
    if (focused) [...body.querySelectorAll("th")].find((each) => each.textContent.slice(0, 4) === focused.slice(0, 4))?.querySelector("button")?.focus();
  }

  function mark(reason) {
    chosen.hidden = !reason;
    if (reason) show(chosen, "Only rows with the reason ", h("b", {}, reason), " ", h("button", { type: "button", onclick: () => choose(null) }, "Show all rows"));
  }

  function choose(reason) {
    outcomes.value = reason?.outcome ?? "";
    search.value = "";
    mark(reason?.reason);
    heading.scrollIntoView({ block: "start" });
    heading.focus({ preventScroll: true });
    return set({ outcome: reason?.outcome ?? "", reason: reason?.reason ?? "", words: "" });
  }

  const outcomes = choice([["", "all"], ...countsOf(summary).map(([outcome]) => [outcome, outcomeName(outcome)])], "", (outcome) => {
    mark(null);
    set({ outcome, reason: "" });
  });
  let timer = 0;
  const typed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => set({ words: search.value }), 300);
  };
  const search = h("input", { type: "search", value: words, maxlength: 200, placeholder: "line, IMEI, serial, device id or words", oninput: typed });
  const details = h("input", { type: "checkbox", onchange: () => load() });
  const element = h(
    "section",
    {},
    heading,
    h("form", { class: "filters", role: "search", "aria-label": "Filter the rows", onsubmit: (event) => event.preventDefault() }, field("Outcome", outcomes), field("Search", search), h("label", { class: "check" }, details, "Show the service's status and operation")),
    chosen,
    body,
  );
  return { element, load, choose };
}
