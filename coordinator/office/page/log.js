/** The log: what was done to the firm, newest first. */

import { dayOf, difference, el, number, products, timeOf } from "./format.js";

const SHOWN = 200;

/** An event in words. */
export function told({ kind, details, why }) {
  const given = details || {};
  const words = {
    swap: () => `follows ${given.policy}, version ${given.to} instead of ${given.from}`,
    rollback: () => `back to ${given.policy}, version ${given.to} instead of ${given.from}`,
    override: () => `ordered by hand: ${products(given.order)}, until period ${number(given.until - 1)}`,
    pause: () => "paused: the benchmark's rule decides",
    resume: () => "decides by itself again",
    canary: () => `canary of ${given.policy} until period ${number(given.until)}`,
    refusal: () => `${given.asked} refused: ${given.reason}`,
    fallback: () => "the benchmark's rule stood in",
    restart: () => (given.moved ? "restarted on another node" : "restarted"),
    start: () => "the firm began its periods",
    stop: () => "the firm stopped",
  };
  return words[kind] ? words[kind]() : kind === "failure" || kind === "feed" ? `${kind}: ${why}` : kind;
}

export class Log {
  constructor(body, filter, none, departments) {
    [this.body, this.filter, this.none, this.events] = [body, filter, none, []];
    for (const name of departments) filter.append(el("option", { value: name }, name));
    filter.addEventListener("change", () => this.draw());
  }

  add(events) {
    if (!events.length) return;
    this.events.push(...events);
    const kept = events.filter((event) => this.wanted(event)).slice(-SHOWN);
    for (const event of kept) this.body.prepend(this.row(event));
    while (this.body.rows.length > SHOWN) this.body.lastElementChild.remove();
    this.none.hidden = this.body.rows.length > 0;
  }

  draw() {
    this.body.replaceChildren(...this.events.filter((event) => this.wanted(event)).slice(-SHOWN).reverse().map((event) => this.row(event)));
    this.none.hidden = this.body.rows.length > 0;
  }

  wanted(event) {
    return !this.filter.value || event.department === this.filter.value;
  }

  row(event) {
    const what = told(event);
    const why = event.kind === "refusal" && event.details.reason === event.why ? "" : event.why;
    const figures = event.details.periods
      ? ` (shadow run of ${number(event.details.periods)} periods: ${difference(event.details.benchmark_cost - event.details.cost)} against the benchmark)`
      : "";
    return el(
      "tr",
      { class: event.kind },
      el("td", { class: "number", "data-name": "period" }, number(event.tick)),
      el("td", {}, el("time", { datetime: new Date(1000 * event.time).toISOString(), title: dayOf(event.time) }, timeOf(event.time))),
      el("td", { class: "what" }, what + figures),
      el("td", {}, event.department || "the firm"),
      el("td", {}, event.who),
      el("td", { class: "said" }, event.kind === "failure" || event.kind === "feed" ? "" : why),
    );
  }
}

