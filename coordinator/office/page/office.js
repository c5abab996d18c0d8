/** The office: looks at the firm once a second and shows it. */

import { look, takeTokenFromAddress } from "./api.js";
import { Card } from "./cards.js";
import { Chart, means } from "./charts.js";
import { Commands } from "./commands.js";
import { count, difference, el, labels, mark, money, number, say, service, share, total, unitWord, units } from "./format.js";
import { Lines } from "./lines.js";
import { Log } from "./log.js";
import { Network } from "./network.js";

const EVERY = 1000; // ms between two looks
const WINDOW = 90; // periods of the cards' little lines
const ALL = "*"; // products, summed
const MEANS = 300; // of a chart over the whole history
const SHARE = 20; // a chart's looks may take one of so many milliseconds
const AT_ONCE = 400; // periods of one look
const WORDS = { running: "Running", waiting: "Waiting", done: "Done", stopped: "Stopped", failed: "Failed" };

const place = (id) => document.getElementById(id);
const firm = {
  network: null,
  metrics: null,
  ticks: [],
  wished: {},
  course: null,
  courseDue: 0,
  saved: [],
  policies: {},
  until: {},
  next: 0,
  chosen: null,
  product: null, // of a firm with several: one, or all summed
};

function notice(text, trouble = false) {
  const node = place("notice");
  mark(node, "class", trouble ? "notice trouble" : "notice");
  say(node, text);
}

/** A look whose amounts are of the product that is chosen. */
const narrowly = (path, given = {}) =>
  look(`${path}?${new URLSearchParams(firm.product === null ? given : { ...given, product: firm.product })}`);

/** Everything that is new since the last look. */
async function gather() {
  const { product, chosen } = firm;
  const metrics = await narrowly("metrics");
  if (metrics.structure !== firm.network.structure) return location.reload() ?? []; // the firm was changed
  const known = firm.ticks.at(-1)?.tick ?? -1;
  const since = Math.max(known + 1, metrics.tick - WINDOW, 0);
  const begun = performance.now();
  const due = metrics.tick && (firm.course === null || (metrics.tick > known + 1 && begun > firm.courseDue));
  const [ticks, rows, course, events] = await Promise.all([
    metrics.tick > since ? narrowly("ticks", { since, limit: AT_ONCE }) : [],
    metrics.tick ? narrowly("history", { since: metrics.tick - 1, limit: firm.network.departments.length }) : [],
    due ? narrowly("series", { stock_point: chosen, most: MEANS }) : firm.course,
    look(`events?since=${firm.next}&limit=1000`),
    firm.lines.gather(metrics),
  ]);
  if (product !== firm.product || chosen !== firm.chosen) return events; // another one was chosen meanwhile
  if (due) firm.courseDue = begun + SHARE * (performance.now() - begun);
  firm.metrics = metrics;
  firm.course = course;
  firm.ticks = [...firm.ticks, ...ticks.filter((tick) => tick.tick > known)].slice(-WINDOW);
  for (const row of rows) firm.wished[row.department] = row;
  const { benchmark } = metrics;
  if (benchmark.tick !== firm.saved.at(-1)?.[0])
    firm.saved = [...firm.saved, [benchmark.tick, benchmark.saving]].slice(-MEANS);
  return events;
}

/** Versions that have come into office and are not known yet. */
async function gatherPolicies() {
  const news = Object.entries(firm.metrics.departments).filter(
    ([name, row]) => !firm.policies[name]?.some((each) => each.version === row.version),
  );
  await Promise.all(news.map(async ([name]) => (firm.policies[name] = await look(`departments/${encodeURIComponent(name)}/policies`))));
}

const figures = {};

function figure(name, value, beside = "", kind = null) {
  if (!figures[name]) {
    figures[name] = { value: el("dd"), beside: el("dd", { class: "note" }) };
    place("figures").append(el("div", {}, el("dt", {}, name), figures[name].value, figures[name].beside));
  }
  say(figures[name].value, value);
  say(figures[name].beside, beside);
  mark(figures[name].value, "class", kind);
}

function showFigures() {
  const { metrics } = firm;
  const { benchmark } = metrics;
  const word = metrics.earns ? "Profit" : "Cost";
  const held = Object.values(metrics.departments).reduce((sum, row) => sum + total(row.on_hand), 0);
  const owed = Object.values(metrics.departments).reduce((sum, row) => sum + total(row.backlog), 0);
  figure(`${word} so far`, money(metrics.money), metrics.tick ? `${money(metrics.money / metrics.tick)} a period` : "");
  const part = benchmark.money ? share(Math.abs(benchmark.saving / benchmark.money)) : "";
  const even = Math.abs(benchmark.saving) < 0.5;
  figure(
    "Against the benchmark",
    difference(benchmark.saving),
    even
      ? `the same, period ${benchmark.tick}`
      : `${part} ${benchmark.saving > 0 ? "better" : "worse"}, period ${benchmark.tick}`,
    even ? null : benchmark.saving > 0 ? "good" : "bad",
  );
  figure(
    "Fill rate",
    share(metrics.fill_rate),
    `${number(metrics.served)} of ${units(metrics.demand)}`,
    service(metrics.fill_rate),
  );
  figure("Stock on hand", units(held), owed ? `${units(owed)} owed` : "nothing owed");
  const { sum, count: periods } = metrics.tick_seconds;
  figure(
    "Time of a period",
    periods ? `${number((1000 * sum) / periods)} ms` : "none yet",
    `${number(metrics.tick_rate)} periods/s`,
  );
  const troubles = ["fallback", "restart", "refusal"]
    .map((kind) => [metrics[kind === "refusal" ? "refusals" : `${kind}s`], kind === "fallback" ? "stand-in" : kind])
    .filter(([times]) => times)
    .map(([times, word]) => count(times, word));
  figure("Troubles", troubles[0] ?? "none", troubles.slice(1).join(", "));
}

function showState() {
  const { metrics } = firm;
  say(place("name"), metrics.name);
  document.title = `${metrics.name}: ${WORDS[metrics.state]}, period ${metrics.tick}`;
  const late = metrics.lag > 1 ? `, ${number(metrics.lag)} s late` : "";
  const kind = metrics.firm === metrics.name ? "" : ` of ${metrics.firm}`;
  const reason = metrics.reason ? `: ${metrics.reason}` : "";
  say(place("state"), `${WORDS[metrics.state]} at period ${metrics.tick}${kind}${late}${reason}`);
  mark(place("state"), "class", `state ${metrics.state}`);
}

function showCharts(charts) {
  const { course } = firm;
  charts.saving.show([firm.saved]);
  if (course === null) return;
  const over = (values) => values.map((value, i) => [course.tick[i], value]);
  const spent = over(course.money);
  charts.money.show([spent, means(spent, 20)]);
  const of = firm.product === null ? "" : firm.product === ALL ? ", all products" : `, ${firm.product}`;
  const step = course.step > 1 ? `, means of ${course.step} periods` : "";
  charts.stock.show([course.order, course.on_hand, course.position, course.target].map(over), `${firm.chosen}${of}, ${unitWord(2)}${step}`);
}

function showCards(cards) {
  const { metrics } = firm;
  for (const [name, card] of Object.entries(cards)) {
    const row = metrics.departments[name];
    const wished = firm.wished[name];
    const tick = firm.ticks.findLast((each) => each.tick === wished?.tick) ?? firm.ticks.at(-1);
    const same = wished && tick?.tick === wished.tick;
    card.show({
      row,
      metrics,
      tick: tick?.departments[name],
      wished: same ? wished.wished : null,
      policy: firm.policies[name]?.find((each) => each.version === row.version),
      canary: metrics.canaries.find((each) => each.department === name),
      until: firm.until[name],
      product: firm.product ?? firm.network.products[0],
      trace: firm.ticks
        .map(({ departments: { [name]: each } }) => each && [total(each.inventory_position), total(each.on_hand)])
        .filter(Boolean), // it may have opened only now
    });
  }
}

/** Show a stock point and a product; what was of another one is looked up anew. */
function choose(name, product = firm.product) {
  if (product !== firm.product) [firm.ticks, firm.wished] = [[], {}];
  if (product !== firm.product || name !== firm.chosen) firm.course = null;
  [firm.chosen, firm.product] = [name, product];
  place("chosen").value = name;
  place("product").value = product;
}

function chartsOf(network) {
  const word = network.earns ? "Profit" : "Cost";
  const priced = labels.currency ? `, ${labels.currency}` : "";
  const spent = [
    { name: "period", kind: "soft" },
    { name: "mean of 20", kind: "main" },
  ];
  const saved = [{ name: "since this page was opened", kind: "main" }];
  const stock = [
    { name: "ordered", kind: "bars" },
    { name: "on hand", kind: "soft" },
    { name: "position", kind: "main" },
    { name: "target", kind: "target" },
  ];
  return {
    money: new Chart(place("chart-money"), `${word} a period${priced}`, labels.currency ?? "", spent),
    saving: new Chart(place("chart-saving"), `Better than the benchmark so far${priced}`, labels.currency ?? "", saved),
    stock: new Chart(place("chart-stock"), "", unitWord(2), stock, true),
  };
}

/** Let some time pass; a hidden page rests until it is seen again. `pause.end` ends it early. */
function rest(pause) {
  return new Promise((resolve) => {
    pause.end = resolve;
    document.addEventListener("visibilitychange", () => !document.hidden && resolve(), { once: true });
    if (!document.hidden) setTimeout(resolve, EVERY);
  });
}

/** Look again and again; what goes wrong is told once, until it goes well again. */
async function watch(log, draw, pause) {
  let lost = false;
  while (!firm.over) {
    try {
      const events = await gather();
      await gatherPolicies();
      for (const event of events) if (event.kind === "override") firm.until[event.department] = event.details.until;
      if (events.length) firm.next = events.at(-1).number + 1;
      log.add(events);
      if (lost) notice("The office answers again.");
      lost = false;
      draw();
    } catch (problem) {
      if (!lost) notice(`No answer from the office: ${problem.message}. Trying again.`, true);
      lost = true;
    }
    await rest(pause);
  }
  firm.metrics.state = "stopped";
  showState();
  notice(`${firm.metrics.name} has stopped, and its office has closed.`);
}

async function begin() {
  takeTokenFromAddress();
  firm.network = await look("network");
  const { network } = firm;
  [labels.currency, labels.unit] = [network.currency, network.unit];
  const charts = chartsOf(network);
  const pause = { end: () => {} };
  const done = (path) => {
    firm.over ||= path === "stop";
    pause.end();
  };
  const commands = new Commands(() => firm, notice, done);
  const act = (kind, name, more = { product: firm.product }) => commands.open(kind, name, more);
  const cards = Object.fromEntries(network.departments.map((name) => [name, new Card(name, network, act)]));
  const draw = () => {
    if (!firm.metrics) return;
    document.body.classList.remove("loading");
    showState();
    showFigures();
    showCharts(charts);
    drawing.show(firm.metrics, firm.chosen);
    showCards(cards);
  };
  const pick = (name, product = firm.product) => {
    if (name !== network.recommends) choose(name, product);
    pause.end();
  };
  const show = (name, product) => {
    pick(name, network.products.length > 1 ? product : null);
    place("stock-title").scrollIntoView({ block: "start", behavior: "smooth" });
  };
  firm.lines = new Lines(network, show, act);
  const drawing = new Network(place("network"), place("network-note"), network, pick);
  place("cards").append(...Object.values(cards).map((card) => card.node));
  place("chosen").append(...network.points.map((name) => el("option", { value: name }, name)));
  place("chosen").addEventListener("change", (event) => pick(event.target.value));
  const several = network.products.length > 1;
  place("product-choice").hidden = !several;
  place("product").append(
    el("option", { value: ALL }, `all ${network.products.length} products`),
    ...network.products.map((name) => el("option", { value: name }, name)),
  );
  place("product").addEventListener("change", (event) => pick(firm.chosen, event.target.value));
  choose(network.points.at(-1), several ? ALL : null);
  const log = new Log(place("log"), place("log-of"), place("log-none"), place("log-more"), network.departments);
  await watch(log, draw, pause);
}

begin().catch((problem) =>
  notice(`The office cannot be shown: ${problem.message}. Reload the page to try again.`, true),
);
