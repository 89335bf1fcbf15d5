/*
 * presignd.js - sends files to a bucket: a packet is asked of presignd, the file goes to the store
 * with it, and presignd hears that it is there. presignd.d.ts documents every option and result.
 *
 * What may pass by itself (no answer, a 5xx, a packet that ended) is tried again; a refusal never.
 * All asking of one upload carries one Idempotency-Key: asking again reserves nothing more.
 */

const STALL_MS = 60_000; // a connection on which nothing moves for so long counts as broken
const SLACK_S = 2; // no attempt begins with a packet that has less life left
const RETRY_AFTER_MAX_S = 60;
const WHOLE_MAX = 8 << 20; // Web Crypto wants the whole file in memory
const BROWSERS_OWN = /^(content-length|host)$/i; // headers that no page may set
const SLICE = 1 << 20; // hashed in one go; a few milliseconds, so the page stays alive

export class UploadError extends Error {
  constructor(code, message, { cause, ...members }) {
    super(message, { cause });
    Object.assign(this, { name: "UploadError", code, status: 0, problem: {} }, members);
  }
}

export async function upload(file, options = {}) {
  const job = newJob(file, options);
  const { signal } = options;
  const abort = () => job.control.abort(signal.reason);
  signal?.addEventListener("abort", abort);
  try {
    if (signal?.aborted) abort();
    job.signal.throwIfAborted();
    if (options.checksum === "sha256") await addChecksum(job);
    await persist(job, "store", (attempt) => store(job, attempt));
    if (options.complete !== false) await complete(job);
    tell(job, "done");
    return job.result;
  } catch (error) {
    if (!job.signal.aborted) throw error;
    if (job.packet && !job.result) forget(job);
    throw job.signal.reason;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

export async function uploadAll(files, options = {}) {
  const { concurrency = 4, onProgress, onSettled, ...shared } = options;
  const list = [...files];
  const latest = list.map((file, index) => ({ index, file, loaded: 0, total: file?.size || 0 }));
  const outcomes = [];
  const measure = meter();
  let next = 0;

  const report = (index, progress) => {
    Object.assign(latest[index], progress);
    const ended = (status) => outcomes.filter((outcome) => outcome.status === status).length;
    const alive = latest.filter((one) => outcomes[one.index]?.status !== "rejected");
    const total = alive.reduce((sum, one) => sum + one.total, 0);
    const loaded = alive.reduce((sum, one) => sum + (one.state === "hashing" ? 0 : one.loaded), 0);
    const counts = { done: ended("fulfilled"), failed: ended("rejected"), count: list.length };
    call(onProgress, { ...speed(measure, loaded, total), ...counts }, { ...latest[index] });
  };
  const lane = async () => {
    while (next < list.length) {
      const index = next++;
      const one = { ...shared, onProgress: (progress) => report(index, progress) };
      [outcomes[index]] = await Promise.allSettled([upload(list[index], one)]);
      report(index);
      call(onSettled, index, outcomes[index]);
    }
  };
  const lanes = Math.min(Math.max(concurrency, 1), list.length);
  await Promise.all(Array.from({ length: lanes }, lane));
  return outcomes;
}

function newJob(file, options) {
  if (!(file instanceof Blob)) throw new TypeError("upload() wants a File or Blob");
  const { origin, pathname } = new URL(options.endpoint);
  if (origin === "null") throw new TypeError(`${options.endpoint} is no http address`);
  const control = new AbortController();
  const { signal } = control;
  const aborted = new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  aborted.catch(() => {}); // nobody may be waiting just then
  const random = crypto.getRandomValues(new Uint8Array(16)); // randomUUID: secure contexts only
  return {
    file,
    options,
    control,
    signal,
    aborted,
    measure: meter(),
    base: origin + pathname.replace(/\/+$/, ""),
    idempotencyKey: Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    wish: {
      profile: options.profile,
      content_type: options.contentType ?? file.type,
      content_length: file.size,
      filename: (options.filename ?? file.name) || undefined,
      metadata: options.metadata,
      method: options.method,
      expires_in: options.expiresIn,
    },
  };
}

// ---- one upload ---------------------------------------------------------------------------------

// One attempt at the store, with a packet that still lives.
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
    const auto = (job.options.checksum ?? "auto") === "auto" && !job.wish.checksum;
    if (auto && error?.code === "checksum_required") {
      await addChecksum(job);
      return grant(job);
    }
    // An attempt that seemed to fail got through: only the store's answer was lost.
    if (!job.packet || error?.problem?.state !== "completed") throw error;
    job.result = result(job.packet);
  }
}

async function ask(job, attempt) {
  tell(job, "asking", 0, attempt);
  const packet = await api(job, "POST", "/v1/uploads", JSON.stringify(job.wish, wellFormed));
  if (!packet.id || !(packet.fields || packet.headers)) {
    const message = `${job.base} gave no packet: is it presignd?`;
    throw new UploadError("invalid_answer", message, { stage: "grant" });
  }
  job.packet = packet;
  call(job.options.onPacket, packet);
}

async function complete(job) {
  tell(job, "completing");
  const tried = persist(job, "grant", () => api(job, "POST", path(job) + "/complete"));
  // The file is there whatever the answer is, and presignd looks for it later by itself.
  await tried.catch(() => {});
  job.signal.throwIfAborted();
}

function forget(job) {
  fetch(request(job, "DELETE", path(job))).catch(() => {});
}

// A sleeping computer stops one clock, a corrected time moves the other: the larger age counts.
function stale({ packet, asked }) {
  const age = Math.max(Date.now() - asked.date, performance.now() - asked.time);
  return age >= (packet.expires_in - SLACK_S) * 1000;
}

function result({ id, key, url, fields }, headers = "") {
  const header = (name) => new RegExp(`^${name}: *(.*)`, "im").exec(headers)?.[1];
  const etag = header("etag")?.replaceAll('"', "");
  const address = fields ? url + key.split("/").map(encodeURIComponent).join("/") : url;
  return { id, key, url: (header("location") ?? address).split("?")[0], ...(etag && { etag }) };
}

// ---- trying again -------------------------------------------------------------------------------

async function persist(job, stage, run) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(attempt);
    } catch (error) {
      job.signal.throwIfAborted();
      const again = error?.retryable && error.stage === stage;
      if (!again || attempt > (job.options.retries ?? 5)) throw error;
      tell(job, "waiting", 0, attempt);
      await race(job, new Promise((resolve) => setTimeout(resolve, delay(error, attempt))));
    }
  }
}

// Full jitter: clients that failed together do not come back together.
function delay({ retryAfter = 0 }, attempt) {
  const jitter = 500 + Math.random() * Math.min(14_500, 500 * 2 ** attempt);
  return Math.min(retryAfter, RETRY_AFTER_MAX_S) * 1000 + jitter;
}

const race = (job, work) => Promise.race([work, job.aborted]);

// Runs work(signal, moved), which is cut off with the upload, or when it does not call moved() for
// too long. All that can go wrong within is that nobody answers.
async function connected(job, stage, work) {
  job.signal.throwIfAborted();
  const cut = new AbortController();
  let timer;
  const moved = () => {
    clearTimeout(timer);
    timer = setTimeout(() => cut.abort(), STALL_MS);
  };
  moved();
  job.signal.addEventListener("abort", () => cut.abort());
  try {
    return await work(cut.signal, moved);
  } catch (cause) {
    throw noAnswer(job, stage, cause);
  } finally {
    clearTimeout(timer);
  }
}

function noAnswer(job, stage, cause) {
  let message = `presignd at ${job.base} did not answer`;
  if (stage === "store") message = `the store at ${new URL(job.packet.url).origin} did not answer`;
  if (stage === "store" && !job.reached)
    message += `; the bucket's CORS rule may not allow ${self.origin}`;
  return new UploadError("network_error", message, { stage, cause, retryable: true });
}

// ---- presignd -----------------------------------------------------------------------------------

async function api(job, ...what) {
  const { getToken, token } = job.options;
  const go = async (refresh) => {
    job.token = (await race(job, getToken?.({ refresh }))) ?? token;
    return exchange(job, request(job, ...what));
  };
  try {
    return await go(false);
  } catch (error) {
    if (error?.code !== "invalid_token" || !getToken) throw error;
    return go(true);
  }
}

const path = (job) => "/v1/uploads/" + encodeURIComponent(job.packet.id);

// Made outside of connected(): a bad option is a TypeError, like no answer, and must not pass as it.
function request(job, method, path, body) {
  const headers = new Headers();
  if (job.token) headers.set("Authorization", "Bearer " + job.token);
  if (body) {
    headers.set("Content-Type", "application/json");
    headers.set("Idempotency-Key", job.idempotencyKey);
  }
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
  let body = {};
  try {
    body = Object(JSON.parse(text));
  } catch {} // a proxy's page
  if (response.ok) return body;
  throw refused(response, body);
}

function refused({ status, headers, url }, problem) {
  const code = problem.code ?? (status < 500 ? "invalid_answer" : "network_error");
  return new UploadError(code, problem.detail ?? `${url} answered ${status}`, {
    stage: "grant",
    status,
    problem,
    requestId: headers.get("X-Request-Id") ?? undefined,
    retryAfter: Number(headers.get("Retry-After")) || undefined,
    // what the store refuses presignd, it refuses again
    retryable: status >= 500 && code !== "storage_failed",
  });
}

// JSON.stringify writes half a surrogate pair as an escape that no JSON reader has to accept.
function wellFormed(_, value) {
  return typeof value === "string" ? value.replace(/[\0\p{Cs}]/gu, "\ufffd") : value;
}

// ---- the store ----------------------------------------------------------------------------------

// fetch() tells nothing about how far an upload is; XMLHttpRequest does, in workers too.
async function send(job, attempt) {
  const { file, packet } = job;
  const transfer = (signal, moved) =>
    new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      signal.addEventListener("abort", () => xhr.abort());
      xhr.upload.onprogress = ({ loaded, total }) => {
        moved();
        job.reached = true;
        tell(job, "uploading", Math.max(0, loaded - total + file.size), attempt);
      };
      xhr.onload = () => resolve(xhr);
      xhr.onerror = xhr.onabort = () => reject();
      xhr.open(packet.method, packet.url);
      for (const [name, value] of Object.entries(packet.headers ?? {}))
        if (!BROWSERS_OWN.test(name)) xhr.setRequestHeader(name, value);
      xhr.send(packet.fields ? form(packet.fields, file) : file);
    });
  try {
    return await connected(job, "store", transfer);
  } catch (error) {
    await read(job, 0, 1); // browsers call it a network error, too, when the file has vanished
    throw error;
  }
}

// The file last: the store ignores what follows. Its name is the packet's key, not the part's name.
function form(fields, file) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("file", file, "file");
  return data;
}

function storageRefused(job, { status, responseText }) {
  const tag = (name) => new RegExp(`<${name}>([^<]*)`).exec(responseText)?.[1]; // no DOM in workers
  const message = tag("Message")?.replaceAll("&quot;", '"');
  return new UploadError("storage_refused", message ?? `the store answered ${status}`, {
    stage: "store",
    status,
    storageCode: tag("Code"),
    requestId: tag("RequestId"),
    retryable: status >= 500 || status === 429 || (status === 403 && stale(job)),
  });
}

// ---- progress -----------------------------------------------------------------------------------

function tell(job, state, loaded = 0, attempt = 1) {
  const total = job.file.size;
  const bytes = job.result ? total : loaded;
  call(job.options.onProgress, { state, ...speed(job.measure, bytes, total), attempt });
}

function speed(measure, loaded, total) {
  const rate = measure(loaded);
  return { loaded, total, rate, remaining: rate ? (total - loaded) / rate : null };
}

// Bytes per second, the last seconds counting most. Nothing loaded is a new start.
function meter() {
  let then, bytes, rate;
  return (loaded) => {
    const now = performance.now();
    if (!loaded) [then, bytes, rate] = [now, 0, 0];
    const seconds = (now - then) / 1000;
    if (seconds > 0.2) {
      const latest = Math.max(0, loaded - bytes) / seconds;
      rate += (latest - rate) * (rate ? 1 - Math.exp(-seconds / 3) : 1);
      [then, bytes] = [now, loaded];
    }
    return rate;
  };
}

// What the page's own functions throw is the page's affair: the upload goes on.
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
  const whole = job.file.size <= WHOLE_MAX && self.crypto.subtle;
  const hash = whole
    ? await race(job, whole.digest("SHA-256", await read(job, 0, WHOLE_MAX)))
    : await sliced(job);
  const value = btoa(String.fromCharCode(...new Uint8Array(hash)));
  job.wish.checksum = { algorithm: "sha256", value };
}

async function read(job, start, end) {
  try {
    return await race(job, job.file.slice(start, end).arrayBuffer());
  } catch (cause) {
    job.signal.throwIfAborted();
    const message = "the file cannot be read: was it changed or removed?";
    throw new UploadError("file_unreadable", message, { stage: "grant", cause });
  }
}

// Web Crypto has no way to hash piece by piece.
async function sliced(job) {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const fraction = (x) => (x - Math.floor(x)) * 2 ** 32;
  const rounds = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
  const state = Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  let at = 0;
  for (let bytes = SLICE; bytes === SLICE; at += bytes) {
    const slice = await read(job, at, at + SLICE);
    bytes = slice.byteLength;
    digest(state, rounds, bytes === SLICE ? slice : padded(slice, at + bytes));
    tell(job, "hashing", at + bytes);
  }
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => out.setInt32(4 * i, word));
  return out.buffer;
}

function padded(slice, total) {
  const size = slice.byteLength;
  const out = new Uint8Array((((size + 8) >> 6) << 6) + 64);
  out.set(new Uint8Array(slice));
  out[size] = 0x80;
  const view = new DataView(out.buffer);
  view.setUint32(out.length - 8, total / 2 ** 29);
  view.setUint32(out.length - 4, total * 8);
  return out.buffer;
}

function digest(state, rounds, buffer) {
  const view = new DataView(buffer);
  const w = new Int32Array(64);
  const rot = (x, n) => (x >>> n) | (x << (32 - n));
  for (let at = 0; at < buffer.byteLength; at += 64) {
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
