/*
 * session.js - the token of this tab, and asking presignd who it belongs to.
 *
 * A token comes in the address's fragment, which no server ever sees, and is taken out of it at
 * once: it must not stay in the history or on a shared screen. It lives as long as the tab.
 */

const KEPT = "presignd.token";

function storage(act) {
  try {
    return act(sessionStorage);
  } catch {
    return null; // storage may be switched off; the token then lives as long as the page
  }
}

/* The token of the address, and out of it: null without one, "" if it cannot be a token. */
export function takeLink() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (!fragment.has("token")) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return cleanToken(fragment.get("token"));
}

/* What was pasted, without what copying adds; "" if it is not shaped like a JWT. */
export function cleanToken(text) {
  const token = text.replace(/^\s*bearer\s/i, "").replace(/\s/g, "");
  return /^[\w-]+(\.[\w-]+){2}$/.test(token) ? token : "";
}

export function keptToken() {
  return storage((kept) => kept.getItem(KEPT)) || "";
}

export function keepToken(token) {
  storage((kept) => kept.setItem(KEPT, token));
}

export function forgetToken() {
  storage((kept) => kept.removeItem(KEPT));
}

/**
 * Asks for the quota. { who: "known", quota } | { who: "known" } where nothing is limited or
 * remembered | { who: "nobody", code } | { who: "unclear" }: presignd gave no useful answer.
 * @returns {Promise<{ who: string, quota?: any, code?: string }>}
 */
export async function askWho(base, token) {
  const headers = headersFor(token);
  try {
    const answer = await fetch(new URL("v1/quota", base), { headers, cache: "no-store" });
    if (answer.ok) return { who: "known", quota: await answer.json() };
    if (answer.status === 401) return { who: "nobody", code: await codeOf(answer) };
    // without a ledger there is no quota to ask for, whoever asks
    return answer.status === 404 ? await askDryRun(base, headers) : { who: "unclear" };
  } catch {
    return { who: "unclear" };
  }
}

async function askDryRun(base, headers) {
  const answer = await fetch(new URL("v1/uploads?dry_run=1", base), {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify({ content_type: "", content_length: 1 }),
  });
  return answer.status === 401 ? { who: "nobody", code: await codeOf(answer) } : { who: "known" };
}

/* An upload that will not be needed any more: its open place is free. The page may be going. */
export async function giveBack(base, token, id) {
  const address = new URL(`v1/uploads/${encodeURIComponent(id)}`, base);
  const options = { method: "DELETE", headers: headersFor(token), keepalive: true };
  await fetch(address, options).catch(() => {}); // else presignd finds out when its packet ends
}

function headersFor(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function codeOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem?.code;
}
