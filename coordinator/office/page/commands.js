/** Commands: dialogs that say what will happen, ask once for the token, and tell what came of it. */

import { command, look, signedIn, signIn, signOut, upload, who } from "./api.js";
import { el, number, say, unitWord } from "./format.js";

const RULES = ["decomposition-aggregation", "tuned-base-stock", "echelon-base-stock", "reorder"];
const RULES_OF_MARKETS = ["forecast-base-stock", "inventory-aware:0.25", "margin-greedy", "none"];

const CONFIRM = {
  rollback: (name, row) => [
    "Roll back",
    `${name} follows what it followed before ${row.policy}, version ${row.version}, from the next period on.`,
  ],
  pause: (name) => ["Pause", `From the next period on the benchmark's rule decides for ${name}, until you resume it.`],
  resume: (name, row) => ["Resume", `${name} decides by itself again, by ${row.policy}, from the next period on.`],
  cancel: (name) => ["Withdraw", `The canary of ${name} ends, and nothing comes of it.`],
  stop: (name) => [
    "Stop the firm",
    `${name} stops after the period at hand, and this office closes. \`firmwide live --name ${name}\` goes on with it.`,
  ],
};

/** Open a dialog; what its form does stands in `act`, whose error is shown in it. Resolves when it is closed. */
function ask(dialog, act) {
  const form = dialog.querySelector("form");
  const error = dialog.querySelector(".error");
  const submit = dialog.querySelector("button[type=submit]");
  const label = submit.textContent;
  say(error, "");
  return new Promise((resolve) => {
    const closed = new AbortController();
    const busy = (on) => {
      submit.disabled = on;
      say(submit, on ? `${label}…` : label);
      form.setAttribute("aria-busy", on);
    };
    dialog.querySelector("button[value=cancel]").addEventListener("click", () => dialog.close("cancel"), closed);
    dialog.addEventListener(
      "close",
      () => {
        closed.abort();
        busy(false);
        resolve(dialog.returnValue === "done");
      },
      closed,
    );
    form.addEventListener(
      "submit",
      async (event) => {
        event.preventDefault();
        busy(true);
        say(error, "");
        try {
          await act(new FormData(form), form);
          dialog.close("done");
        } catch (problem) {
          say(error, problem.message);
        } finally {
          busy(false);
        }
      },
      closed,
    );
    dialog.returnValue = "";
    dialog.showModal();
  });
}

export class Commands {
  /** facts: () => { network, metrics, policies }; notice: tells everybody a line; changed: something was done. */
  constructor(facts, notice, changed) {
    [this.facts, this.notice, this.changed] = [facts, notice, changed];
    this.dialog = (name) => document.getElementById(`${name}-dialog`);
    this.sign = document.getElementById("sign");
    this.sign.addEventListener("click", () => (signedIn() ? this.leave() : this.enter()));
    document.getElementById("stop").addEventListener("click", () => this.open("stop", null));
    this.dialog("swap")
      .querySelector("[name=upload]")
      .addEventListener("change", (event) => this.take(event.target));
    this.tellWho();
  }

  tellWho() {
    say(this.sign, signedIn() ? `Sign out ${who()}` : "Sign in");
    document.getElementById("stop").hidden = !signedIn();
  }

  leave() {
    signOut();
    this.tellWho();
    this.notice("Signed out.");
  }

  async enter() {
    const dialog = this.dialog("sign");
    dialog.querySelector("form").reset();
    if (who() !== "office") dialog.querySelector("[name=who]").value = who();
    await ask(dialog, (given) => signIn(given.get("token").trim(), given.get("who").trim()));
    this.tellWho();
    return signedIn();
  }

  /** A command on a department, or on the firm; product: of an order by hand; approval: { period, made, lines }. */
  async open(kind, name, { product = null, approval = null } = {}) {
    if (!signedIn() && !(await this.enter())) return false;
    let done = false;
    if (kind === "swap") await this.swap(name);
    else if (kind === "override") await this.override(name, product);
    else if (kind === "approve") done = await this.approve(approval);
    else await this.confirm(kind, name);
    this.tellWho();
    return done;
  }

  async approve({ period, made, lines }) {
    const dialog = this.dialog("confirm");
    dialog.querySelector("form").reset();
    say(dialog.querySelector("h2"), `Approve the orders of period ${number(period)}`);
    const told = lines.slice(0, 8).map((line) => `${line.stock_point} ${line.product}: ${number(line.order)}`);
    const more = lines.length > 8 ? ` and ${lines.length - 8} more` : "";
    say(
      dialog.querySelector("p"),
      lines.length ? `They leave with your changes: ${told.join(", ")}${more}.` : "They leave as they are proposed.",
    );
    say(dialog.querySelector("button[type=submit]"), "Approve");
    return ask(dialog, (given) => this.send("approve", { period, made, lines, why: given.get("why") }));
  }

  async send(path, body) {
    const answer = await command(path, body);
    this.notice(
      answer.state === "pending"
        ? "It is under way; the log tells what comes of it."
        : `${answer.message[0].toUpperCase()}${answer.message.slice(1)}.`,
    );
    this.changed(path);
  }

  async swap(name) {
    const dialog = this.dialog("swap");
    const { network, policies } = this.facts();
    dialog.querySelector("form").reset();
    say(dialog.querySelector("h2"), `Swap the policy of ${name}`);
    const before = (policies[name] || []).map((each) => each.asked).filter(Boolean);
    const known = [...new Set([...before.reverse(), ...(network.recommends ? RULES_OF_MARKETS : RULES)])];
    dialog.querySelector("datalist").replaceChildren(...known.map((value) => el("option", { value })));
    await ask(dialog, (given) =>
      this.send(`departments/${encodeURIComponent(name)}/swap`, {
        policy: given.get("policy").trim(),
        canary: Number(given.get("canary")),
        tolerance: Number(given.get("tolerance")) / 100,
        undecided: given.get("undecided"),
        why: given.get("why"),
      }),
    );
  }

  /** Keep a chosen zip at once, so that a bad one is refused before anything else. */
  async take(input) {
    const dialog = this.dialog("swap");
    const error = dialog.querySelector(".error");
    if (!input.files.length) return;
    say(error, "");
    try {
      dialog.querySelector("[name=policy]").value = await upload(input.files[0]);
    } catch (problem) {
      input.value = "";
      say(error, problem.message);
    }
  }

  async override(name, product) {
    const dialog = this.dialog("override");
    const { network } = this.facts();
    const choice = dialog.querySelector("[name=product]");
    dialog.querySelector("form").reset();
    say(dialog.querySelector("h2"), `Order by hand for ${name}`);
    dialog.querySelector("#override-choice").hidden = network.products.length === 1;
    choice.replaceChildren(...network.products.map((each) => el("option", { value: each }, each)));
    choice.value = network.products.includes(product) ? product : network.products[0];
    choice.onchange = () => this.prefill(dialog, name, choice.value);
    await this.prefill(dialog, name, choice.value);
    await ask(dialog, (given) =>
      this.send(`departments/${encodeURIComponent(name)}/override`, {
        order: { [choice.value]: Number(given.get(`order-${choice.value}`)) },
        periods: Number(given.get("periods")),
        why: given.get("why"),
      }),
    );
  }

  /** One product's field, with what is proposed or was ordered last, and why. */
  async prefill(dialog, name, product) {
    const most = this.facts().network.max_order[name][product];
    const input = el("input", { name: `order-${product}`, type: "number", min: 0, max: most, step: 1, required: true });
    const label = el("label", {}, `Order, ${unitWord(2)} (0 to ${number(most)}) `, input);
    dialog.querySelector("#override-products").replaceChildren(label);
    const asked = new URLSearchParams({ stock_point: name, search: product, limit: 500 });
    const line = (await look(`lines?${asked}`)).lines.find((each) => each.product === product);
    input.value = line.order;
    say(dialog.querySelector("#override-reason"), line.reason);
  }

  async confirm(kind, name) {
    const dialog = this.dialog("confirm");
    const { metrics } = this.facts();
    const [title, text] = CONFIRM[kind](name || metrics.name, metrics.departments[name]);
    dialog.querySelector("form").reset();
    say(dialog.querySelector("h2"), name ? `${title} ${name}` : title);
    say(dialog.querySelector("p"), text);
    say(dialog.querySelector("button[type=submit]"), title);
    const canary = metrics.canaries.find((each) => each.department === name);
    const path = kind === "cancel" && canary ? `commands/${canary.command}/cancel` : `departments/${encodeURIComponent(name)}/${kind}`;
    await ask(dialog, (given) => this.send(name ? path : "stop", { why: given.get("why") }));
  }
}
