/** Numbers with their units, and nodes of the page. Text only ever enters as text. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat("en", { maximumFractionDigits: 0, signDisplay: "exceptZero" });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium", hour12: false });

const minus = (text) => text.replace("-", "−");

/** A number; one decimal where it is small and not whole. */
export const number = (value) =>
  minus((Math.abs(value) < 100 ? tenths : whole).format(Math.abs(value) < 0.05 ? 0 : value));
/** What stands behind amounts: as the firm file says, and nothing for money where it does not. */
export const labels = { currency: null, unit: null };
const priced = (text) => (labels.currency ? `${text} ${labels.currency}` : text);
export const money = (value) => priced(number(value));
export const difference = (value) => priced(minus(signed.format(value)));
export const unitWord = (value) => labels.unit ?? (Math.abs(value) === 1 ? "unit" : "units");
export const units = (value) => `${number(value)} ${unitWord(value)}`;
export const share = (value) => (value === null || value === undefined ? "none yet" : percent.format(value));
export const count = (value, one, many = `${one}s`) => `${whole.format(value)} ${value === 1 ? one : many}`;
export const timeOf = (seconds) => clock.format(new Date(1000 * seconds));
export const dayOf = (seconds) => day.format(new Date(1000 * seconds));
export const total = (byProduct) => Object.values(byProduct).reduce((sum, value) => sum + value, 0);

/** Units by product: one number where there is one product. */
export function products(byProduct) {
  const entries = Object.entries(byProduct);
  if (entries.length === 1) return units(entries[0][1]);
  if (entries.length > 4) return `${units(total(byProduct))} of ${entries.length} products`;
  return `${entries.map(([product, value]) => `${product} ${number(value)}`).join(", ")} ${unitWord(2)}`;
}

/** How a share of demand that was served at once is coloured. */
export const service = (share) => (share === null || share === undefined || share >= 0.95 ? null : share < 0.9 ? "bad" : "warn");

/** An HTML element. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Change a text only where it differs, so that nothing flickers and no reader is disturbed. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Change an attribute only where it differs; null takes it away. */
export function mark(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
