/*
 * thumbnail.js - a small picture of an image file, or the icon of its kind.
 *
 * One image is decoded at a time, for a decoded photo takes a hundred times the memory of its file;
 * what is too large, or no image after all, keeps its icon.
 */

const SIDE = 96; // device pixels: 48 CSS pixels on a sharp display
const BYTES_MAX = 20e6;
const PREFIXES = { image: "image", video: "video", audio: "audio", text: "text" };
const ARCHIVES =
  /^application\/(zip|gzip|x-(tar|7z-compressed|bzip2?|xz|zip-compressed)|vnd\.rar)$/;
const DOCUMENTS = /^application\/(pdf|msword|rtf|json|xml|vnd\.(openxml|oasis|ms-))/;

/* What kind of file it is: the end of an icon's id. */
export function kindOf(file) {
  const prefix = file.type.split("/")[0];
  if (Object.hasOwn(PREFIXES, prefix)) return PREFIXES[prefix];
  if (ARCHIVES.test(file.type)) return "archive";
  return DOCUMENTS.test(file.type) ? "text" : "file";
}

let last = Promise.resolve();

/* A canvas with the picture, or null. */
export function thumbnail(file) {
  if (kindOf(file) !== "image" || file.size > BYTES_MAX) return Promise.resolve(null);
  last = last.then(() => draw(file).catch(() => null));
  return last;
}

async function draw(file) {
  const bitmap = await createImageBitmap(file, { resizeHeight: SIDE, resizeQuality: "medium" });
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const scale = Math.max(SIDE / bitmap.width, SIDE / bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  canvas.getContext("2d").drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
  bitmap.close();
  return canvas;
}
