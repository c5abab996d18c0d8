/** Line charts over periods: drawn anew with every change, values under the pointer in the legend. */

import { el, number, say, svg } from "./format.js";

const LEFT = 46;
const BOTTOM = 20;
const TOP = 8;

/** Round steps, about `most` of them, between two values. */
export function steps(low, high, most = 3) {
  const raw = (high - low || 1) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step)
    found.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return found;
}

export class Chart {
  /** title: with {unit}; series: [{name, kind}] kind: main, soft, target, bars; zero: whether 0 is always shown. */
  constructor(place, title, unit, series, zero = false) {
    this.unit = unit;
    this.zero = zero;
    this.series = series;
    this.data = series.map(() => []);
    this.at = null;
    this.title = el("h3", {}, title);
    this.values = series.map(() => el("b"));
    const legend = series.map((each, i) =>
      el("li", { class: each.kind }, el("i", { "aria-hidden": "true" }), `${each.name} `, this.values[i]),
    );
    this.when = el("span", { class: "when" });
    this.drawing = svg("svg", { role: "img" });
    place.append(
      el(
        "div",
        { class: "chart" },
        el("div", { class: "head" }, this.title, this.when),
        el("ul", { class: "legend" }, ...legend),
        this.drawing,
      ),
    );
    this.drawing.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.drawing.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.drawing);
  }

  /** data: of each series, [[period, value], ...] by period. */
  show(data, title = null) {
    this.data = data;
    if (title) say(this.title, title);
    this.draw();
  }

  point(offset) {
    this.at = offset === null || !this.scale ? null : Math.round(this.scale.period(offset));
    this.draw();
  }

  draw() {
    const all = this.data.flat();
    const { clientWidth: width, clientHeight: height } = this.drawing;
    if (!all.length || !width) return;
    const periods = all.map(([period]) => period);
    const values = all.map(([, value]) => value);
    const [first, last] = [Math.min(...periods), Math.max(...periods)];
    let [low, high] = [Math.min(...values, ...(this.zero ? [0] : [])), Math.max(...values, ...(this.zero ? [0] : []))];
    if (low === high) [low, high] = [low - 1, high + 1];
    const x = (period) => LEFT + ((width - LEFT - 6) * (period - first)) / (last - first || 1);
    const y = (value) => TOP + (height - BOTTOM - TOP) * (1 - (value - low) / (high - low));
    this.scale = { period: (offset) => first + ((offset - LEFT) / (width - LEFT - 6)) * (last - first) };
    const nodes = [];
    for (const value of steps(low, high)) {
      nodes.push(
        svg("line", { class: value === 0 ? "axis" : "grid", x1: LEFT, x2: width - 6, y1: y(value), y2: y(value) }),
      );
      nodes.push(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)));
    }
    nodes.push(svg("text", { x: LEFT, y: height - 4 }, `period ${number(first)}`));
    nodes.push(svg("text", { x: width - 6, y: height - 4, "text-anchor": "end" }, number(last)));
    this.series.forEach((each, i) =>
      nodes.push(...this.line(each.kind, this.data[i], x, y, y(Math.max(low, 0)), (width - LEFT) / (last - first + 1))),
    );
    if (this.at !== null && this.at >= first && this.at <= last) {
      nodes.push(svg("line", { class: "pointer", x1: x(this.at), x2: x(this.at), y1: TOP, y2: height - BOTTOM }));
    }
    this.drawing.replaceChildren(...nodes);
    this.tell(last);
  }

  line(kind, data, x, y, ground, room) {
    if (!data.length) return [];
    if (kind === "bars") {
      const wide = Math.max(Math.min(room - 1, 6), 0.6);
      const path = data
        .filter(([, value]) => value)
        .map(([period, value]) => `M${x(period).toFixed(1)} ${ground.toFixed(1)}V${y(value).toFixed(1)}`);
      return [svg("path", { class: kind, d: path.join("") || "M0 0", "stroke-width": wide.toFixed(1) })];
    }
    const path = data.map(([period, value], i) => `${i ? "L" : "M"}${x(period).toFixed(1)} ${y(value).toFixed(1)}`);
    return [svg("path", { class: kind, d: path.join("") })];
  }

  tell(last) {
    const at = this.at ?? last;
    const told = this.data.map((data) => {
      const found = data.findLast(([period]) => period <= at);
      return found ? `${number(found[1])} ${this.unit}`.trim() : "none yet";
    });
    told.forEach((text, i) => say(this.values[i], text));
    say(this.when, `period ${number(at)}`);
    const summary = this.series.map((each, i) => `${each.name} ${told[i]}`).join(", ");
    this.drawing.setAttribute("aria-label", `${this.title.textContent}, period ${at}: ${summary}`);
  }
}

/** Running means over `window` values. */
export function means(data, window) {
  let sum = 0;
  return data.map(([period, value], i) => {
    sum += value - (i >= window ? data[i - window][1] : 0);
    return [period, sum / Math.min(i + 1, window)];
  });
}
