/*
 * total.js - all files together: how many they are, how far, and what can be done with all of them.
 */
import { showWaiting } from "./panel.js";
import { isOver } from "./row.js";
import { part, percentText, totalText } from "./words.js";

const TITLE = document.title;

/** @returns {any} */
const $ = (id) => document.getElementById(id);

/* `retryable`: how many could be retried now; `signIn`: what somebody is asked who must sign in. */
export function showAll(rows, { retryable, signIn }) {
  const count = (...states) => rows.filter((row) => states.includes(row.state)).length;
  const [done, failed] = [count("done"), count("failed")];
  const active = count("queued", "working", "held");
  const counted = rows.filter((row) => row.state === "done" || !isOver(row));
  const sum = (value) => counted.reduce((total, row) => total + value(row), 0);
  const size = sum((row) => row.file.size);
  const loaded = sum((row) => Math.min(loadedOf(row), row.file.size));
  const rate = sum((row) => (row.state === "working" ? row.progress.rate : 0));
  const share = size > 0 ? part(loaded, size) : part(done, counted.length);

  $("uploads").hidden = rows.length === 0;
  $("total-title").textContent = `${done} of ${rows.length - count("cancelled")} uploaded`;
  $("total-text").textContent = totalText({ active, failed, size, loaded, rate });
  $("total-bar").value = share;
  $("uploads").dataset.state = active > 0 ? "active" : failed > 0 ? "failed" : "done";
  showButton("retry-all", count("failed") > 1 && retryable > 1);
  showButton("cancel-all", active > 1);
  showButton("clear", done + failed + count("cancelled") > 0);
  if (signIn?.reason) showWaiting(signIn, active);
  document.title = active > 0 ? `${percentText(share)} · ${TITLE}` : TITLE;
}

function loadedOf(row) {
  if (row.state === "done") return row.file.size;
  return row.state === "working" && row.progress.state !== "hashing" ? row.progress.loaded : 0;
}

/* A button that goes away hands the focus on. */
function showButton(id, visible) {
  const button = $(id);
  if (!visible && document.activeElement === button) {
    const next = ["clear", "cancel-all"].map($).find((one) => one !== button && !one.hidden);
    (next ?? $("choose")).focus();
  }
  button.hidden = !visible;
}
