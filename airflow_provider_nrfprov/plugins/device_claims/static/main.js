// Which view is shown: the address behind # says so, so that Back, bookmarks and links work.

import { h, show } from "./dom.js";
import { problem } from "./parts.js";
import { findView } from "./find.js";
import { runView } from "./run.js";
import { runsView, runsOfRun } from "./runs.js";
import { offerSending, sendView } from "./send.js";
import { timeView } from "./overtime.js";
import { followTheme } from "./theme.js";

const VIEWS = { runs: runsView, run: runView, time: timeView, find: findView, send: sendView, "": runsView };
const main = document.getElementById("main");
let leave = new AbortController();

// Not URLSearchParams: Airflow 3.1 puts ids into the address as they are, with a plus that is one.
function fromAirflow() {
  const pairs = location.search.slice(1).split("&").filter(Boolean);
  return Object.fromEntries(pairs.map((pair) => [decoded(pair.split("=", 1)[0]), decoded(pair.slice(pair.indexOf("=") + 1))]));
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a per cent sign that is one
  }
}

const given = fromAirflow();

function wanted() {
  const [name, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parameters = Object.fromEntries(new URLSearchParams(query));
  if (name || !given.dag_id) return [VIEWS[name] ?? runsView, parameters, name];
  if (!given.task_id) return [runsOfRun, given, "run"];
  // Airflow leaves {MAP_INDEX} as it stands for a task that is not mapped.
  const map = /^-?\d+$/.test(given.map_index) ? given.map_index : -1;
  return [runView, { dag: given.dag_id, run: given.run_id, task: given.task_id, map }, "run"];
}

async function draw() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const [view, parameters, name] = wanted();
  for (const link of document.querySelectorAll("header nav a")) {
    const current = link.getAttribute("href") === `#/${name || "runs"}`;
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = h("div", {}, h("p", {}, "Loading…"));
  show(main, place);
  try {
    await view(place, parameters, signal);
  } catch (error) {
    if (!signal.aborted) show(place, problem(error));
  }
}

followTheme();
// Another time zone was chosen in Airflow.
addEventListener("storage", ({ key }) => key === "timezone" && location.reload());
offerSending(document.querySelector('header a[href="#/send"]'));
addEventListener("hashchange", async () => {
  await draw();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
draw();
