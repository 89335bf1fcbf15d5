/*
 * row.js - how one file looks. Shows what page.js knows of it; decides nothing.
 *
 * A row is { file, state, progress, refusal, retryAt, packet, endsAt, took, verified, view }. Its buttons
 * stay the same elements whatever they mean at the moment, so that the focus stays too.
 */
import { kindOf, thumbnail } from "./thumbnail.js";
import {
  durationText,
  nameParts,
  nameText,
  part,
  percentText,
  progressText,
  sizeText,
  whenText,
} from "./words.js";

const ICONS = {
  queued: "clock",
  working: "upload",
  held: "clock",
  failed: "trouble",
  cancelled: "stopped",
  done: "done",
};
const END_SHOWN_MS = 20_000;
const OVER = new Set(["done", "failed", "cancelled"]);

export function isOver(row) {
  return OVER.has(row.state);
}

/* Makes the row's view; `on` = { stop(row), again(row) }. */
export function createView(row, on) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById("row"));
  const element = /** @type {HTMLElement} */ (template.content.firstElementChild.cloneNode(true));
  const find = (selector) => element.querySelector(selector);
  const name = nameText(row.file.name);
  const view = {
    element,
    name,
    icon: find(".meta use"),
    bar: find(".bar"),
    percent: find(".percent"),
    title: find(".meta-title"),
    text: find(".meta-text"),
    disclose: find(".disclose"),
    packet: find(".packet"),
    again: find(".again"),
    stop: find(".stop"),
    ending: 0,
  };
  const [head, tail] = nameParts(name);
  find(".name-head").textContent = head;
  find(".name-tail").textContent = tail;
  find(".name").title = name;
  find(".thumb use").setAttribute("href", `#icon-${kindOf(row.file)}`);
  find(".thumb").dataset.kind = kindOf(row.file);
  view.bar.setAttribute("aria-label", `Progress of ${name}`);
  view.stop.addEventListener("click", () => on.stop(row));
  view.again.addEventListener("click", () => {
    if (view.again.getAttribute("aria-disabled") !== "true") on.again(row);
  });
  view.disclose.addEventListener("click", () => togglePacket(row));
  thumbnail(row.file).then((canvas) => canvas && find(".thumb").replaceChildren(canvas));
  return view;
}

/* Shows the row as it is now. `canRetry`: its button has a use. */
export function showRow(row, { now, canRetry, signedOut }) {
  const { view } = row;
  const share = part(row.progress.loaded, row.progress.total);
  const busy = row.state === "working" && row.progress.state === "uploading";
  view.element.dataset.state = row.state;
  const waits = row.state === "working" && row.progress.state === "waiting";
  view.element.dataset.step = row.state === "working" ? row.progress.state : "";
  view.icon.setAttribute("href", `#icon-${waits ? ICONS.held : ICONS[row.state]}`);
  view.bar.hidden = row.state !== "working";
  view.bar.value = share;
  view.percent.textContent = busy ? percentText(share) : "";

  const [title, text] = describe(row, signedOut);
  view.title.textContent = title;
  view.text.textContent = text;
  showButtons(row, now, canRetry);
  view.disclose.hidden = !row.packet;
  view.disclose.setAttribute("aria-label", `Packet of ${view.name}`);
}

function describe(row, signedOut) {
  const size = sizeText(row.file.size);
  if (row.refusal) return [`${row.refusal.title}.`, row.refusal.text];
  if (row.state === "done") {
    const verb = row.verified ? "Uploaded and verified" : "Uploaded";
    return [verb, `· ${size}${row.took >= 1 ? ` · ${durationText(row.took)}` : ""}`];
  }
  if (row.state === "cancelled") return ["", `Cancelled · ${size}`];
  if (signedOut && (row.state === "queued" || row.asksToken))
    return ["", `Waiting for sign-in · ${size}`];
  if (row.state === "queued") return ["", `Waiting · ${size}`];
  return ["", progressText(row.progress)];
}

function showButtons(row, now, canRetry) {
  const { view } = row;
  const wait = Math.ceil((row.retryAt - now) / 1000);
  const waits = row.retryAt > 0 && wait > 0;
  const verb = isOver(row) ? "Remove" : "Cancel";
  view.stop.setAttribute("aria-label", `${verb} ${view.name}`);
  view.stop.title = verb;
  view.again.textContent = waits ? `Retry in ${durationText(wait)}` : "Retry";
  view.again.setAttribute("aria-label", `${view.again.textContent} ${view.name}`);
  view.again.setAttribute("aria-disabled", String(waits));
  if (!canRetry && document.activeElement === view.again) view.stop.focus();
  view.again.hidden = !canRetry;
}

// ---- the packet, for the curious ----------------------------------------------------------------

function togglePacket(row) {
  const { disclose, packet } = row.view;
  const open = disclose.getAttribute("aria-expanded") !== "true";
  disclose.setAttribute("aria-expanded", String(open));
  packet.hidden = !open;
  if (open) fillPacket(row);
}

/* Also called when another packet came while this one is open. */
export function fillPacket(row) {
  const { packet: list } = row.view;
  if (list.hidden || !row.packet) return;
  const { method, url, fields, headers } = row.packet;
  const lines = [[method, url], ["Ends", ""], ...Object.entries(fields ?? headers ?? {})];
  list.replaceChildren(...lines.map(([name, value]) => packetLine(name, value)));
  showEnd(row);
}

/* While the packet is open its end comes nearer; what may just be copied out of it stays. */
function showEnd(row) {
  const { view, packet, endsAt } = row;
  clearTimeout(view.ending);
  if (view.packet.hidden || !view.element.isConnected) return;
  const now = Date.now();
  const left_ms = endsAt - now;
  const when = left_ms > 0 ? whenText(endsAt, now) : "ended";
  view.packet.children[1].lastChild.textContent = `${packet.expires_at} (${when})`;
  if (left_ms > 0) view.ending = setTimeout(showEnd, Math.min(left_ms, END_SHOWN_MS), row);
}

function packetLine(name, value) {
  const line = document.createElement("div");
  const [term, description] = ["dt", "dd"].map((tag) => document.createElement(tag));
  term.textContent = name;
  description.textContent = value;
  line.append(term, description);
  return line;
}
