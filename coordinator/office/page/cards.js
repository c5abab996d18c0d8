/** A card per department: whom it follows, what it decided last and why, what it costs beside its benchmark. */

import { count, el, mark, money, number, products, say, service, share, svg, total, units } from "./format.js";

const MODES = { policy: "by its policy", paused: "paused", override: "by hand", fallback: "stand-in", changed: "changed", down: "down" };
const TRACE = 90; // periods of a card's little line

export class Card {
  constructor(name, network, act) {
    this.name = name;
    this.recommends = name === network.recommends;
    this.most = network.max_order[name];
    this.earns = network.earns;
    this.mode = el("span", { class: "mode" });
    this.policy = el("p", { class: "follows" });
    this.pace = el("p", { class: "note" });
    this.why = el("p", { class: "why" });
    this.figures = el("dl");
    this.rows = {};
    this.trace = svg("svg", {
      class: "trace",
      height: 34,
      preserveAspectRatio: "none",
      viewBox: `0 0 ${TRACE} 30`,
      role: "img",
    });
    this.progress = el("progress", { "aria-label": `canary of ${name}` });
    this.canaryText = el("span");
    const withdraw = el("button", { type: "button", "data-kind": "cancel" });
    withdraw.append("Withdraw", el("span", { class: "unseen" }, ` the canary of ${name}`));
    withdraw.addEventListener("click", () => act("cancel", name));
    this.canary = el("div", { class: "canary", hidden: true }, this.canaryText, this.progress, withdraw);
    this.buttons = Object.fromEntries(
      ["swap", "override", "pause", "rollback"].map((kind) => [
        kind,
        el("button", { type: "button", "data-kind": kind }),
      ]),
    );
    for (const [kind, text] of Object.entries({
      swap: "Swap",
      override: "Order",
      pause: "Pause",
      rollback: "Roll back",
    })) {
      const button = this.buttons[kind];
      button.append(text, el("span", { class: "unseen" }, ` ${kind === "override" ? "by hand for " : ""}${name}`));
      button.addEventListener("click", () => act(kind === "pause" && this.paused ? "resume" : kind, name));
    }
    if (this.recommends) this.buttons.override.remove();
    const shown = Object.values(this.buttons).filter((button) => !this.recommends || button !== this.buttons.override);
    this.node = el(
      "article",
      { class: "card", "aria-labelledby": `card-${name}` },
      el("div", { class: "head" }, el("h3", { id: `card-${name}` }, name), this.mode),
      this.policy,
      this.pace,
      this.recommends ? "" : this.trace,
      this.why,
      this.figures,
      this.canary,
      el("div", { class: "buttons" }, ...shown),
    );
  }

  /** facts: { row, metrics, tick, wished, policy, canary, until, trace, product } of now. */
  show(facts) {
    const { row, metrics, policy, canary } = facts;
    this.paused = row.paused;
    const mode = row.up ? row.mode : "down";
    say(this.mode, row.paused && mode === "policy" ? "paused" : MODES[mode]);
    mark(this.mode, "class", `mode ${mode}`);
    say(this.policy, `${row.policy}, version ${row.version}`);
    say(this.pace, policy?.timescale ? `learned with ${policy.timescale}` : "");
    say(this.why, this.recommends ? this.offers(row) : this.reason(facts));
    say(this.buttons.pause.firstChild, row.paused ? "Resume" : "Pause");
    if (this.recommends) {
      this.fact("Decisions", count(row.decisions, "period"));
    } else {
      this.costs(row, metrics);
      if (row.demand !== null) {
        this.fact("Demand", `${units(row.demand / Math.max(metrics.tick, 1))} a period`);
        this.fact("Fill rate", share(row.fill_rate), service(row.fill_rate) ?? "");
      }
      this.fact("On hand", products(row.on_hand));
      if (total(row.backlog)) this.fact("Owed", products(row.backlog));
      else this.forget("Owed");
      this.draw(facts.trace);
    }
    const troubles = [
      row.fallbacks && count(row.fallbacks, "stand-in"),
      row.restarts && count(row.restarts, "restart"),
    ];
    if (troubles.some(Boolean)) this.fact("Troubles", troubles.filter(Boolean).join(", "));
    this.try(canary);
  }

  fact(name, text, kind = "") {
    if (!this.rows[name]) {
      this.rows[name] = el("dd");
      this.figures.append(el("div", {}, el("dt", {}, name), this.rows[name]));
    }
    say(this.rows[name], text);
    mark(this.rows[name], "class", kind || null);
  }

  forget(name) {
    this.rows[name]?.parentNode.remove();
    delete this.rows[name];
  }

  costs(row, metrics) {
    const sign = this.earns ? -1 : 1;
    const mine = (sign * row.cost) / Math.max(metrics.tick, 1);
    const theirs = (sign * row.benchmark_cost) / (metrics.benchmark.tick + 1);
    this.fact(this.earns ? "Profit" : "Cost", `${money(mine)} a period`);
    const better = this.earns ? mine - theirs : theirs - mine;
    const apart = theirs ? share(Math.abs((mine - theirs) / theirs)) : "";
    const begun = metrics.tick > 0 && theirs !== 0; // before, there is nothing to compare
    const even = Math.abs(mine - theirs) < 0.0005 * Math.abs(theirs);
    const side = even ? "the same" : `${apart} ${better > 0 ? "better" : "worse"}`;
    this.fact(
      "Benchmark",
      `${money(theirs)}${begun ? `, ${side}` : ""}`,
      even || !begun ? "" : better > 0 ? "good" : "bad",
    );
  }

  /** The last decision in a sentence: position against target, and what stood in the way. */
  reason({ tick, wished, until, row, product }) {
    if (!tick) return "Nothing decided yet.";
    const position = total(tick.inventory_position);
    const ordered = total(tick.order);
    const order = ordered ? `ordered ${products(tick.order)}` : "ordered nothing";
    if (tick.mode === "override")
      return `By hand${until ? ` until period ${number(until - 1)}` : ""}: ${order}, at a position of ${units(position)}.`;
    if (tick.mode === "paused") return `Paused: the benchmark's rule ${order}, at a position of ${units(position)}.`;
    if (tick.mode === "fallback")
      return `It did not answer in time: the benchmark's rule ${order}, at a position of ${units(position)}.`;
    if (tick.mode === "changed") return `Changed at approval: ${order}, at a position of ${units(position)}.`;
    if (!wished) return `Position ${units(position)}: ${order}.`;
    const aim = position + wished.reduce((sum, each) => sum + each, 0);
    const limit = product in this.most && wished[0] > this.most[product] + 0.5 ? ", its limit" : "";
    if (aim - position <= 0.5)
      return `Position ${units(position)}, not under its target of ${number(aim)}: ${order}.`;
    return `Position ${units(position)}, ${number(aim - position)} under its target of ${number(aim)}: ${order}${limit}.`;
  }

  offers(row) {
    const by = {};
    for (const [place, exposure] of Object.entries(row.exposure)) {
      const [point, segment, product] = place.split("/");
      (by[`${point}, ${segment}`] ??= []).push(exposure < 0.995 ? `${product} ${share(exposure)}` : product);
    }
    const told = Object.entries(by).map(([segment, shown]) => `${shown.join(" and ")} to ${segment}`);
    return told.length ? `Shows ${told.join("; ")}.` : "Shows nothing.";
  }

  /** Position and on hand over the last periods. */
  draw(trace) {
    if (trace.length < 2) return;
    const last = trace.slice(-TRACE);
    const most = Math.max(1, ...last.map(([position, held]) => Math.max(position, held)));
    const path = (at) =>
      last
        .map(
          (each, i) =>
            `${i ? "L" : "M"}${((i * TRACE) / (last.length - 1)).toFixed(1)} ${(29 - (28 * Math.max(each[at], 0)) / most).toFixed(1)}`,
        )
        .join("");
    const held = svg("path", { class: "area", d: `${path(1)}L${TRACE} 30L0 30Z` });
    this.trace.replaceChildren(held, svg("path", { class: "soft", d: path(0), "vector-effect": "non-scaling-stroke" }));
    const [position, onHand] = last.at(-1);
    mark(
      this.trace,
      "aria-label",
      `last ${last.length} periods: position now ${units(position)}, on hand ${units(onHand)}`,
    );
  }

  try(canary) {
    this.canary.hidden = !canary;
    if (!canary) return;
    mark(this.progress, "max", canary.until - canary.since);
    mark(this.progress, "value", canary.done);
    const whole = canary.until - canary.since;
    say(
      this.canaryText,
      `Canary ${canary.policy}: ${canary.done} of ${count(whole, "period")}, ${money(canary.money)}; in office ${money(canary.incumbent_money)}; so far ${canary.verdict}`,
    );
  }
}
