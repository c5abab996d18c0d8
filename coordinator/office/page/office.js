/** The office: looks at the firm once a second and shows it. */

import { look, takeTokenFromAddress } from "./api.js";
import { Card } from "./cards.js";
import { Chart, means } from "./charts.js";
import { Commands } from "./commands.js";
import { count, difference, el, mark, money, number, say, share, total, units } from "./format.js";
import { Log } from "./log.js";
import { Network } from "./network.js";

const EVERY = 1000; // ms between two looks
const WINDOW = 150; // periods shown
const AT_ONCE = 400; // periods of one look
const WORDS = { running: "Running", waiting: "Waiting", done: "Done", stopped: "Stopped", failed: "Failed" };

const place = (id) => document.getElementById(id);
const firm = {
  network: null,
  metrics: null,
  ticks: [],
  wished: {},
  aims: [],
  saved: [],
  policies: {},
  until: {},
  next: 0,
  chosen: null,
};

function notice(text, trouble = false) {
  const node = place("notice");
  mark(node, "class", trouble ? "notice trouble" : "notice");
  say(node, text);
}

/** Everything that is new since the last look. */
async function gather() {
  const metrics = await look("metrics");
  const known = firm.ticks.at(-1)?.tick ?? -1;
  const since = Math.max(known + 1, metrics.tick - WINDOW, 0);
  const [ticks, rows, chosen, events] = await Promise.all([
    metrics.tick > since ? look(`ticks?since=${since}&limit=${AT_ONCE}`) : [],
    metrics.tick ? look(`history?since=${metrics.tick - 1}&limit=${firm.network.departments.length}`) : [],
    metrics.tick > since || !firm.aims.length
      ? look(
          `history?department=${encodeURIComponent(firm.chosen)}&since=${firm.aims.length ? since : Math.max(0, metrics.tick - WINDOW)}&limit=${AT_ONCE}`,
        )
      : [],
    look(`events?since=${firm.next}&limit=1000`),
  ]);
  firm.metrics = metrics;
  firm.ticks = [...firm.ticks, ...ticks.filter((tick) => tick.tick > known)].slice(-WINDOW);
  for (const row of rows) firm.wished[row.department] = row;
  const aimed = firm.aims.at(-1)?.tick ?? -1;
  firm.aims = [...firm.aims, ...chosen.filter((row) => row.tick > aimed && row.department === firm.chosen)].slice(
    -WINDOW,
  );
  const { benchmark } = metrics;
  if (benchmark.tick !== firm.saved.at(-1)?.[0])
    firm.saved = [...firm.saved, [benchmark.tick, benchmark.saving]].slice(-WINDOW);
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
  figure("Fill rate", share(metrics.fill_rate), `${number(metrics.served)} of ${units(metrics.demand)}`);
  figure("Stock on hand", units(held), owed ? `${units(owed)} owed` : "nothing owed");
  const { sum, count: periods } = metrics.tick_seconds;
  figure(
    "Time of a period",
    periods ? `${number((1000 * sum) / periods)} ms` : "none yet",
    `${number(metrics.tick_rate)} periods/s`,
  );
  figure(
    "Troubles",
    count(metrics.fallbacks, "stand-in"),
    `${count(metrics.restarts, "restart")}, ${count(metrics.refusals, "refusal")}`,
  );
}

function showState() {
  const { metrics } = firm;
  say(place("name"), metrics.name);
  document.title = `${metrics.name}: ${WORDS[metrics.state]}, period ${metrics.tick}`;
  const late = metrics.lag > 1 ? `, ${number(metrics.lag)} s late` : "";
  const kind = metrics.firm === metrics.name ? "" : ` of firm ${metrics.firm}`;
  const reason = metrics.reason ? `: ${metrics.reason}` : "";
  say(place("state"), `${WORDS[metrics.state]} at period ${metrics.tick}${kind}${late}${reason}`);
  mark(place("state"), "class", `state ${metrics.state}`);
}

function showCharts(charts) {
  const spent = firm.ticks.map((tick) => [tick.tick, tick.money]);
  charts.money.show([spent, means(spent, 20)]);
  charts.saving.show([firm.saved]);
  const name = firm.chosen;
  if (name === firm.network.recommends) return;
  const rows = firm.ticks.map((tick) => [tick.tick, tick.departments[name]]);
  const position = Object.fromEntries(rows.map(([period, row]) => [period, total(row.inventory_position)]));
  const aims = firm.aims
    .filter((row) => row.tick in position)
    .map((row) => [row.tick, position[row.tick] + row.wished.reduce((sum, each) => sum + each, 0)]);
  charts.stock.show(
    [
      rows.map(([period, row]) => [period, total(row.order)]),
      rows.map(([period, row]) => [period, total(row.on_hand)]),
      Object.entries(position).map(([period, value]) => [Number(period), value]),
      aims,
    ],
    `${name}, units`,
  );
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
      trace: firm.ticks.map(({ departments: { [name]: each } }) => [
        total(each.inventory_position),
        total(each.on_hand),
      ]),
    });
  }
}

function choose(name) {
  if (firm.chosen !== name) firm.aims = [];
  firm.chosen = name;
  place("chosen").value = name;
}

function chartsOf(network) {
  const word = network.earns ? "Profit" : "Cost";
  const spent = [
    { name: "period", kind: "soft" },
    { name: "mean of 20", kind: "main" },
  ];
  const saved = [{ name: "since the firm began", kind: "main" }];
  const stock = [
    { name: "ordered", kind: "bars" },
    { name: "on hand", kind: "soft" },
    { name: "position", kind: "main" },
    { name: "target", kind: "target" },
  ];
  return {
    money: new Chart(place("chart-money"), `${word} a period, money`, "money", spent),
    saving: new Chart(place("chart-saving"), "Better than the benchmark so far, money", "money", saved),
    stock: new Chart(place("chart-stock"), "", "units", stock, true),
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
  const charts = chartsOf(network);
  const pause = { end: () => {} };
  const done = (path) => {
    firm.over ||= path === "stop";
    pause.end();
  };
  const commands = new Commands(() => firm, notice, done);
  const act = (kind, name) => commands.open(kind, name);
  const cards = Object.fromEntries(network.departments.map((name) => [name, new Card(name, network, act)]));
  const draw = () => {
    if (!firm.metrics) return;
    showState();
    showFigures();
    showCharts(charts);
    drawing.show(firm.metrics, firm.chosen);
    showCards(cards);
  };
  const pick = (name) => {
    if (name !== network.recommends) choose(name);
    draw();
  };
  const drawing = new Network(place("network"), place("network-note"), network, pick);
  place("cards").append(...Object.values(cards).map((card) => card.node));
  place("chosen").append(...network.points.map((name) => el("option", { value: name }, name)));
  place("chosen").addEventListener("change", (event) => pick(event.target.value));
  choose(network.points.at(-1));
  const log = new Log(place("log"), place("log-of"), place("log-none"), place("log-more"), network.departments);
  await watch(log, draw, pause);
}

begin().catch((problem) =>
  notice(`The office cannot be shown: ${problem.message}. Reload the page to try again.`, true),
);
