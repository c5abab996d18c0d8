/** Commands: dialogs that say what will happen, ask once for the token, and tell what came of it. */

import { command, signedIn, signIn, signOut, upload, who } from "./api.js";
import { el, number, say } from "./format.js";

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

  /** A command on a department, or on the firm. */
  async open(kind, name) {
    if (!signedIn() && !(await this.enter())) return;
    if (kind === "swap") await this.swap(name);
    else if (kind === "override") await this.override(name);
    else await this.confirm(kind, name);
    this.tellWho();
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

  async override(name) {
    const dialog = this.dialog("override");
    const { network } = this.facts();
    const fields = dialog.querySelector("#override-products");
    const most = network.max_order[name];
    say(dialog.querySelector("h2"), `Order by hand for ${name}`);
    fields.replaceChildren(
      ...network.products.map((product) => {
        const shown = network.products.length === 1 ? "Order" : product;
        const input = el("input", {
          name: `order-${product}`,
          type: "number",
          min: 0,
          max: most[product],
          step: 1,
          required: true,
        });
        return el("label", {}, `${shown}, units (0 to ${number(most[product])}) `, input);
      }),
    );
    dialog.querySelector("form").reset();
    await ask(dialog, (given) =>
      this.send(`departments/${encodeURIComponent(name)}/override`, {
        order: Object.fromEntries(network.products.map((product) => [product, Number(given.get(`order-${product}`))])),
        periods: Number(given.get("periods")),
        why: given.get("why"),
      }),
    );
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
