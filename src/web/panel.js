/*
 * panel.js - who is signed in, what is asked of who is not, and what everybody is told. Shows it;
 * page.js decides.
 */
import { filesText, nameText } from "./words.js";

const WORDS = {
  none: ["Sign in to upload", "Paste a token to begin."],
  ended: ["Your sign-in has ended", "Paste a new token to go on."],
  cookie: ["Your sign-in has ended", "Sign in again, then continue."],
  out: ["You are signed out", "Paste a token to sign in again."],
};

/** @returns {any} */
const $ = (id) => document.getElementById(id);

/* A name that does not turn around what stands beside it. */
function named(user) {
  return `\u2068${nameText(user)}\u2069`;
}

/* `wait` = { reason, useToken } while somebody must sign in; a cookie is renewed elsewhere. */
export function showPanel({ wait, user, token }) {
  const byCookie = wait?.reason === "cookie";
  $("sign-in").hidden = !wait;
  $("account").hidden = Boolean(wait) || !(user || token);
  $("who").textContent = user;
  $("who").parentElement.hidden = !user;
  $("sign-out").hidden = !token; // a cookie is not ours to forget
  $("look-again").hidden = !byCookie;
  $("use-token").hidden = !byCookie || wait.useToken;
  $("sign-in-form").hidden = byCookie && !wait.useToken;
  if (wait) $("sign-in-title").textContent = panelTitle(wait);
}

export function panelTitle(wait) {
  return WORDS[wait.reason][0];
}

/* What signing in is good for: it changes with the files. */
export function showWaiting(wait, waiting) {
  const [, text] = WORDS[wait.reason];
  const goOn = `${filesText(waiting)} will go on.`;
  const longer = wait.reason === "cookie" ? `${text} ${goOn}` : `Paste a token, and ${goOn}`;
  $("sign-in-text").textContent = waiting > 0 ? longer : text;
}

export function focusPanel(wait) {
  $(wait.reason === "cookie" && !wait.useToken ? "look-again" : "token").focus();
}

/* A link would sign in another one: what is said about it. */
export function showOffer(offered, { signedIn, user, waiting }) {
  const text = [
    `This link signs you in ${offered ? `as ${named(offered)}` : "with another token"}.`,
    signedIn ? stillText(user) : "You are not signed in.",
  ];
  if (waiting > 0)
    text.push(`If you switch, ${filesText(waiting)} will not go on without your Retry.`);
  $("switch-text").textContent = text.join(" ");
  $("switch").hidden = false;
  $("stay").focus();
  return text.join(" ");
}

export function stillText(user) {
  return user ? `You are signed in as ${named(user)}.` : "You are signed in already.";
}

export function changedText(user, stopped) {
  const whom = user ? ` as ${named(user)}` : " anew";
  return `You are signed in${whom}. Retry what is to be uploaded so (${filesText(stopped)}).`;
}

// ---- what is said (to screen readers) -----------------------------------------------------------

const SAY_AFTER_MS = 700;
let saying = 0;
let sentences = [];

/* Collects what happens at nearly the same time: one announcement, not one per file. */
export function say(sentence) {
  sentences.push(sentence);
  clearTimeout(saying);
  saying = setTimeout(() => {
    $("said").textContent = sentences.slice(-4).join(" ");
    sentences = [];
  }, SAY_AFTER_MS);
}
