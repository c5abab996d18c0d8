/** The table of products and locations: filtered, sorted, a page at a time; and the orders that wait for approval. */

import { look } from "./api.js";
import { count, el, mark, number, say, service, share } from "./format.js";

const ROWS = matchMedia("(max-width: 40rem)").matches ? 8 : 20; // of a page
const place = (id) => document.getElementById(id);

export class Lines {
  /** choose: (point, product) => shows it in the charts; open: a command's dialog, as `Commands.open`. */
  constructor(network, choose, open) {
    Object.assign(this, { network, choose, open, offset: 0, rows: new Map(), drafts: new Map(), shown: null });
    place("lines-point").append(...network.points.map((name) => el("option", { value: name }, name)));
    place("lines-search").addEventListener("input", () => this.again());
    for (const id of ["lines-point", "lines-sort"]) place(id).addEventListener("change", () => this.again());
    place("lines-back").addEventListener("click", () => this.turn(-ROWS));
    place("lines-on").addEventListener("click", () => this.turn(ROWS));
    place("approval-reset").addEventListener("click", () => this.forget());
    place("approve").addEventListener("click", () => this.approve());
  }

  /** Whether there is anything to tell: several products, or orders that wait. */
  wanted(metrics) {
    return this.network.products.length > 1 || metrics.proposal !== null;
  }

  /** Look where the firm has moved on, or something else is asked for. */
  async gather(metrics) {
    place("lines-panel").hidden = !this.wanted(metrics);
    const now = `${metrics.tick} ${metrics.proposal?.made}`;
    if (!this.wanted(metrics) || now === this.shown) return;
    this.metrics = metrics;
    await this.look();
    this.shown = now;
  }

  again(offset = 0) {
    this.offset = offset;
    this.look().catch(() => (this.shown = null)); // looked at again with the next look at the firm, which tells
  }

  turn(by) {
    this.again(Math.max(0, this.offset + by));
  }

  async look() {
    const [sort, down] = place("lines-sort").value.split(":");
    const asked = new URLSearchParams({ search: place("lines-search").value, sort, offset: this.offset, limit: ROWS });
    if (down) asked.set("descending", true);
    if (place("lines-point").value) asked.set("stock_point", place("lines-point").value);
    const turn = (this.asked = Symbol("look"));
    const found = await look(`lines?${asked}`);
    if (turn === this.asked) this.show(found); // else something else was asked for meanwhile
  }

  show(found) {
    const made = found.proposal?.made ?? null;
    if (made !== this.made || found.tick !== this.tick) {
      this.drafts.clear();
      this.rows.clear();
    }
    [this.made, this.tick, this.found] = [made, found.tick, found];
    const nodes = found.lines.map((line) => this.row(line));
    const body = place("lines");
    if (nodes.length !== body.children.length || nodes.some((node, i) => node !== body.children[i]))
      body.replaceChildren(...nodes);
    const { matching, odd } = found;
    say(place("lines-order"), made === null ? "Last order" : "Order");
    say(place("lines-count"), `${count(matching, "line")}, ${odd ? `${number(odd)} with an exception` : "no exceptions"}`);
    const last = this.offset + found.lines.length;
    say(place("lines-range"), matching ? `${number(this.offset + 1)} to ${number(last)} of ${number(matching)}` : "none");
    place("lines-back").disabled = this.offset === 0;
    place("lines-on").disabled = last >= matching;
    this.tellApproval();
  }

  tellApproval() {
    const { proposal, tick } = this.found;
    place("approval").hidden = proposal === null;
    if (proposal === null) return;
    const changed = this.drafts.size;
    const odd = proposal.exceptions ? `, ${count(proposal.exceptions, "line")} with an exception` : ", no exceptions";
    say(
      place("approval-text"),
      `Orders of period ${number(tick)} wait for approval: ${count(proposal.lines, "line")} order something${odd}.`,
    );
    place("approval-reset").hidden = !changed;
    say(place("approve"), changed ? `Approve with ${count(changed, "change")}` : "Approve as proposed");
  }

  row(line) {
    const key = JSON.stringify([line.stock_point, line.product]);
    if (!this.rows.has(key)) this.rows.set(key, this.build(line));
    const { node, cells, input } = this.rows.get(key);
    const odd = line.exceptions.length > 0;
    say(cells.stock, number(line.on_hand));
    say(cells.position, number(line.position));
    say(cells.target, line.target === null ? "" : number(line.target));
    say(cells.service, line.fill_rate === null ? "" : share(line.fill_rate));
    mark(cells.service, "class", `number ${service(line.fill_rate) ?? ""}`);
    say(cells.exceptions, line.exceptions.join(", "));
    say(cells.reason, line.reason);
    if (input === null) say(cells.order, number(line.order));
    else if (!this.drafts.has(key)) input.value = line.order;
    mark(node, "class", odd ? "odd" : null);
    return node;
  }

  build(line) {
    const { stock_point: point, product } = line;
    const key = JSON.stringify([point, product]);
    const name = el("button", { type: "button", class: "plain" }, product);
    name.append(el("span", { class: "unseen" }, ` of ${point}: show its course`));
    name.addEventListener("click", () => this.choose(point, product));
    const cells = Object.fromEntries(["stock", "position", "target", "service"].map((id) => [id, el("td", { class: "number", "data-name": id === "stock" ? "on hand" : id })]));
    Object.assign(cells, { exceptions: el("strong"), reason: el("span"), order: el("span") });
    const input = this.made === null ? null : this.input(line, key);
    const reject = el("button", { type: "button" }, input ? "Reject" : "Order");
    reject.append(el("span", { class: "unseen" }, ` ${product} of ${point}`));
    reject.addEventListener("click", () => (input ? this.draft(input, line, key, 0) : this.open("override", point, { product })));
    const node = el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, point),
      ...["stock", "position", "target", "service"].map((id) => cells[id]),
      el("td", { class: "because" }, cells.exceptions, " ", cells.reason),
      el("td", { class: "orders" }, input ?? cells.order, reject),
    );
    return { node, cells, input };
  }

  input(line, key) {
    const { stock_point: point, product } = line;
    const most = this.network.max_order[point][product];
    const label = `Order of ${product} for ${point}`;
    const input = el("input", { type: "number", min: 0, max: most, step: 1, "aria-label": label });
    input.addEventListener("input", () => this.draft(input, line, key, input.value));
    return input;
  }

  draft(input, line, key, value) {
    if (String(input.value) !== String(value)) input.value = value;
    const same = value === "" || Number(value) === line.order;
    if (same) this.drafts.delete(key);
    else this.drafts.set(key, { stock_point: line.stock_point, product: line.product, order: Number(value) });
    mark(input, "class", same ? null : "changed");
    this.tellApproval();
  }

  forget() {
    this.drafts.clear();
    this.rows.clear();
    this.show(this.found);
  }

  async approve() {
    const approval = { period: this.tick, made: this.made, lines: [...this.drafts.values()] };
    if (await this.open("approve", null, { approval })) this.drafts.clear();
  }
}
