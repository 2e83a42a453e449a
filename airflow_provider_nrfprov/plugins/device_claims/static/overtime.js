// What became of devices over time: a plot by day or hour, the share that was claimed, and the most frequent reasons.

import { claims } from "./api.js";
import { h, s, show } from "./dom.js";
import { choice, field, outcomeMark, reasonText } from "./parts.js";
import { PERIODS, sinceOf } from "./runs.js";
import { OUTCOMES, clockHour, number, outcomeName, percent } from "./words.js";

const NAMES = Object.keys(OUTCOMES);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const WIDEST = 1000;
const NARROWEST = 300;
const HEIGHT = 300;
/** Units of the plot that a character takes. */
const LETTER = 8;
/** Room for half of the last name of a day. */
const RIGHT = 3 * LETTER;
const TOP = 30;
const BOTTOM = 40;

const DAY_NAME = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" });
const HOUR_NAME = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

const nothingFrom = (start) => ({ start, total: 0, ...Object.fromEntries(NAMES.map((name) => [name, 0])) });

function gathered(found, hourly) {
  const spans = new Map();
  for (const claim of found) {
    if (!claim.summary || !claim.start_date) continue;
    const hour = clockHour(new Date(claim.start_date));
    const start = hourly ? hour : new Date(hour - (hour % DAY));
    const span = spans.get(+start) ?? nothingFrom(start);
    for (const name of NAMES) {
      span[name] += claim.summary[name] ?? 0;
      span.total += claim.summary[name] ?? 0;
    }
    spans.set(+start, span);
  }
  return [...spans.values()].sort((one, other) => one.start - other.start);
}

function everySpan(spans, hourly) {
  const all = [];
  const byStart = new Map(spans.map((span) => [+span.start, span]));
  const last = spans.at(-1).start;
  for (let at = spans[0].start; at <= last && all.length < 400; ) {
    all.push(byStart.get(+at) ?? nothingFrom(at));
    at = new Date(+at + (hourly ? HOUR : DAY));
  }
  return all;
}

/** Return a round number that is not below another. */
function roundUp(count) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(count, 1)));
  return [1, 2, 4, 6, 8, 10].map((each) => each * unit).find((each) => each >= count);
}

/** Return the plot, made for that number of pixels: letters stay as large as all others of the page. */
function plot(spans, nameOf, pixels) {
  const WIDTH = Math.min(WIDEST, Math.max(NARROWEST, pixels));
  const floor = HEIGHT - BOTTOM;
  const most = Math.max(2, roundUp(Math.max(...spans.map((span) => span.total))));
  const height = (count) => ((floor - TOP) * count) / most;
  const LEFT = LETTER * (number(most).length + 2);
  const step = (WIDTH - LEFT - RIGHT) / spans.length;
  const width = Math.min(step * 0.8, 90);
  const middle = (place) => LEFT + (place + 0.5) * step;
  const bars = spans.map((span, place) => {
    let top = floor;
    const pieces = NAMES.filter((name) => span[name]).map((name) => {
      top -= height(span[name]);
      return s("rect", { class: `fill-${name}`, x: middle(place) - width / 2, width, y: top, height: height(span[name]) });
    });
    const words = `${nameOf(span.start)}: ${NAMES.filter((name) => span[name]).map((name) => `${number(span[name])} ${outcomeName(name)}`).join(", ")}`;
    const share = step >= 6 * LETTER && span.total > 0 && s("text", { class: "share", x: middle(place), y: top - 6, "text-anchor": "middle" }, percent(span.claimed + span.already_claimed, span.total));
    return s("g", {}, s("title", {}, words), pieces, share);
  });
  const every = Math.ceil((LETTER * (nameOf(spans[0].start).length + 3)) / step);
  const labels = spans.map((span, place) => place % every === 0 && s("text", { x: middle(place), y: HEIGHT - 12, "text-anchor": "middle" }, nameOf(span.start)));
  const lines = [0, 0.5, 1].map((part) => {
    const y = floor - height(most * part);
    return s("g", {}, s("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y }), s("text", { x: LEFT - 8, y: y + 5, "text-anchor": "end" }, number(most * part)));
  });
  return s("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Rows by outcome over time; the table below has the same numbers" }, lines, bars, labels);
}

function table(spans, nameOf) {
  const names = NAMES.filter((name) => spans.some((span) => span[name]));
  return h(
    "details",
    {},
    h("summary", {}, "The same as a table"),
    h(
      "div",
      { class: "scroll", role: "region", "aria-label": "Rows by outcome over time", tabindex: "0" },
      h(
        "table",
        { class: "plain" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "When"), names.map((name) => h("th", { scope: "col" }, outcomeName(name))), h("th", { scope: "col" }, "Yours"))),
        h("tbody", {}, spans.filter((span) => span.total).map((span) => h("tr", {}, h("th", { scope: "row" }, nameOf(span.start)), names.map((name) => h("td", {}, number(span[name]))), h("td", {}, percent(span.claimed + span.already_claimed, span.total))))),
      ),
    ),
  );
}

function reasons(found) {
  const sums = new Map();
  for (const claim of found)
    for (const each of claim.summary?.reasons ?? []) {
      const key = `${each.outcome} ${each.reason}`;
      const sum = sums.get(key) ?? { ...each, count: 0, claims: 0 };
      sum.count += each.count;
      sum.claims += 1;
      sums.set(key, sum);
    }
  const top = [...sums.values()].sort((one, other) => other.count - one.count).slice(0, 10);
  if (!top.length) return null;
  return h(
    "section",
    {},
    h("h2", {}, "Most frequent reasons"),
    h("ul", { class: "reasons" }, top.map((each) => h("li", {}, h("div", { class: "reason" }, outcomeMark(each.outcome), h("b", {}, number(each.count)), reasonText(each.reason))))),
  );
}

/** Show the plot for a period. */
export async function timeView(place, { period = PERIODS[2][0] }, signal) {
  const go = (value) => (location.hash = `#/time?period=${value}`);
  const result = h("div", {}, h("p", {}, "Loading…"));
  show(place, h("form", { class: "filters", "aria-label": "Period of the plot" }, field("Period", choice(PERIODS, period, go))), result);
  const found = (await claims({ since: sinceOf(period) })).claims;
  if (signal.aborted) return;
  const hourly = Number(period) > 0 && Number(period) <= 48 * 3600;
  const spans = gathered(found, hourly);
  if (!spans.length) {
    show(result, h("p", { class: "nothing" }, "No file was claimed in this period by a DAG that you may see."));
    return;
  }
  const nameOf = (date) => (hourly ? HOUR_NAME : DAY_NAME).format(date);
  const all = everySpan(spans, hourly);
  const picture = plot(all, nameOf, place.clientWidth);
  const shares = picture.querySelector(".share") ? "; above each, the share that is yours" : "";
  const sum = (name) => spans.reduce((total, span) => total + span[name], 0);
  const total = sum("total");
  show(
    result,
    h("p", { class: "big" }, h("b", {}, percent(sum("claimed") + sum("already_claimed"), total)), ` of ${number(total)} rows are yours: claimed now, or yours before.`),
    h("ul", { class: "legend" }, NAMES.map((name) => h("li", { title: OUTCOMES[name][1] }, outcomeMark(name), h("b", {}, number(sum(name)))))),
    h("p", { class: "quiet" }, `${hourly ? "Rows by hour" : "Rows by day"}${shares}`),
    picture,
    table(spans, nameOf),
    reasons(found),
  );
}
