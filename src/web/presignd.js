/*
 * presignd.js - sends files to a bucket: asks presignd for a packet, sends the file to the store
 * with it, and tells presignd that it is there. Options and results: presignd.d.ts.
 *
 * What may pass by itself (no answer, a 5xx, a packet that ended) is tried again, a refusal never.
 * One upload has one Idempotency-Key: asking again reserves nothing more.
 */

const STALL_MS = 60_000; // without movement: the connection is broken
const ANSWER_MS = 300_000; // when all is sent: sockets and proxies hold much of it
const SLACK_S = 2; // a packet with less life left is not used
const WHOLE_MAX = 8 << 20; // Web Crypto wants the whole file in memory
const SLICE = 1 << 20; // hashed in one go: the page stays alive

export class UploadError extends Error {
  constructor(code, message, members) {
    super(message);
    const defaults = { status: 0, stage: "grant", problem: {}, retryable: false };
    Object.assign(this, { name: "UploadError", code }, defaults, members);
  }
}

export async function upload(file, options = {}) {
  const job = newJob(file, options);
  const { signal } = options;
  const abort = () => job.control.abort(signal.reason);
  signal?.addEventListener("abort", abort);
  try {
    signal?.throwIfAborted();
    if (job.checksum === "sha256") await addChecksum(job);
    await persist(job, "store", (attempt) => store(job, attempt));
    if (options.complete !== false) await complete(job);
    tell(job, "done");
    return job.result;
  } catch (error) {
    const { aborted } = job.signal;
    if (job.packet && !job.result && (aborted || !options.idempotencyKey))
      fetch(request(job, "DELETE", `/${job.packet.id}`)).catch(() => {}); // best effort
    throw aborted ? job.signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

export async function uploadAll(files, options = {}) {
  const { concurrency = 4, idempotencyKey, onProgress, onSettled, ...shared } = options;
  insist({
    concurrency: Number.isFinite(concurrency) && concurrency >= 1,
    idempotencyKey: !idempotencyKey, // many files are many uploads
  });
  const list = [...files];
  const size = (file) => file?.size ?? 0;
  const total = list.reduce((sum, file) => sum + size(file), 0);
  const all = { loaded: 0, total, done: 0, failed: 0, count: list.length };
  const measure = meter();
  const outcomes = [];
  let next = 0;

  const one = async (index) => {
    const file = list[index];
    let last = { index, file, loaded: 0, total: size(file), rate: 0, remaining: null };
    let sent = 0;
    const report = (progress) => {
      last = { ...last, ...progress };
      all.loaded -= sent;
      sent = last.state === "hashing" ? 0 : last.loaded;
      all.loaded += sent;
      call(onProgress, { ...all, ...speed(measure, all.loaded, all.total) }, last);
    };
    const [outcome] = await Promise.allSettled([upload(file, { ...shared, onProgress: report })]);
    const failed = outcome.status === "rejected";
    all[failed ? "failed" : "done"]++;
    if (failed) all.total -= last.total;
    report(failed && { loaded: 0 });
    outcomes[index] = outcome;
    call(onSettled, index, outcome);
  };
  const lane = async () => {
    while (next < list.length) await one(next++);
  };
  const lanes = Math.min(concurrency, list.length);
  await Promise.all(Array.from({ length: lanes }, lane));
  return outcomes;
}

function newJob(file, options) {
  const random = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const { checksum = "auto", retries = 5, idempotencyKey = random } = options;
  const endpoint = webAddress(options.endpoint);
  insist({
    file: file instanceof Blob,
    endpoint,
    checksum: ["auto", "sha256", false].includes(checksum),
    retries: Number.isFinite(retries) && retries >= 0,
    idempotencyKey: asText(idempotencyKey)?.match(/^[\w.-]{1,64}$/),
  });
  const base = endpoint.origin + endpoint.pathname.replace(/\/*$/, "/v1/uploads");
  const control = new AbortController();
  const { signal } = control;
  const aborted = new Promise((_, reject) => {
    signal.onabort = () => reject(signal.reason);
  });
  aborted.catch(() => {}); // nobody may be waiting
  const { size, type, name } = /** @type {any} */ (file); // a vanished file has no size
  const { profile, metadata, method, contentType = type, filename = name } = options;
  const wish = {
    profile,
    content_type: contentType,
    content_length: size,
    filename: filename || undefined,
    metadata,
    method,
    expires_in: options.expiresIn,
  };
  return {
    options,
    file,
    size,
    wish,
    base,
    checksum,
    retries,
    idempotencyKey,
    control,
    signal,
    aborted,
    measure: meter(),
  };
}

function insist(fine) {
  for (const name in fine) if (!fine[name]) throw new TypeError(`unusable: ${name}`);
}

const asText = (value) => (typeof value === "string" ? value : undefined);

function webAddress(text) {
  try {
    const url = new URL(text);
    if (/^https?:$/.test(url.protocol)) return url;
  } catch {}
}

// ---- one upload ---------------------------------------------------------------------------------

async function store(job, attempt) {
  if (!job.packet || stale(job)) await grant(job);
  if (job.result) return;
  tell(job, "uploading", 0, attempt);
  const xhr = await send(job, attempt);
  if (xhr.status > 299) throw storageRefused(job, xhr);
  job.result = result(job.packet, xhr.getAllResponseHeaders());
}

async function grant(job) {
  try {
    await persist(job, "grant", (attempt) => ask(job, attempt));
  } catch (error) {
    const auto = job.checksum === "auto" && !job.wish.checksum;
    if (auto && error?.code === "checksum_required") {
      await addChecksum(job);
      return grant(job);
    }
    // Only the store's answer was lost.
    if (!job.packet || error?.problem?.state !== "completed") throw error;
    job.result = result(job.packet);
  }
}

async function ask(job, attempt) {
  tell(job, "asking", 0, attempt);
  const packet = await api(job, "POST", "", JSON.stringify(job.wish, wellFormed));
  const { id, key, url, method, fields, headers } = packet;
  const parts = method === "POST" ? fields : method === "PUT" && headers;
  if (![id, key, url].every(asText) || !webAddress(url) || Object(parts) !== parts)
    throw new UploadError("invalid_answer", `${job.base} gave no packet`);
  job.packet = packet;
  call(job.options.onPacket, packet);
}

async function complete(job) {
  tell(job, "completing");
  try {
    const view = await persist(job, "grant", () => api(job, "POST", `/${job.packet.id}/complete`));
    if (view.etag) job.result.etag ??= bare(view.etag);
  } catch {
    job.signal.throwIfAborted(); // else presignd finds the file by itself, later
  }
}

// Sleep stops one clock, and the other may be set.
function stale({ packet, asked }) {
  const age = Math.max(Date.now() - asked.date, performance.now() - asked.time);
  return age >= (packet.expires_in - SLACK_S) * 1000;
}

const bare = (etag) => etag?.replaceAll('"', "");

function result({ id, key, url, fields }, headers = "") {
  const header = (name) => new RegExp(`^${name}: *(.*)`, "im").exec(headers)?.[1];
  const etag = bare(header("etag"));
  const made = fields ? url + key.split("/").map(encodeURIComponent).join("/") : url;
  const address = [header("location"), made].find(webAddress);
  return { id, key, url: address.split("?")[0], ...(etag && { etag }) };
}

// ---- trying again -------------------------------------------------------------------------------

async function persist(job, stage, run) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(attempt);
    } catch (error) {
      job.signal.throwIfAborted();
      const again = error?.retryable && error.stage === stage;
      if (!again || attempt > job.retries) throw error;
      tell(job, "waiting", 0, attempt);
      // clients that failed together come back apart
      const backOff = 500 + Math.random() * Math.min(14_500, 500 * 2 ** attempt);
      const delay = backOff + 1000 * Math.min(error.retryAfter ?? 0, 60);
      await race(job, new Promise((resolve) => setTimeout(resolve, delay)));
    }
  }
}

const race = (job, work) => Promise.race([work, job.aborted]);

// If work() fails, nobody answered. It is cut when the time that it was allowed ends.
async function connected(job, stage, work) {
  job.signal.throwIfAborted();
  const cut = new AbortController();
  let timer;
  const allow = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(() => cut.abort(), ms);
  };
  allow(STALL_MS);
  job.signal.addEventListener("abort", () => cut.abort());
  try {
    return await work(cut.signal, allow);
  } catch (cause) {
    throw noAnswer(job, stage, cause);
  } finally {
    clearTimeout(timer);
  }
}

function noAnswer(job, stage, cause) {
  const who = stage === "grant" ? job.base : new URL(job.packet.url).origin;
  let message = `${who} did not answer`;
  if (stage === "store" && !job.reached)
    message += `; the bucket's CORS rule may not allow ${origin}`;
  return new UploadError("network_error", message, { stage, cause, retryable: true });
}

// ---- presignd -----------------------------------------------------------------------------------

async function api(job, ...what) {
  const { getToken, token } = job.options;
  const go = async (refresh) => {
    job.token = getToken ? await race(job, getToken({ refresh })) : token;
    return exchange(job, request(job, ...what));
  };
  try {
    return await go(false);
  } catch (error) {
    if (error?.code !== "invalid_token" || !getToken) throw error;
    return go(true);
  }
}

// A bad option throws here, not in connected(): it lasts.
function request(job, method, path, body) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": job.idempotencyKey };
  if (job.token) headers.Authorization = "Bearer " + job.token;
  const { credentials } = job.options;
  const keepalive = method === "DELETE"; // it may be the page's last act
  return new Request(job.base + path, { method, headers, body, credentials, keepalive });
}

async function exchange(job, message) {
  job.asked = { date: Date.now(), time: performance.now() };
  const [response, text] = await connected(job, "grant", async (signal) => {
    const response = await fetch(message, { signal });
    return [response, await response.text()];
  });
  let body = Object();
  try {
    body = Object(JSON.parse(text));
  } catch {} // a proxy's page
  if (response.ok) return body;
  throw refused(response, body);
}

function refused({ status, headers, url }, problem) {
  const code = asText(problem.code) ?? (status < 500 ? "invalid_answer" : "network_error");
  return new UploadError(code, asText(problem.detail) ?? `${url} answered ${status}`, {
    status,
    problem,
    requestId: headers.get("X-Request-Id") ?? undefined,
    retryAfter: Number(headers.get("Retry-After")) || undefined,
    retryable: status >= 500 && code !== "storage_failed", // for lack of a right, as a rule
  });
}

// presignd takes neither NUL nor half a surrogate pair; a file's name may have both.
function wellFormed(_, value) {
  return asText(value)?.replace(/[\0\p{Cs}]/gu, "\ufffd") ?? value;
}

// ---- the store ----------------------------------------------------------------------------------

// fetch() does not tell how far an upload is.
async function send(job, attempt) {
  const { file, packet, size } = job;
  const transfer = (signal, allow) =>
    new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      signal.addEventListener("abort", () => xhr.abort());
      xhr.upload.onprogress = ({ loaded, total }) => {
        allow(loaded < total ? STALL_MS : ANSWER_MS);
        job.reached = true;
        tell(job, "uploading", Math.max(0, loaded - total + size), attempt);
      };
      xhr.onload = () => resolve(xhr);
      xhr.onerror = xhr.onabort = () => reject();
      xhr.open(packet.method, packet.url);
      for (const [name, value] of Object.entries(packet.headers ?? {}))
        if (!/^(content-length|host)$/i.test(name)) xhr.setRequestHeader(name, value);
      xhr.send(packet.fields ? form(packet.fields, file) : file);
    });
  try {
    return await connected(job, "store", transfer);
  } catch (error) {
    // Browsers call a file that vanished a network error.
    await read(job, file.stream().getReader().read());
    throw error;
  }
}

// The file last: the store ignores what follows it.
function form(fields, file) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("file", file, "file");
  return data;
}

function storageRefused(job, { status, responseText }) {
  const tag = (name) => new RegExp(`<${name}>([^<]*)`).exec(responseText)?.[1]; // no DOM in workers
  const storageCode = tag("Code");
  const message = tag("Message")?.replaceAll("&quot;", '"');
  return new UploadError("storage_refused", message ?? `the store answered ${status}`, {
    stage: "store",
    status,
    storageCode,
    requestId: tag("RequestId"),
    retryable:
      status >= 500 ||
      status === 429 ||
      (status === 403 && stale(job)) ||
      storageCode === "RequestTimeout",
  });
}

// ---- progress -----------------------------------------------------------------------------------

function tell(job, state, loaded = 0, attempt = 1) {
  const { size, measure } = job;
  const bytes = job.result ? size : loaded;
  call(job.options.onProgress, { state, ...speed(measure, bytes, size), attempt });
}

function speed(measure, loaded, total) {
  const rate = measure(loaded);
  return { loaded, total, rate, remaining: rate ? (total - loaded) / rate : null };
}

// Bytes per second, smoothed. Nothing loaded is a new start.
function meter() {
  let then, bytes, rate;
  return (loaded) => {
    const now = performance.now();
    if (!loaded || !then) [then, bytes, rate] = [now, 0, 0];
    const seconds = (now - then) / 1000;
    if (seconds > 0.2) {
      const latest = Math.max(0, loaded - bytes) / seconds;
      rate += (latest - rate) * (rate ? seconds / (seconds + 3) : 1);
      [then, bytes] = [now, loaded];
    }
    return rate;
  };
}

// An upload goes on, whatever the page's own functions throw.
function call(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

// ---- SHA-256 (FIPS 180-4) -----------------------------------------------------------------------

async function addChecksum(job) {
  tell(job, "hashing");
  const { subtle } = job.size > WHOLE_MAX ? {} : crypto;
  const hash = subtle
    ? subtle.digest("SHA-256", await read(job, job.file.arrayBuffer()))
    : sliced(job);
  const value = btoa(String.fromCharCode(...new Uint8Array(await race(job, hash))));
  job.wish.checksum = { algorithm: "sha256", value };
}

async function read(job, bytes) {
  try {
    return await race(job, bytes);
  } catch (cause) {
    job.signal.throwIfAborted();
    throw new UploadError("file_unreadable", "the file cannot be read", { cause });
  }
}

// Web Crypto has no way to hash piece by piece.
async function sliced(job) {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const fraction = (x) => (x - Math.floor(x)) * 2 ** 32;
  const rounds = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
  const state = Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  const message = padded(job.file);
  for (let at = 0; at < message.size; at += SLICE) {
    const slice = message.slice(at, at + SLICE).arrayBuffer();
    digest(state, rounds, new DataView(await read(job, slice)));
    tell(job, "hashing", Math.min(at + SLICE, job.size));
  }
  const hash = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => hash.setInt32(4 * i, word));
  return hash.buffer;
}

// A one, zeros, and the length in bits.
function padded(file) {
  const tail = new Uint8Array(9 + (-(file.size + 9) & 63));
  tail[0] = 0x80;
  new DataView(tail.buffer).setBigUint64(tail.length - 8, BigInt(file.size * 8));
  return new Blob([file, tail]);
}

function digest(state, rounds, view) {
  const w = new Int32Array(64);
  const rot = (x, n) => (x >>> n) | (x << (32 - n));
  for (let at = 0; at < view.byteLength; at += 64) {
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      if (i < 16) w[i] = view.getInt32(at + 4 * i);
      else {
        const x = w[i - 15];
        const y = w[i - 2];
        const s = rot(x, 7) ^ rot(x, 18) ^ (x >>> 3);
        w[i] = w[i - 16] + s + w[i - 7] + (rot(y, 17) ^ rot(y, 19) ^ (y >>> 10));
      }
      const t = h + (rot(e, 6) ^ rot(e, 11) ^ rot(e, 25)) + (g ^ (e & (f ^ g))) + rounds[i] + w[i];
      const u = (rot(a, 2) ^ rot(a, 13) ^ rot(a, 22)) + ((a & b) ^ (c & (a ^ b)));
      [a, b, c, d, e, f, g, h] = [(t + u) | 0, a, b, c, (d + t) | 0, e, f, g];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
  }
}
