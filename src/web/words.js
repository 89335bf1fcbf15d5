/*
 * words.js - what the page says: sizes, times, and refusals as sentences a person understands.
 *
 * Pure: no DOM, no clock, no network. Sizes are decimal (1 MB is 1,000,000 bytes) everywhere.
 * Numbers and dates follow the given locale, or the browser's; the sentences are English.
 * Members of a problem come from outside: each is looked at before it becomes part of a sentence.
 */

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const GAP = "\u00a0"; // a number and its unit stay on one line
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];
const DETAIL_MAX = 300;

// ---- numbers, sizes, times ----------------------------------------------------------------------

export function numberText(value, locale, options) {
  return new Intl.NumberFormat(locale, options).format(value);
}

export function percentText(share, locale) {
  return numberText(Math.floor(share * 100) / 100, locale, { style: "percent" });
}

/* With `steady` a number that changes many times a second keeps its width. */
export function sizeText(bytes, locale, { steady = false } = {}) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (unit === 0) return `${numberText(bytes, locale)}${GAP}${bytes === 1 ? "byte" : "bytes"}`;
  const digits = value < 99.95 ? 1 : 0;
  const fraction = {
    maximumFractionDigits: digits,
    minimumFractionDigits: steady && unit > 1 ? digits : 0,
  };
  return `${numberText(value, locale, fraction)}${GAP}${UNITS[unit]}`;
}

/* Two sizes that differ must not read alike. */
function twoSizes(one, other, locale) {
  const short = [sizeText(one, locale), sizeText(other, locale)];
  if (one === other || short[0] !== short[1]) return short;
  return [one, other].map((bytes) => `${numberText(bytes, locale)}${GAP}bytes`);
}

export function rateText(bytesPerSecond, locale) {
  return `${sizeText(bytesPerSecond, locale, { steady: true })}/s`;
}

export function durationText(seconds, locale) {
  const whole = Math.max(1, Math.ceil(seconds));
  const text = (value, unit) => `${numberText(value, locale)}${GAP}${unit}`;
  if (whole < MINUTE) return text(whole, "s");
  if (whole < HOUR) return text(Math.ceil(whole / MINUTE), "min");
  if (whole < 2 * DAY) {
    const minutes = Math.ceil((whole % HOUR) / MINUTE) % 60;
    const hours = Math.ceil((whole - minutes * MINUTE) / HOUR);
    return text(hours, "h") + (minutes && hours < 10 ? ` ${text(minutes, "min")}` : "");
  }
  return text(Math.ceil(whole / DAY), "days");
}

/* "in 12 min", "at 19:00", "on 1 December": whichever is of use. */
export function whenText(when, now, locale) {
  const date = new Date(when);
  const left = (date.getTime() - now) / 1000;
  if (Number.isNaN(left)) return "later";
  if (left < HOUR) return `in ${durationText(left, locale)}`;
  if (left < DAY)
    return `at ${new Intl.DateTimeFormat(locale, { timeStyle: "short" }).format(date)}`;
  const year = date.getFullYear() === new Date(now).getFullYear() ? undefined : "numeric";
  const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", year });
  return `on ${day.format(date)}`;
}

export function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}

export function filesText(count, locale) {
  return `${numberText(count, locale)} ${count === 1 ? "file" : "files"}`;
}

// ---- names --------------------------------------------------------------------------------------

const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const TAIL = 12;
const SHORT = 24;

/* A file's name without what could turn its reading direction or break its line. */
export function nameText(name) {
  return String(name).replace(INVISIBLE, "").trim() || "Unnamed file";
}

/* Signs as a person sees them; where a browser cannot tell, as Unicode numbers them. */
function segments(name) {
  return Intl.Segmenter ? new Intl.Segmenter().segment(name) : name;
}

/* The name in two parts; what does not fit is cut out between them, so that the ending stays. */
export function nameParts(name) {
  const signs = Array.from(segments(name), (part) => part.segment ?? part);
  if (signs.length <= SHORT) return [name, ""];
  return [signs.slice(0, -TAIL).join(""), signs.slice(-TAIL).join("")];
}

// ---- types --------------------------------------------------------------------------------------

const UNKNOWN = "application/octet-stream";
const TYPES = {
  "*/*": "any file",
  "image/*": "images",
  "video/*": "videos",
  "audio/*": "audio",
  "text/*": "text",
  "image/jpeg": "JPEG",
  "image/png": "PNG",
  "image/gif": "GIF",
  "image/webp": "WebP",
  "image/avif": "AVIF",
  "image/heic": "HEIC",
  "image/svg+xml": "SVG",
  "video/mp4": "MP4",
  "video/quicktime": "MOV",
  "audio/mpeg": "MP3",
  "audio/wav": "WAV",
  "text/plain": "plain text",
  "text/csv": "CSV",
  "text/html": "HTML",
  "text/markdown": "Markdown",
  "text/javascript": "JavaScript",
  "application/json": "JSON",
  "application/pdf": "PDF",
  "application/zip": "ZIP",
  "application/gzip": "GZIP",
  [UNKNOWN]: "files of unknown type",
  "application/msword": "Word",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint",
};

function typeText(type) {
  const plain = String(type).split(";")[0].trim().toLowerCase();
  return Object.hasOwn(TYPES, plain) ? TYPES[plain] : plain;
}

function typesText(types) {
  if (!Array.isArray(types) || types.length === 0) return "";
  const words = [...new Set(types.slice(0, 12).map(typeText))];
  return new Intl.ListFormat("en", { type: "conjunction" }).format(words);
}

// ---- limits -------------------------------------------------------------------------------------

const PERIODS = new Map([
  [MINUTE, "this minute"],
  [HOUR, "this hour"],
  [DAY, "today"],
  [7 * DAY, "this week"],
]);

function periodText(limit, locale) {
  if (PERIODS.has(limit.window_s)) return PERIODS.get(limit.window_s);
  if (Number.isFinite(limit.window_s)) return `in ${durationText(limit.window_s, locale)}`;
  return limit.resets_at && limit.kind !== "open" ? "this month" : "";
}

function everyText(seconds, locale) {
  const names = new Map([
    [1, "a second"],
    [MINUTE, "a minute"],
    [HOUR, "an hour"],
    [DAY, "a day"],
  ]);
  return names.get(seconds) ?? `in ${durationText(seconds, locale)}`;
}

function amountText(kind, value, locale) {
  return kind === "bytes" ? sizeText(value, locale) : numberText(value, locale);
}

const LIMIT_TITLES = {
  bytes: (period) => (period ? `Data ${period}` : "Storage"),
  count: (period) => (period ? `Files ${period}` : "Files"),
  open: () => "Unfinished uploads",
  rate: () => "Requests",
};

/* One limit of GET /v1/quota: what its bar shows. */
export function limitWords(limit, now, locale) {
  const rate = limit.kind === "rate";
  const taken = rate ? limit.used : limit.limit - limit.remaining;
  const most = rate ? limit.used + limit.remaining : limit.limit;
  const share = most > 0 ? Math.min(Math.max(taken / most, 0), 1) : 1;
  const level = limit.remaining <= 0 ? "full" : share >= 0.9 ? "near" : "fine";
  const amount =
    `${amountText(limit.kind, Math.max(taken, 0), locale)} of ` +
    amountText(limit.kind, most, locale);
  const notes = [amount];
  if (rate)
    notes.push(`${numberText(limit.limit, locale)} more ${everyText(limit.window_s, locale)}`);
  else if (limit.resets_at && limit.kind !== "open")
    notes.push(`resets ${whenText(limit.resets_at, now, locale)}`);
  const titles = Object.hasOwn(LIMIT_TITLES, limit.kind) ? LIMIT_TITLES[limit.kind] : null;
  const title = titles ? titles(periodText(limit, locale)) : readable(limit.name);
  return { title, text: notes.join(" · "), share, level };
}

function readable(name) {
  const words = String(name ?? "").replace(/[_-]+/g, " ");
  return words ? words[0].toUpperCase() + words.slice(1) : "A limit";
}

// ---- progress -----------------------------------------------------------------------------------

/* What a file under way is doing. */
export function progressText(progress, locale) {
  const { state, loaded, total, rate, remaining, attempt } = progress;
  if (state === "hashing") return `Reading the file · ${percentText(part(loaded, total), locale)}`;
  if (state === "asking") return "Preparing";
  if (state === "waiting") return "The connection was lost. Trying again";
  if (state === "completing") return "Finishing";
  if (state !== "uploading") return "Waiting";
  const notes = [`${sizeText(loaded, locale, { steady: true })} of ${sizeText(total, locale)}`];
  if (rate > 0) notes.push(rateText(rate, locale));
  if (rate > 0 && Number.isFinite(remaining) && remaining !== null)
    notes.push(`${durationText(remaining, locale)} left`);
  if (attempt > 1) notes.push(`attempt ${numberText(attempt, locale)}`);
  return notes.join(" · ");
}

/* What all files together are doing. */
export function totalText({ active, failed, size, loaded, rate }, locale) {
  const notes = [];
  if (active > 0)
    notes.push(`${sizeText(loaded, locale, { steady: true })} of ${sizeText(size, locale)}`);
  else if (size > 0) notes.push(sizeText(size, locale));
  if (active > 0 && rate > 0)
    notes.push(rateText(rate, locale), `${durationText((size - loaded) / rate, locale)} left`);
  if (failed > 0) notes.push(`${numberText(failed, locale)} not uploaded`);
  return notes.join(" · ");
}

export function part(loaded, total) {
  return total > 0 ? Math.min(Math.max(loaded / total, 0), 1) : 0;
}

// ---- refusals -----------------------------------------------------------------------------------

/*
 * Each row: what a code means for a person, from `c`, which refusalWords() makes. The third value
 * says whether trying the same file again may help.
 */
const SAYS = {
  // the file
  file_too_large: (c) => {
    const most = amount(c.problem.max_bytes);
    if (most === null) return ["Too large", "This file is larger than may be uploaded here."];
    const [has, may] = twoSizes(c.file.size, most, c.locale);
    return ["Too large", `This file is ${has}. At most ${may} may be uploaded here.`];
  },
  file_too_small: (c) => {
    if (c.file.size === 0) return ["Empty file", "There is nothing in this file to upload."];
    const least = amount(c.problem.min_bytes);
    if (least === null) return ["Too small", "This file is smaller than may be uploaded here."];
    const [has, must] = twoSizes(c.file.size, least, c.locale);
    return ["Too small", `This file is ${has}. It takes at least ${must} here.`];
  },
  content_type_not_allowed: (c) => {
    const allowed = typesText(c.problem.allowed);
    const type = typeText(c.file.type);
    const first =
      type && type !== TYPES[UNKNOWN]
        ? `Files of this type (${type}) may not be uploaded here.`
        : "What kind of file this is could not be told, so it may not be uploaded here.";
    return ["Type not accepted", `${first}${allowed ? ` Accepted: ${allowed}.` : ""}`];
  },
  extension_mismatch: (c) => [
    "Name does not fit",
    `The ending of the name does not belong to this kind of file. ${detail(c)}`,
  ],
  filename_invalid: (c) => [
    "Name not accepted",
    `This name cannot be used here. Rename the file and add it again. ${detail(c)}`,
  ],
  file_unreadable: () => [
    "File not readable",
    "The file can no longer be read. If it was changed, moved or deleted, add it again.",
    true,
  ],

  // the person
  missing_token: () => ["Not signed in", "Sign in to go on.", true],
  invalid_token: () => ["Your sign-in has ended", "Sign in again to go on.", true],
  insufficient_scope: (c) => [
    "Not permitted",
    "Your sign-in does not include uploading" +
      `${typeof c.problem.required === "string" ? ` (${cut(c.problem.required)})` : ""}.`,
  ],
  profile_not_allowed: () => [
    "Not permitted",
    "Uploads of this kind do not exist here, or are not open to you. Look at “Profile” under " +
      "Options.",
  ],
  origin_not_allowed: (c) => [
    "Page not permitted",
    `The server does not accept uploads from this page${c.origin ? ` (${c.origin})` : ""}. ` +
      "Whoever runs it can allow it.",
  ],

  // limits
  rate_limited: (c) => {
    const wait = c.retryAfter > 0 ? `in ${durationText(c.retryAfter, c.locale)}` : "in a moment";
    return [
      "Too many requests",
      `${c.goesOn ? "It goes on by itself" : "Try again"} ${wait}.`,
      true,
    ];
  },
  quota_exceeded: quotaSays,
  too_many_files: () => ["Too many files", "Add fewer files at once.", true],

  // the server
  overloaded: (c) => ["Server busy", `It cannot take more at the moment. ${later(c)}`, true],
  ledger_unavailable: (c) => [
    "Server not ready",
    `The server cannot look up your limits at the moment. ${later(c)}`,
    true,
  ],
  credentials_unavailable: (c) => [
    "Server not ready",
    `The server cannot reach its storage account at the moment. ${later(c)}`,
    true,
  ],
  credentials_expiring: (c) => [
    "Server not ready",
    `The server is renewing its storage account. ${later(c)}`,
    true,
  ],
  keys_unavailable: (c) => [
    "Server not ready",
    `The server cannot check sign-ins at the moment. ${later(c)}`,
    true,
  ],
  storage_failed: () => [
    "Storage trouble",
    "The server could not reach the storage. Try again in a moment.",
    true,
  ],
  internal_error: () => [
    "Server trouble",
    "Something went wrong on the server. Try again in a moment.",
    true,
  ],

  // the conversation
  upload_state: (c) => {
    const [wanted, got] = [amount(c.problem.expected_bytes), amount(c.problem.actual_bytes)];
    const sizes = wanted !== null && got !== null ? twoSizes(got, wanted, c.locale) : null;
    return [
      "Not finished",
      sizes
        ? `Only ${sizes[0]} of ${sizes[1]} arrived. Try again.`
        : "This upload was ended elsewhere. Try again to begin anew.",
      true,
    ];
  },
  idempotency_conflict: () => [
    "Not finished",
    "The rules changed while this file was on its way. Try again to begin anew.",
    true,
  ],
  checksum_required: () => [
    "Verification needed",
    "Files must be verified here. Switch on “Verify with SHA-256” under Options and try again.",
    true,
  ],
  checksum_invalid: () => [
    "Verification not possible",
    "Files cannot be verified here. Switch off “Verify with SHA-256” under Options and try again.",
    true,
  ],
  metadata_not_allowed: unexpected,
  expiry_not_allowed: (c) => ["Sign-in ending", `Sign in again to go on. ${detail(c)}`, true],
  invalid_request: unexpected,
  malformed_http: unexpected,
  not_found: () => [
    "Not found",
    "The server does not know this upload any more. Try again to begin anew.",
    true,
  ],
  method_not_allowed: unexpected,
  length_required: unexpected,
  body_too_large: unexpected,
  uri_too_long: unexpected,
  headers_too_large: unexpected,
  unsupported_media_type: unexpected,
  invalid_answer: () => [
    "Answer not understood",
    "What answered is not the upload server this page belongs to. Load the page again.",
    true,
  ],

  // the way to it
  network_error: (c) =>
    c.error.stage === "store"
      ? ["Storage not reached", storeAway(c), true]
      : [
          "Server not reached",
          "The upload server does not answer. Look at your connection and try again.",
          true,
        ],
  storage_refused: (c) => {
    const code = c.error.storageCode;
    if (Object.hasOwn(STORE_SAYS, code)) return ["Storage refused", ...STORE_SAYS[code]];
    const named = code ? ` (${cut(code)})` : "";
    return ["Storage refused", `The storage did not take the file${named}.`, true];
  },
};

const STORE_SAYS = {
  EntityTooLarge: ["The storage found more bytes than were announced. Add the file again.", true],
  EntityTooSmall: ["The storage found fewer bytes than were announced. Add the file again.", true],
  BadDigest: ["The file changed on its way: what arrived is not what was sent. Try again.", true],
  XAmzContentSHA256Mismatch: [
    "The file changed on its way: what arrived is not what was sent. Try again.",
    true,
  ],
  RequestTimeTooSkewed: ["The clocks of server and storage differ too much.", false],
  QuotaExceeded: ["The storage is full.", false],
};

function storeAway(c) {
  return (
    `The storage${c.host ? ` (${c.host})` : ""} does not answer. Look at your connection and try again. ` +
    "If it stays so for every file, the storage may not accept uploads from this page."
  );
}

function unexpected(c) {
  return ["Not understood", `The server did not accept the request. ${detail(c)}`];
}

function later(c) {
  const wait = c.retryAfter > 0 ? `in ${durationText(c.retryAfter, c.locale)}` : "in a moment";
  return `Try again ${wait}.`;
}

function quotaSays(c) {
  const { problem, locale } = c;
  const known = c.limits.find((limit) => limit.name === problem.limit_name);
  const [most, used, wants] = [problem.limit, problem.used, problem.requested].map(amount);
  const kind = known?.kind ?? (wants !== null && wants > 1 ? "bytes" : "count");
  const forever = c.error.status === 403;
  if (most === null || used === null || wants === null)
    return ["Limit reached", "You have used up what you may upload here.", !forever];

  const period = known ? periodText(known, locale) : "";
  const span = period ? ` ${period}` : "";
  const resets = problem.resets_at
    ? ` There is room again ${whenText(problem.resets_at, c.now, locale)}.`
    : "";
  if (kind === "open")
    return [
      "Too many at once",
      `You have ${numberText(used, locale)} unfinished uploads; at most ` +
        `${numberText(most, locale)} are allowed at once.` +
        (c.kept?.() ? " Those that failed count: retry or remove them." : resets),
      true,
    ];
  if (kind === "count")
    return [
      "Limit reached",
      `You have uploaded ${numberText(used, locale)} of ${filesText(most, locale)}${span}.${resets}`,
      !forever,
    ];
  if (wants > most) {
    const [needs, may] = twoSizes(wants, most, locale);
    return ["Limit reached", `This file is ${needs}. You may upload ${may}${span} altogether.`];
  }
  return [
    "Limit reached",
    `You have used ${sizeText(used, locale)} of ${sizeText(most, locale)}${span}, and this file ` +
      `is ${sizeText(wants, locale)}.${resets}`,
    !forever,
  ];
}

function amount(value) {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

function cut(text) {
  return text.length > DETAIL_MAX ? `${text.slice(0, DETAIL_MAX)}…` : text;
}

function detail(c) {
  return typeof c.problem.detail === "string" ? cut(c.problem.detail) : "";
}

/*
 * A refusal (presignd.js's UploadError, or anything thrown) in words: a few for a heading, a
 * sentence or two, and whether trying again may help. Of use where known: the file, the caller's
 * `limits`, `now` in ms, the page's `origin`, the storage's `host`, `kept()`, whether other files that
 * failed have still a place, and `retryAfter`, the seconds that are left of the error's own.
 */
export function refusalWords(error, known) {
  const c = { limits: [], now: 0, locale: undefined, ...known };
  c.error = error ?? {};
  c.problem = c.error.problem ?? {};
  c.retryAfter ??= amount(c.error.retryAfter) ?? 0;
  const [title, text, again = false] = saysOf(c);
  return { title, text: text.trim(), again };
}

/* A refusal must never be lost for want of words: what cannot be said is said plainly. */
function saysOf(c) {
  try {
    return (Object.hasOwn(SAYS, c.error.code) ? SAYS[c.error.code] : unknown)(c);
  } catch {
    return ["Not uploaded", "Something went wrong.", true];
  }
}

function unknown(c) {
  const status = amount(c.error.status) ? ` (${c.error.status})` : "";
  return ["Not uploaded", detail(c) || `Something went wrong${status}.`, true];
}
