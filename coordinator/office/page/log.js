/** The log: what was done to the firm, newest first. */

import { count, dayOf, difference, el, number, products, timeOf } from "./format.js";

const SHOWN = 25; // rows at first

function shownByHand(exposure) {
  const places = Object.entries(exposure || {}).filter(([, share]) => share > 0);
  return `recommends by hand: ${places.map(([place, share]) => `${number(100 * share)}% ${place}`).join(", ") || "nothing"}`;
}

/** Lines that were changed at approval. */
function changes(changed) {
  const told = changed.slice(0, 5).map((line) => `${line.stock_point} ${line.product} ${number(line.order)} instead of ${number(line.proposed)}`);
  const more = changed.length > 5 ? `, ${changed.length - 5} more` : "";
  return told.length ? `; changed ${told.join(", ")}${more}` : ", as proposed";
}

/** An event in words. */
export function told({ kind, details, why }) {
  const given = details || {};
  const words = {
    swap: () => `follows ${given.policy}, version ${given.to} instead of ${given.from}`,
    rollback: () => `back to ${given.policy}, version ${given.to} instead of ${given.from}`,
    override: () =>
      `${given.order ? `ordered by hand: ${products(given.order)}` : shownByHand(given.exposure)}, until period ${number(given.until - 1)}`,
    approve: () => `approved: ${count(given.lines, "line")} ordered${changes(given.changed)}`,
    pause: () => "paused: the benchmark's rule decides",
    resume: () => "decides by itself again",
    canary: () => `canary of ${given.policy} until period ${number(given.until)}`,
    change: () =>
      [`built as ${given.firm}`, ...["opened", "closed"].filter((word) => given[word].length).map((word) => `${word} ${given[word].join(", ")}`)].join("; "),
    cancel: () => `withdrawn: ${given.withdrawn}`,
    wait: () => `waited ${number(Math.round(given.seconds))} s: ${why}`,
    refusal: () => `${given.asked} refused: ${given.reason}`,
    fallback: () => "the benchmark's rule stood in",
    restart: () => (given.moved ? "restarted on another node" : "restarted"),
    start: () => "the firm began its periods",
    stop: () => "the firm stopped",
  };
  return words[kind] ? words[kind]() : kind === "failure" || kind === "feed" ? `${kind}: ${why}` : kind;
}

/** Events that befell several departments at once, as one. */
export function grouped(events) {
  const found = [];
  for (const event of events) {
    const last = found.at(-1);
    const same =
      last &&
      ["fallback", "restart"].includes(event.kind) &&
      ["kind", "tick", "why"].every((key) => last[key] === event[key]);
    if (same && !last.departments.includes(event.department)) last.departments.push(event.department);
    else if (!same) found.push({ ...event, departments: event.department ? [event.department] : [] });
  }
  return found;
}

export class Log {
  constructor(body, filter, none, more, departments) {
    Object.assign(this, { body, filter, none, more, events: [], shown: SHOWN });
    for (const name of departments) filter.append(el("option", { value: name }, name));
    filter.addEventListener("change", () => this.draw());
    more.addEventListener("click", () => {
      this.shown *= 4;
      this.draw();
    });
  }

  add(events) {
    if (!events.length) return;
    this.events.push(...events);
    this.draw();
  }

  draw() {
    const wanted = this.events.filter((event) => !this.filter.value || event.department === this.filter.value);
    const rows = grouped(wanted);
    this.body.replaceChildren(
      ...rows
        .slice(-this.shown)
        .reverse()
        .map((event) => this.row(event)),
    );
    this.none.hidden = rows.length > 0;
    this.more.hidden = rows.length <= this.shown;
  }

  row(event) {
    const what = told(event);
    const why = event.kind === "refusal" && event.details.reason === event.why ? "" : event.why;
    const figures = event.details.periods
      ? ` (shadow run of ${number(event.details.periods)} periods: ${difference(event.details.benchmark_cost - event.details.cost)} against the benchmark)`
      : "";
    return el(
      "tr",
      { class: `is-${event.kind}` },
      el("td", { class: "number", "data-name": "period" }, number(event.tick)),
      el(
        "td",
        {},
        el(
          "time",
          { datetime: new Date(1000 * event.time).toISOString(), title: dayOf(event.time) },
          timeOf(event.time),
        ),
      ),
      el("td", { class: "what" }, what + figures),
      el("td", { title: event.departments.join(", ") || null }, of(event.departments)),
      el("td", {}, event.who),
      el("td", { class: "said" }, event.kind === "failure" || event.kind === "feed" ? "" : why),
    );
  }
}

function of(departments) {
  if (departments.length > 2) return `${departments.length} departments`;
  return departments.join(", ") || "the firm";
}
