/*
 * page.js - the upload page: what there is (`state`), what happens to it, and when.
 *
 * presignd.js moves the bytes and words.js finds the words; this file keeps the queue. A file is
 *
 *   queued -> working -> done | failed | cancelled;  working -> held -> queued when asked to slow down
 *
 * Nothing from outside (names, problems, answers of the store) enters the page but as text.
 */
import { upload } from "./presignd.js";
import { listenToFiles } from "./files.js";
import {
  changedText,
  focusPanel,
  panelTitle,
  say,
  showOffer,
  showPanel,
  stillText,
} from "./panel.js";
import { showLimits } from "./quota.js";
import { createView, fillPacket, isOver, showRow } from "./row.js";
import {
  askWho,
  cleanToken,
  forgetToken,
  giveBack,
  keepToken,
  keptToken,
  takeLink,
} from "./session.js";
import { showAll } from "./total.js";
import { filesText, hostOf, refusalWords } from "./words.js";

const BASE = new URL(".", import.meta.url);
const AT_ONCE = 4;
const PATIENCE_S = 120; // a longer wait is the person's to decide on
const NO_ANSWER = "The upload server does not answer at the moment.";
const BEGIN_ANEW = new Set(["idempotency_conflict", "upload_state", "not_found"]);
const NO_PROGRESS = { state: "asking", loaded: 0, total: 0, rate: 0, remaining: null, attempt: 1 };

/** @returns {any} */
const $ = (id) => document.getElementById(id);

const state = {
  rows: [],
  token: "", // "" when signed in by cookie
  signIn: newWait(), // { reason, promise, resolve } while it is not known who is there
  cookie: false, // the last one was signed in by a cookie
  user: "", // the files are this one's, also when the sign-in has ended
  offer: null, // { token, answer } of a link that would sign in another one
  profile: new URLSearchParams(location.search).get("profile") ?? "",
  verify: false,
  limits: [],
  heldUntil: 0, // presignd asked us to wait
  slow: false, // and since then packets are asked for one after the other
};

// ---- the queue ----------------------------------------------------------------------------------

function addFiles(files, notes = []) {
  showNotice(notes.join(" "));
  const list = Array.from(files);
  if (list.length === 0) return;
  const rows = list.map((file) => {
    const row = { file, state: "queued", progress: NO_PROGRESS, profile: "", key: "", granted: "" };
    row.view = createView(row, { stop: stopOrRemove, again: retry });
    return row;
  });
  state.rows.push(...rows);
  $("rows").append(...rows.map((row) => row.view.element));
  say(`${filesText(list.length)} added.`);
  rows.forEach(show);
  pump();
}

function pump() {
  showTotal();
  if (state.signIn || Date.now() < state.heldUntil) return;
  for (const row of state.rows.filter((one) => one.state === "queued")) {
    const working = state.rows.filter((one) => one.state === "working");
    if (working.length >= AT_ONCE) return;
    if (state.slow && working.some((one) => !one.packet)) return;
    start(row);
  }
  if (!state.rows.some((row) => row.state === "working")) state.slow = false;
}

async function start(row) {
  const controller = new AbortController();
  const isMine = () => row.controller === controller; // no longer once cancelled or begun anew
  if (row.profile !== state.profile || row.verified !== state.verify) release(row);
  row.key ||= crypto.getRandomValues(new Uint32Array(4)).join("-");
  Object.assign(row, { state: "working", controller, packet: null, progress: NO_PROGRESS });
  Object.assign(row, { profile: state.profile, verified: state.verify, began: performance.now() });
  show(row);
  try {
    await upload(row.file, {
      endpoint: BASE,
      signal: controller.signal,
      idempotencyKey: row.key,
      // asked for again with the same key, it must be the same wish
      checksum: state.verify || row.hashed ? "sha256" : "auto",
      ...(state.profile && { profile: state.profile }),
      ...(state.token && { getToken: tokenFor(row) }),
      onProgress: (progress) => isMine() && move(row, progress),
      onPacket: (packet) => isMine() && hold(row, packet),
    });
    if (isMine()) finish(row);
  } catch (error) {
    if (isMine()) fail(row, error);
  } finally {
    refreshLimits();
    pump();
  }
}

function move(row, progress) {
  row.progress = progress;
  row.hashed ||= progress.state === "hashing";
  show(row);
  showTotal();
}

function hold(row, packet) {
  row.packet = packet;
  row.granted = String(packet.id);
  row.endsAt = Date.now() + packet.expires_in * 1000; // whatever this clock is set to
  fillPacket(row);
  pump();
}

function finish(row) {
  row.took = (performance.now() - row.began) / 1000;
  row.progress = { ...row.progress, loaded: row.file.size, total: row.file.size, rate: 0 };
  forgetGrant(row);
  settle(row, "done");
  sayEnd(`${row.view.name} uploaded.`);
}

function fail(row, error) {
  if (error?.code === "missing_token" || error?.code === "invalid_token") {
    settle(row, "queued");
    askToSignIn(state.token ? "ended" : state.cookie ? "cookie" : "none");
    return;
  }
  if (error?.problem?.state === "completed" && row.granted) {
    finish(row); // an earlier attempt got through: only the store's answer was lost
    return;
  }
  row.error = error;
  const wait_s = error?.retryAfter ?? (error?.code === "rate_limited" ? 5 : 0);
  // a limit that is used up waits for hours or days: its words tell, no button counts them
  if (wait_s > 0 && error.code !== "quota_exceeded") row.retryAt = Date.now() + wait_s * 1000;
  if (error?.code === "rate_limited" && wait_s <= PATIENCE_S) {
    slowDown(row);
    return;
  }
  settle(row, "failed");
  if (!row.refusal.again || BEGIN_ANEW.has(error.code)) release(row);
  tick();
  sayEnd(`${row.view.name} was not uploaded. ${row.refusal.title}. ${row.refusal.text}`);
}

/* All wait as long as this one has to, and go on by themselves. */
function slowDown(row) {
  state.slow = true;
  state.heldUntil = Math.max(state.heldUntil, row.retryAt);
  settle(row, "held");
  tick();
  say(`${row.refusal.title}. ${row.refusal.text}`);
}

/*
 * What was reserved for a file that failed is kept for its retry, which asks with the same key and is
 * not charged twice. When it is not needed any more presignd hears of it, so that the place is free.
 */
function release(row) {
  if (row.granted && !state.signIn)
    giveBack(BASE, state.token, row.granted).then(() => refreshLimits());
  forgetGrant(row);
}

function forgetGrant(row) {
  Object.assign(row, { key: "", granted: "", hashed: false });
}

function settle(row, next) {
  row.controller = null;
  row.state = next;
  show(row);
  showTotal();
}

function cancel(row) {
  const { controller } = row;
  // with a packet of its own upload() gives it back, unless the store has the file by now
  if (controller && row.packet) forgetGrant(row);
  else release(row);
  clearRefusal(row);
  settle(row, "cancelled");
  controller?.abort();
}

function retry(row) {
  clearRefusal(row);
  row.progress = NO_PROGRESS;
  settle(row, "queued");
  row.view.stop.focus();
  pump();
}

function stopOrRemove(row) {
  if (isOver(row)) {
    remove([row]);
    return;
  }
  cancel(row);
  pump();
}

function remove(rows) {
  const gone = new Set(rows);
  const first = state.rows.findIndex((row) => gone.has(row));
  const hadFocus = rows.some((row) => row.view.element.contains(document.activeElement));
  state.rows = state.rows.filter((row) => !gone.has(row));
  rows.forEach(release);
  for (const row of rows) row.view.element.remove();
  showTotal();
  const next = state.rows[Math.min(first, state.rows.length - 1)];
  if (hadFocus) (next?.view.stop ?? $("choose")).focus();
}

function clearRefusal(row) {
  Object.assign(row, { error: null, refusal: null, retryAt: 0 });
}

function canRetry(row) {
  if (row.state === "held" || row.state === "cancelled") return true;
  // other rules may take what these refused
  return row.state === "failed" && (row.refusal.again || row.profile !== state.profile);
}

// ---- what counts down ---------------------------------------------------------------------------

let ticking = 0;

function tick() {
  clearTimeout(ticking);
  const now = Date.now();
  for (const row of state.rows) {
    if (!row.retryAt) continue;
    if (row.retryAt <= now) {
      row.retryAt = 0;
      if (row.state === "held") {
        clearRefusal(row);
        row.state = "queued";
      }
    }
    show(row);
  }
  pump();
  // those that wait behind a refused one go on too when that is taken away
  if (now < state.heldUntil || state.rows.some((row) => row.retryAt))
    ticking = setTimeout(tick, 500);
}

// ---- who is there -------------------------------------------------------------------------------

/*
 * A token for each request of this row; after a refusal one that somebody pasted since. Nobody is
 * asked for one only to report what the store has already: presignd finds that by itself.
 */
function tokenFor(row) {
  let used = null;
  return async ({ refresh }) => {
    if (row.progress.state === "completing") return state.token;
    if (refresh && used === state.token) askToSignIn("ended");
    if (state.signIn) {
      row.asksToken = true;
      show(row);
      await state.signIn.promise;
      row.asksToken = false;
    }
    used = state.token;
    return used;
  };
}

function newWait() {
  const wait = { reason: "", useToken: false, looking: false, asked: false };
  wait.promise = new Promise((resolve) => (wait.resolve = resolve));
  return wait;
}

function askToSignIn(reason) {
  if (state.signIn?.reason) return;
  state.signIn ??= newWait();
  state.signIn.reason = reason;
  state.token = "";
  forgetToken();
  showSignIn();
  if (reason !== "none") say(`${panelTitle(state.signIn)}.`);
  if (document.activeElement === document.body || reason === "out") focusPanel(state.signIn);
  state.rows.forEach(show);
  showTotal();
}

function showSignIn() {
  showPanel({ wait: state.signIn, user: state.user, token: state.token });
  showDrop();
  showTotal();
}

async function signIn(event) {
  event.preventDefault();
  const token = cleanToken($("token").value);
  if (!token) {
    refuseToken(
      $("token").value.trim() ? "That does not look like a token." : "Paste a token first.",
    );
    return;
  }
  const answer = await askWho(BASE, token);
  if (answer.who === "nobody") {
    refuseToken("This token is not accepted here. It may have ended.");
    return;
  }
  if (answer.who === "unclear") {
    refuseToken(`${NO_ANSWER} Try again.`);
    return;
  }
  welcome(token, answer);
  $("choose").focus();
}

function refuseToken(sentence) {
  $("token-trouble").textContent = sentence;
  $("token").setAttribute("aria-invalid", String(Boolean(sentence)));
  if (sentence) $("token").focus();
}

function welcome(token, { who, quota = null }) {
  const wait = state.signIn;
  const user = userOf(quota);
  if (state.user && user && user !== state.user) stopOthers(user);
  if (token) keepToken(token);
  else forgetToken();
  if (who === "known") state.cookie = !token;
  Object.assign(state, { token, user, signIn: null });
  $("token").value = "";
  refuseToken("");
  $("look-trouble").textContent = "";
  takeLimits(quota);
  showSignIn();
  wait?.resolve();
  state.rows.forEach(show);
  pump();
}

function userOf(quota) {
  return typeof quota?.user === "string" ? quota.user : "";
}

/* Nothing that one user added goes to the account of another without being asked for. */
function stopOthers(user) {
  const others = state.rows.filter((row) => row.state !== "done" && row.state !== "cancelled");
  others.forEach(cancel);
  if (others.length > 0) showNotice(changedText(user, others.length));
}

/* The cookie is renewed elsewhere: `asked`, somebody says that it is. */
async function lookAgain(asked) {
  const wait = state.signIn;
  if (wait?.reason !== "cookie") return;
  wait.asked ||= asked;
  if (wait.looking) return;
  wait.looking = true;
  const answer = await askWho(BASE, "");
  wait.looking = false;
  if (state.signIn !== wait) return;
  if (answer.who === "known") {
    welcome("", answer);
    if (wait.asked) $("choose").focus();
    return;
  }
  const sentence = answer.who === "nobody" ? "You are not signed in yet." : NO_ANSWER;
  if (wait.asked) $("look-trouble").textContent = sentence;
  wait.asked = false;
}

function useToken() {
  state.signIn.useToken = true;
  showSignIn();
  $("token").focus();
}

/*
 * Whoever can make somebody follow a link could have their files: it signs in where nobody is, and
 * asks where somebody is, or was and left files.
 */
async function followLink(token) {
  if (token && token === state.token) return;
  const answer = token ? await askWho(BASE, token) : { who: "nobody" };
  if (answer.who !== "known") {
    const kept = state.signIn ? "" : ` ${stillText(state.user)}`;
    const unclear = answer.who === "unclear";
    if (unclear) showNotice(`${NO_ANSWER} Open the link again later.`);
    else showNotice(`This sign-in link has ended, or is not accepted here.${kept}`);
    return;
  }
  const user = userOf(answer.quota);
  const same = user !== "" && user === state.user;
  const waiting = state.rows.filter((row) => !isOver(row)).length;
  if (same && !state.signIn && !state.token) return; // the cookie does as well
  if (same || (state.signIn && waiting === 0)) {
    welcome(token, answer);
    return;
  }
  state.offer = { token, answer };
  say(showOffer(user, { signedIn: !state.signIn, user: state.user, waiting }));
}

function decide(change) {
  const { offer } = state;
  state.offer = null;
  $("switch").hidden = true;
  $("choose").focus();
  if (!change) return;
  stopOthers(userOf(offer.answer.quota));
  welcome(offer.token, offer.answer);
}

function signOut() {
  const active = state.rows.filter((row) => !isOver(row));
  if (active.length > 0 && !confirm(`Stop ${filesText(active.length)} and sign out?`)) return;
  active.forEach(cancel);
  remove([...state.rows]);
  takeLimits(null);
  if (state.offer) decide(false);
  state.user = "";
  askToSignIn("out");
}

// ---- limits -------------------------------------------------------------------------------------

const SOON_MS = 3600e3;
let refreshing = 0;

function takeLimits(quota) {
  const limits = Array.from(quota?.limits ?? []).filter((limit) => typeof limit?.kind === "string");
  const now = Date.now();
  state.limits = limits;
  showLimits($("quota"), limits, now);
  const resets = limits.map((limit) => Date.parse(limit.resets_at) - now);
  const next = Math.min(...resets.filter((left) => left > 0 && left < SOON_MS));
  if (Number.isFinite(next)) refreshLimits(Math.max(next, 2000));
}

function refreshLimits(after_ms = 300) {
  clearTimeout(refreshing);
  refreshing = setTimeout(async () => {
    if (state.signIn) return;
    const { token, user } = state;
    const answer = await askWho(BASE, token);
    if (answer.who !== "known" || !answer.quota || state.signIn || token !== state.token) return;
    if (userOf(answer.quota) === user) takeLimits(answer.quota);
    else welcome(token, answer); // the cookie is another one's by now
  }, after_ms);
}

// ---- what is shown ------------------------------------------------------------------------------

function show(row) {
  const now = Date.now();
  if (row.error)
    row.refusal = refusalWords(row.error, {
      file: row.file,
      limits: state.limits,
      now,
      origin: location.origin,
      host: hostOf(row.packet?.url),
      kept: () => state.rows.some((one) => one.state === "failed" && one.granted),
      goesOn: row.state === "held",
      retryAfter: row.retryAt ? Math.max((row.retryAt - now) / 1000, 0) : undefined,
    });
  showRow(row, { now, canRetry: canRetry(row), signedOut: Boolean(state.signIn?.reason) });
}

function showTotal() {
  const retryable = state.rows.filter(mayRetryNow).length;
  showAll(state.rows, { retryable, signIn: state.signIn });
  showDrop();
}

function mayRetryNow(row) {
  return row.state === "failed" && canRetry(row) && !row.retryAt;
}

function showDrop() {
  const filled = state.rows.length > 0;
  $("drop").dataset.filled = String(filled);
  $("drop").hidden = $("options").hidden = Boolean(state.signIn?.reason) && !filled;
}

function showNotice(sentence) {
  $("notice").textContent = sentence;
  $("notice").hidden = !sentence;
}

function sayEnd(sentence) {
  say(sentence);
  if (state.rows.every(isOver) && state.rows.length > 1) say(`${$("total-title").textContent}.`);
}

// ---- the person's doings ------------------------------------------------------------------------

function listen() {
  $("choose").addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", () => {
    addFiles($("files").files);
    $("files").value = ""; // the same file may be chosen again
  });
  $("sign-in-form").addEventListener("submit", signIn);
  $("sign-out").addEventListener("click", signOut);
  $("look-again").addEventListener("click", () => lookAgain(true));
  $("use-token").addEventListener("click", useToken);
  $("stay").addEventListener("click", () => decide(false));
  $("switch-over").addEventListener("click", () => decide(true));
  addEventListener("focus", () => lookAgain(false));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") lookAgain(false);
  });
  $("retry-all").addEventListener("click", () => state.rows.filter(mayRetryNow).forEach(retry));
  $("cancel-all").addEventListener("click", () => {
    state.rows.filter((row) => !isOver(row)).forEach(cancel);
    pump();
  });
  $("clear").addEventListener("click", () => remove(state.rows.filter(isOver)));
  $("profile").addEventListener("change", chooseProfile);
  $("verify").addEventListener("change", () => (state.verify = $("verify").checked));
  addEventListener("online", () => {
    const away = (row) => row.error?.code === "network_error" && mayRetryNow(row);
    state.rows.filter(away).forEach(retry);
  });
  addEventListener("beforeunload", (event) => {
    if (state.rows.some((row) => !isOver(row))) event.preventDefault();
  });
  addEventListener("hashchange", () => {
    const link = takeLink();
    if (link !== null) begun = begun.then(() => followLink(link));
  });
  listenToFiles(addFiles);
}

function chooseProfile() {
  state.profile = $("profile").value.trim();
  const address = new URL(location.href);
  if (state.profile) address.searchParams.set("profile", state.profile);
  else address.searchParams.delete("profile");
  history.replaceState(null, "", address);
  state.rows.forEach(show);
}

// ---- the beginning ------------------------------------------------------------------------------

async function begin(link) {
  const kept = keptToken();
  const now = await askWho(BASE, kept);
  if (now.who === "unclear") showNotice(NO_ANSWER);
  if (now.who !== "nobody") welcome(kept, now);
  else state.cookie = !kept && now.code === "invalid_token";
  if (link !== null) await followLink(link);
  if (state.signIn) askToSignIn(kept ? "ended" : state.cookie ? "cookie" : "none");
  delete $("main").dataset.starting;
}

listen();
$("profile").value = state.profile;
$("options").open = Boolean(state.profile);
let begun = begin(takeLink());
