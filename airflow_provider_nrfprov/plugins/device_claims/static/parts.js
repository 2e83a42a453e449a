// Pieces that several views show: the bar of outcomes, links out of the frame, copying, pages, errors.

import { runPage } from "./api.js";
import { h, say } from "./dom.js";
import { OUTCOMES, advice, counted, number, outcomeName, percent, standing } from "./words.js";

/** Return a summary's rows by outcome, those that there are. */
export function countsOf(summary) {
  const known = Object.keys(OUTCOMES).filter((outcome) => outcome in summary);
  const names = known.length
    ? known
    : Object.keys(summary).filter((name) => name !== "devices" && Number.isInteger(summary[name]) && name !== "map_index" && name !== "try_number");
  return names.map((outcome) => [outcome, summary[outcome]]).filter(([, count]) => count > 0);
}

/** Return the name of an outcome with its colour. */
export const outcomeMark = (outcome) => h("span", { class: `outcome is-${outcome}` }, outcomeName(outcome));

/** Return a reason, with what to do about it if it does not say so. */
export const reasonText = (reason) => h("span", {}, reason, advice(reason) && h("small", { class: "advice" }, advice(reason)));

/** Return the state of a claim; and, once its run is known, that it failed. */
export function stateMark(claim, run) {
  const [words, kind] = standing(claim);
  const failed = h("span", { class: "state bad", hidden: true }, "Run failed");
  Promise.resolve(run).then(({ state }) => (failed.hidden = state !== "failed"));
  return [h("span", { class: `state ${kind}` }, words), failed];
}

/** Return a bar of outcomes with their counts below it. */
export function bar(summary) {
  const counts = countsOf(summary);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const pieces = counts.map(([outcome, count]) => {
    const piece = h("span", { class: `piece is-${outcome}` });
    piece.style.flexGrow = String(count);
    return piece;
  });
  return h(
    "div",
    { class: "counts" },
    h("div", { class: "bar", "aria-hidden": "true" }, pieces),
    h(
      "ul",
      { class: "legend", "aria-label": counted(total, "row", "rows") },
      counts.map(([outcome, count]) =>
        h("li", { title: OUTCOMES[outcome]?.[1] }, outcomeMark(outcome), h("b", {}, number(count)), h("small", {}, percent(count, total))),
      ),
    ),
  );
}

/** Return a link to a page outside of this frame: Airflow's sandbox lets the page around it follow links, not this one. */
export function outLink(href, attributes, ...children) {
  const follow = (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const outside = window.parent.document.createElement("a");
    outside.href = href;
    outside.rel = "noopener";
    for (const name of ["download", "target"]) if (attributes[name] !== undefined) outside.setAttribute(name, attributes[name]);
    if (event.ctrlKey || event.metaKey) outside.target = "_blank";
    window.parent.document.body.append(outside);
    outside.click();
    outside.remove();
  };
  return h("a", { href, ...attributes, onclick: follow }, ...children);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // A server without https: browsers have no clipboard there.
  }
  const area = h("textarea", { "aria-hidden": "true", class: "unseen" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Return a button that copies a text. */
export function copyButton(text, what) {
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${what} ${text}`, title: `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    await copy(text);
    button.focus();
    button.textContent = "Copied";
    say(`Copied ${text}`);
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

const originOf = (text) => {
  try {
    return new URL(text).origin;
  } catch {
    return null;
  }
};

/** Return whether people may be sent there: with https, or to the claim's own service, as an emulator's page is. */
export const mayLead = (address, summary) => {
  const origin = originOf(address);
  return /^https:/.test(origin) || (/^http:/.test(origin) && [summary.service ?? []].flat().some((each) => originOf(each) === origin));
};

const OURS = new Set(["claimed", "already_claimed"]);

/** Return the address of a device's page, nothing if it is not known or the device is not ours. */
export function devicePage(summary, id, outcome) {
  const { device_url: template } = summary;
  if (!id || !OURS.has(outcome) || typeof template !== "string" || !template.includes("{device_id}")) return null;
  const address = template.replaceAll("{device_id}", encodeURIComponent(id));
  return mayLead(address, summary) ? address : null;
}

/** Return a device's id: a link to its page in nRF Cloud, if there is one. */
export function deviceMark(summary, id, outcome) {
  const page = devicePage(summary, id, outcome);
  const shown = h("code", {}, id);
  return page ? outLink(page, { target: "_blank", title: "Open the device in nRF Cloud" }, shown) : shown;
}

/** Return the buttons to go through pages. */
export function pages({ offset, size, total, go, what = "rows" }) {
  const last = Math.max(0, Math.floor((total - 1) / size) * size);
  const button = (label, target, name) =>
    h("button", { type: "button", disabled: target < 0 || target > last || target === offset, "aria-label": name, onclick: () => go(target) }, label);
  const from = total ? offset + 1 : 0;
  return h(
    "nav",
    { class: "pages", "aria-label": `Pages of ${what}` },
    button("«", 0, "First page"),
    button("‹ Back", offset - size, "Previous page"),
    h("span", {}, `${number(from)} to ${number(Math.min(offset + size, total))} of ${number(total)}`),
    button("Next ›", offset + size, "Next page"),
    button("»", last, "Last page"),
  );
}

/** Return a link to a run that was started, which is said, too. */
export function started(dag_id, run) {
  say("Started");
  return h("p", {}, "Started: ", outLink(runPage({ dag_id, run_id: run.dag_run_id }), {}, run.dag_run_id));
}

/** Return what is shown of an error. */
export const problem = (error) => h("p", { class: "problem", role: "alert" }, error.message || String(error));

/** Return a field with its label. */
export const field = (label, control) => h("label", { class: "field" }, h("span", {}, label), control);

/** Return a choice of values: pairs of value and label. */
export function choice(pairs, value, onchange) {
  const select = h("select", { onchange: () => onchange(select.value) }, pairs.map(([each, label]) => h("option", { value: each, selected: each === value }, label)));
  return select;
}
