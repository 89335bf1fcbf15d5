/*
 * files.js - the files of a drop anywhere or a paste, those in folders too.
 *
 * A folder is read through the entries API, which every browser has under its old name; bounded in
 * depth and number, for a person who drops a whole disk wants to be told, not obeyed.
 */

const FILES_MAX = 1000;
const DEPTH_MAX = 16;
const LITTER = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);

/* Calls add(files, notes); notes are sentences about what was left out. */
export function listenToFiles(add) {
  const take = async (event, transfer) => {
    event.preventDefault();
    const { files, notes } = await filesOf(transfer);
    add(files, notes);
  };
  const over = (on) => document.body.classList.toggle("dragging", on);
  document.addEventListener("paste", (event) => {
    if (holdsFiles(event.clipboardData)) take(event, event.clipboardData);
  });
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event.dataTransfer)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    over(true);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) over(false); // it left the window, not just an element
  });
  addEventListener("drop", (event) => {
    over(false);
    if (holdsFiles(event.dataTransfer)) take(event, event.dataTransfer);
  });
}

/* Does this drag hold files, and not a text or a link? */
function holdsFiles(transfer) {
  return Array.from(transfer?.types ?? []).includes("Files");
}

/* { files, notes } */
export async function filesOf(transfer) {
  // entries and files are gone once this turn of the event loop ends: all are fetched first
  const items = Array.from(transfer.items ?? []).filter((item) => item.kind === "file");
  const found = items.map((item) => [item.webkitGetAsEntry?.() ?? null, item.getAsFile()]);
  const out = { files: [], notes: [], left: false };
  for (const [entry, file] of found) {
    if (entry?.isDirectory) await readFolder(entry, out);
    else if (file) take(file, out);
  }
  if (items.length === 0) for (const file of transfer.files ?? []) take(file, out);
  if (out.left) out.notes.push(`Only the first ${FILES_MAX} files were added.`);
  return out;
}

function take(file, out) {
  if (out.files.length >= FILES_MAX) out.left = true;
  else out.files.push(file);
}

async function readFolder(folder, out) {
  const before = out.files.length;
  try {
    await walk(folder, 0, out);
  } catch {
    out.notes.push(`The folder “${folder.name}” could not be read completely.`);
    return;
  }
  if (out.files.length === before && !out.left)
    out.notes.push(`The folder “${folder.name}” has no files.`);
}

async function walk(folder, depth, out) {
  if (depth >= DEPTH_MAX || out.left) return;
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (entry.isDirectory) await walk(entry, depth + 1, out);
      else if (!LITTER.has(entry.name))
        take(await new Promise((resolve, reject) => entry.file(resolve, reject)), out);
      if (out.left) return;
    }
  }
}
