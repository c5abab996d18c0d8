/** The office's interface. The token lives in this tab alone. */

const TOKEN = "firmwide-token";
const WHO = "firmwide-who";

/** A link that was printed with the token carries it once; it leaves the address at once. */
export function takeTokenFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!found) return;
  sessionStorage.setItem(TOKEN, found);
  history.replaceState(null, "", location.pathname);
}

export const signedIn = () => sessionStorage.getItem(TOKEN) !== null;
export const who = () => sessionStorage.getItem(WHO) || "office";

export function signOut() {
  sessionStorage.removeItem(TOKEN);
}

/** Keep a token if it is right; otherwise an error says so. */
export async function signIn(token, name) {
  await answered(await fetch("api/token", { method: "POST", headers: { Authorization: `Bearer ${token}` } }));
  sessionStorage.setItem(TOKEN, token);
  sessionStorage.setItem(WHO, name);
}

/** Look. */
export async function look(path) {
  return answered(await fetch(`api/${path}`, { cache: "no-store" }));
}

/** Command; the same id asks once more for the same command. */
export async function command(path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN)}`, "Content-Type": "application/json" };
  return answered(
    await fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify({ who: who(), ...body }) }),
  );
}

/** Keep a run folder that is a zip; returns what a swap takes. */
export async function upload(file) {
  const plain = file.name
    .toLowerCase()
    .replace(/\.zip$/, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  const name = plain.slice(0, 40) || "upload";
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(TOKEN)}`, "Content-Type": "application/zip" };
  const answer = await answered(await fetch(`api/policies?name=${name}`, { method: "POST", headers, body: file }));
  return answer.policy;
}

async function answered(response) {
  const body = await response.json().catch(() => ({ error: `the office answers ${response.status}` }));
  if (response.ok) return body;
  if (response.status === 401) signOut();
  throw Object.assign(new Error(body.error || `the office answers ${response.status}`), { status: response.status });
}
