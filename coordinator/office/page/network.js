/** The supply network: stock points from left to right, what they hold, and what they ordered last. */

import { el, mark, number, say, svg, total, units } from "./format.js";

const ROW = 66; // px of a box and the room around it, at least
const ROOMY = 330; // px that few boxes share
const TALL = 50;
const NARROW = 480; // px, below which there is no room for what customers ask

/** Columns of points: each one to the right of all its suppliers, those with the same neighbours close together. */
export function columns(network) {
  const suppliers = Object.fromEntries(network.points.map((name) => [name, []]));
  for (const edge of network.edges) if (edge.from !== "outside") suppliers[edge.to].push(edge.from);
  const level = {};
  const depth = (name) => (level[name] ??= Math.max(-1, ...suppliers[name].map(depth)) + 1);
  network.points.forEach(depth);
  const found = [];
  for (const name of network.points) (found[level[name]] ??= []).push(name);
  for (let sweep = 0; sweep < 4; sweep += 1) {
    for (const column of found.slice(1)) {
      const place = {};
      found.forEach((each) => each.forEach((name, i) => (place[name] = (i + 0.5) / each.length)));
      const weight = (name) => suppliers[name].reduce((sum, from) => sum + place[from], 0) / suppliers[name].length;
      const middle = Object.fromEntries(column.map((name) => [name, weight(name)]));
      column.sort((a, b) => middle[a] - middle[b]);
    }
  }
  if (network.recommends) found.push([network.recommends]);
  return found;
}

export class Network {
  constructor(place, note, network, choose) {
    this.place = place;
    this.network = network;
    this.choose = choose;
    this.columns = columns(network);
    this.most = {};
    this.suppliers = {};
    for (const { to } of network.edges) this.suppliers[to] = (this.suppliers[to] || 0) + 1;
    const several = Object.values(this.suppliers).some((howMany) => howMany > 1);
    note.textContent =
      "Boxes show what is on hand, moving dots what was ordered last" +
      (network.recommends ? "." : ", on the right what customers ask a period.") +
      (several
        ? " Where a point has several suppliers, chance draws one for each order; lines show even shares."
        : "") +
      (network.recommends ? " Dashed: where recommendations are shown." : "");
    this.drawing = svg("svg", { role: "group", "aria-label": "Supply network" });
    place.append(this.drawing);
    new ResizeObserver(() => this.build()).observe(place);
  }

  build() {
    const narrow = this.place.clientWidth < NARROW;
    [this.stub, this.ask] = narrow ? [14, 12] : [28, 66]; // room for the outside on the left, customers on the right
    const many = this.columns.length;
    const wide = Math.max(this.place.clientWidth, this.stub + this.ask + many * 66 + (many - 1) * 22);
    if (wide === this.wide) return;
    this.wide = wide;
    const room = (wide - this.stub - this.ask) / (many - 0.3);
    this.box = Math.min(room * 0.7, 150);
    const step = many > 1 ? (wide - this.stub - this.ask - this.box) / (many - 1) : 0;
    const rows = Math.max(...this.columns.map((column) => column.length));
    const tall = rows * Math.max(ROW, Math.min(ROOMY / rows, 110)) + 8;
    this.drawing.setAttribute("class", narrow ? "narrow" : "");
    this.letter = narrow ? 6.7 : 7.4; // px of a letter of a name
    this.at = {};
    this.columns.forEach((column, c) =>
      column.forEach((name, r) => {
        const x = many > 1 ? this.stub + c * step : (wide - this.box) / 2;
        this.at[name] = [x, (tall * (r + 0.5)) / column.length - TALL / 2];
      }),
    );
    for (const [key, value] of Object.entries({ width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}` }))
      this.drawing.setAttribute(key, value);
    this.lines = this.network.edges.map((edge) => this.line(edge));
    this.buyers = Object.fromEntries(this.network.customer_facing.map((name) => [name, this.buyer(name)]));
    this.boxes = Object.fromEntries(Object.keys(this.at).map((name) => [name, this.node(name)]));
    const shown = this.network.recommends ? this.shown() : [];
    this.drawing.replaceChildren(
      ...shown,
      ...this.lines.map((each) => each.node),
      ...Object.values(this.buyers).map((each) => each.node),
      ...Object.values(this.boxes).map((each) => each.node),
    );
    if (this.last) this.show(...this.last);
  }

  line(edge) {
    const [tx, ty] = this.at[edge.to];
    const outside = edge.from === "outside";
    const [fx, fy] = outside ? [tx - this.stub - this.box, ty] : this.at[edge.from];
    const [x1, y1, x2, y2] = [fx + this.box + 1, fy + TALL / 2, tx - 2, ty + TALL / 2];
    const bend = (x2 - x1) / 2;
    const way = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
    const path = svg("path", { class: "flowing", d: way });
    const label = svg("text", { class: "flow", x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 5, "text-anchor": "middle" });
    const title = svg("title");
    return {
      ...edge,
      node: svg("g", {}, title, svg("path", { class: "edge", d: way }), path, label),
      path,
      label,
      title,
      room: x2 - x1,
    };
  }

  shown() {
    const [x, y] = this.at[this.network.recommends];
    const points = [...new Set(this.network.segments.map((segment) => segment.split("/")[0]))];
    return points.map((name) => {
      const [px, py] = this.at[name];
      const [x1, y1, x2, y2] = [x, y + TALL / 2, px + this.box, py + TALL / 2];
      return svg("path", {
        class: "shown",
        d: `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`,
      });
    });
  }

  buyer(name) {
    const [x, y] = this.at[name];
    if (this.network.recommends) return { node: svg("g"), text: svg("text") };
    const middle = y + TALL / 2;
    const text = svg("text", { x: x + this.box + 10, y: middle + 14 });
    const path = svg("path", { class: "edge", d: `M${x + this.box + 1} ${middle}h${this.ask}` });
    return { node: svg("g", { class: "buyers" }, path, text), text };
  }

  node(name) {
    const [x, y] = this.at[name];
    const room = Math.floor((this.box - 14) / this.letter);
    const title = svg("text", { class: "title", x: 8, y: 17 }, shortened(name, room));
    const held = svg("text", { class: "held", x: 8, y: 34 });
    const owed = svg("text", { class: "owed", x: this.box - 8, y: 34, "text-anchor": "end" });
    const bar = svg("rect", { class: "bar", x: 8, y: TALL - 9, height: 3, width: 0, rx: 1.5 });
    const track = svg("rect", { class: "track", x: 8, y: TALL - 9, height: 3, width: this.box - 16, rx: 1.5 });
    const frame = svg("rect", { class: "frame", width: this.box, height: TALL, rx: 8 });
    const node = svg(
      "g",
      { class: "node", transform: `translate(${x} ${y})`, tabindex: 0, role: "button" },
      frame,
      title,
      held,
      owed,
      track,
      bar,
    );
    node.addEventListener("click", () => this.choose(name));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.choose(name);
    });
    return { node, held, owed, bar, track };
  }

  show(metrics, chosen) {
    this.last = [metrics, chosen];
    if (!this.boxes) return;
    const rows = metrics.departments;
    const orders = Object.values(rows).map((row) => total(row.order));
    this.peak = Math.max(this.peak || 1, ...orders);
    for (const line of this.lines) {
      const ordered = total(rows[line.to].order) / this.suppliers[line.to];
      mark(line.path, "stroke-width", (2 + 4 * Math.sqrt(ordered / this.peak)).toFixed(1));
      mark(line.path, "visibility", ordered ? "visible" : "hidden");
      say(
        line.label,
        this.network.edges.length <= 8 && line.room > 46 && line.from !== "outside" ? units(ordered) : "",
      );
      say(line.title, `${line.from} to ${line.to}: ${units(ordered)} ordered, lead time ${lead(line.lead_time)}`);
    }
    for (const [name, buyer] of Object.entries(this.buyers)) {
      say(buyer.text, metrics.tick && this.ask > 20 ? units((rows[name].demand || 0) / metrics.tick) : "");
    }
    for (const [name, box] of Object.entries(this.boxes)) this.fill(name, box, rows[name], chosen);
  }

  fill(name, box, row, chosen) {
    const recommends = row.kind === "recommendation";
    const held = total(row.on_hand);
    const owed = total(row.backlog);
    this.most[name] = Math.max(this.most[name] || 1, held);
    say(box.held, recommends ? `${Object.keys(row.exposure).length} shown` : units(held));
    say(box.owed, owed ? `−${number(owed)}` : "");
    mark(box.bar, "width", recommends ? 0 : (((this.box - 16) * held) / this.most[name]).toFixed(1));
    mark(box.track, "visibility", recommends ? "hidden" : "visible");
    mark(box.node, "class", `node ${row.up ? row.mode : "down"}${name === chosen ? " chosen" : ""}`);
    mark(box.node, "aria-pressed", name === chosen);
    const backlog = owed ? `, ${units(owed)} owed` : "";
    mark(
      box.node,
      "aria-label",
      recommends
        ? `${name}: shows ${Object.keys(row.exposure).length} products`
        : `${name}: ${units(held)} on hand${backlog}`,
    );
  }
}

/** A lead time of the firm file in words. */
export function lead(time) {
  if (typeof time === "number") return `${number(time)} ${time === 1 ? "period" : "periods"}`;
  if (typeof time.law !== "string") return "by product";
  const given = Object.entries(time).filter(([key, value]) => key !== "law" && typeof value === "number");
  return `${time.law.replaceAll("_", " ")}${given.map(([key, value]) => ` ${key} ${number(value)}`).join(",")} periods`;
}

/** A name in so many letters, by its beginning and its end, in which names differ most. */
export function shortened(name, most) {
  if (name.length <= most) return name;
  return `${name.slice(0, Math.max(most - 4, 1))}…${name.slice(-3)}`;
}
