/*
 * quota.js - the caller's limits as bars.
 */
import { limitWords } from "./words.js";

const LEVELS = { fine: "", near: "Nearly full", full: "Full" };

/* Bars that stay the same limit stay the same elements, so that they move. */
export function showLimits(card, limits, now) {
  const list = card.querySelector("ul");
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById("limit"));
  while (list.children.length > limits.length) list.lastElementChild.remove();
  while (list.children.length < limits.length) list.append(template.content.cloneNode(true));
  limits.forEach((limit, index) => showLimit(list.children[index], limit, now));
  card.hidden = limits.length === 0;
}

function showLimit(element, limit, now) {
  const words = limitWords(limit, now);
  const meter = element.querySelector(".limit-bar");
  element.dataset.level = words.level;
  element.querySelector(".limit-title").textContent = words.title;
  element.querySelector(".limit-level").textContent = LEVELS[words.level];
  element.querySelector(".limit-text").textContent = words.text;
  meter.firstElementChild.style.width = `${words.share * 100}%`;
  meter.setAttribute("aria-valuenow", Math.round(words.share * 100));
  meter.setAttribute("aria-label", words.title);
  meter.setAttribute("aria-valuetext", words.text);
}
