/**
 * presignd.js: sends files from a browser to a bucket, with packets from presignd.
 *
 * ```js
 * import { upload, UploadError } from "./presignd.js";
 *
 * const { key } = await upload(file, {
 *   endpoint: "https://upload.example.com",
 *   getToken: () => session.token(),
 *   onProgress: ({ loaded, total }) => (bar.value = total ? loaded / total : 1),
 * });
 * ```
 *
 * It works in pages and in dedicated and shared workers, with and without a secure context. The
 * page's origin must stand in presignd's `cors.origins` and in the CORS rule of the bucket.
 */

/**
 * Uploads one file.
 *
 * What may pass by itself is tried again, up to `retries` times: no answer, a 5xx, a connection on
 * which nothing moved for a minute (five, once the whole file is on its way: what lies between may
 * hold much of it), a store that is too busy, a packet that ended before the store
 * saw it (then a fresh one is asked for, with the same `Idempotency-Key`, so that nothing is
 * reserved twice). A refusal is never repeated.
 *
 * When it fails after a packet was given, presignd hears that the upload is cancelled (`DELETE`, best
 * effort), which gives back what was reserved for it, an `open` place too; not so with an
 * `idempotencyKey`, unless it was aborted.
 *
 * Rejects with an {@link UploadError}; with `signal.reason` when it was aborted; with a `TypeError`
 * at once when an option is unusable; with whatever `getToken` threw.
 */
export function upload(file: Blob, options: UploadOptions): Promise<UploadResult>;

/**
 * Uploads many files, a few at a time. Never rejects for a file's sake: the outcomes stand in the
 * order of the files, like those of `Promise.allSettled`. One file's failure does not stop the
 * rest; aborting stops all. An unusable `concurrency` rejects with a `TypeError`, other unusable
 * options do so with each file.
 */
export function uploadAll(
  files: Iterable<Blob>,
  options: UploadAllOptions,
): Promise<PromiseSettledResult<UploadResult>[]>;

/** What both functions take. */
export interface CommonOptions {
  /** presignd's base address, `https://upload.example.com`; a path prefix is fine. */
  endpoint: string | URL;

  /** The bearer token. With neither this nor `getToken` no token is sent: see `credentials`. */
  token?: string;

  /**
   * Gives the bearer token, instead of `token`; asked before each request for a packet or to
   * complete. `refresh` is true when presignd has just refused the token given before (401
   * `invalid_token`): give another one. That happens once per request. It may wait, for a sign-in
   * as well. Rejecting ends the upload, unless the store has taken the file.
   */
  getToken?: (reason: { refresh: boolean }) => string | undefined | Promise<string | undefined>;

  /** For the requests to presignd: `"include"` where it takes its token from a cookie
   * (`auth.cookie`) and lives on another origin. Default `"same-origin"`. */
  credentials?: RequestCredentials;

  /** The profile; default presignd's `default_profile`. */
  profile?: string;

  /** The content type; default the file's own. Empty counts as `application/octet-stream`. */
  contentType?: string;

  /** User metadata, as far as the profile allows it. */
  metadata?: Record<string, string>;

  /** How the store is asked; default `"auto"`: what the bucket takes, POST first. */
  method?: "auto" | "POST" | "PUT";

  /** Seconds the packet shall live; the profile's maximum shortens it. */
  expiresIn?: number;

  /**
   * `"sha256"`: the store checks the file's SHA-256, which is computed here first. `"auto"`
   * (default): only where the profile requires it. `false`: never. Large files are read in slices.
   */
  checksum?: "auto" | "sha256" | false;

  /**
   * Tell presignd when the store has taken the file, so that it is counted at once; default true.
   * How that goes does not change the result: presignd finds the file by itself later.
   */
  complete?: boolean;

  /**
   * Ends the upload in whatever it does, waits included. When a packet was given and the store has
   * not taken the file, presignd hears that it is cancelled (`DELETE`, best effort); when it has,
   * the file stays.
   */
  signal?: AbortSignal;

  /** How often what failed is tried again, each for asking and sending; default 5, 0 for never, not
   * Infinity. */
  retries?: number;

  /** Each packet as presignd gave it. It is a permission to upload: show it to nobody else. */
  onPacket?: (packet: Packet) => void;
}

export interface UploadOptions extends CommonOptions {
  /** The file's name; default that of a `File`. presignd cleans it. */
  filename?: string;

  /**
   * Names this upload across calls: 1 to 64 of `A-Z a-z 0-9 . _ -`, another one for each file;
   * default a random one. With it a failed upload leaves its grant alone, and a later `upload()` of
   * the same file and options with the same key gets the same reservation, within 24 hours: nothing
   * is counted twice. An aborted one is cancelled all the same; its key is used up (409
   * `upload_state`).
   */
  idempotencyKey?: string;

  /** How far it is; many times a second while bytes move. */
  onProgress?: (progress: Progress) => void;
}

export interface UploadAllOptions extends CommonOptions {
  /** How many files are under way at one time, 1 or more; default 4. */
  concurrency?: number;

  /** How far all are, and the file that moved just now. */
  onProgress?: (all: TotalProgress, one: FileProgress) => void;

  /** The outcome of a file, when it is known. */
  onSettled?: (index: number, outcome: PromiseSettledResult<UploadResult>) => void;
}

export interface UploadResult {
  /** presignd's id of the upload. */
  id: string;
  /** The object's key. */
  key: string;
  /** The object's http(s) address, without a signature: reading it wants rights of its own. */
  url: string;
  /** The object's ETag without quotes, where the bucket's CORS rule exposes it. */
  etag?: string;
}

/**
 * `hashing` (the checksum), `asking` (for a packet), `uploading`, `waiting` (until it is tried
 * again), `completing` (the file is there, presignd is told), `done`.
 */
export type UploadState = "hashing" | "asking" | "uploading" | "waiting" | "completing" | "done";

/** How fast. */
export interface Speed {
  /** Bytes of the file, without what the form adds: those hashed while hashing, else those sent. An
   * attempt never goes backwards; the next one begins at 0. */
  loaded: number;
  total: number;
  /** Bytes per second, smoothed; 0 as long as it is unknown. */
  rate: number;
  /** Seconds left at this rate, null when it is unknown. */
  remaining: number | null;
}

export interface Progress extends Speed {
  state: UploadState;
  /** Counts from 1, anew for asking and sending. */
  attempt: number;
}

/** One of many files; `state` and `attempt` are missing when it was never begun. Of a file that
 * failed nothing is `loaded`, and `state` says how far it came. */
export interface FileProgress extends Speed, Partial<Pick<Progress, "state" | "attempt">> {
  index: number;
  file: Blob;
}

/** `loaded` and `total` leave out the files that failed, so that they meet at the end. */
export interface TotalProgress extends Speed {
  done: number;
  failed: number;
  count: number;
}

/** presignd's answer to `POST /v1/uploads`. */
export interface Packet {
  id: string;
  method: "POST" | "PUT";
  url: string;
  /** POST: the form's fields, in their order, before the file. */
  fields?: Record<string, string>;
  /** PUT: the headers to send. */
  headers?: Record<string, string>;
  bucket: string;
  key: string;
  expires_at: string;
  expires_in: number;
  expires_limited_by: "request" | "profile" | "token" | "credentials";
  metadata: { path: string; content_length: number | null; content_type: string };
}

/** An RFC 9457 problem as presignd sends it; more members by code (`max_bytes`, `limit_name`). */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  request_id?: string;
  [member: string]: unknown;
}

/**
 * Why an upload failed. `message` is a sentence for a person, in English; `code` is for programs:
 *
 * - one of presignd's: `file_too_large`, `quota_exceeded`, `rate_limited`, `missing_token`, ...
 * - `network_error`: no answer, after all attempts. `stage` says from whom. A proxy's 5xx page in
 *   presignd's place counts as none; `status` has it. A browser does not tell pages whether it was
 *   the network, or an answer that CORS hid from them; `message` points at the bucket's CORS rule
 *   when presignd answered and the store never took a byte.
 * - `storage_refused`: the store said no: `status`, `storageCode`. With `retryable` it was out of
 *   order and the attempts are used up.
 * - `file_unreadable`: the file changed or vanished after it was chosen, or is a folder.
 * - `invalid_answer`: something answered that is not presignd, or its packet cannot be used;
 *   `endpoint` is wrong.
 */
export class UploadError extends Error {
  constructor(code: string, message: string, members: Partial<UploadErrorMembers>);
  name: "UploadError";
  code: string;
  /** The HTTP status, 0 without an answer. */
  status: number;
  /** Who failed: presignd (and all before it) or the store. */
  stage: "grant" | "store";
  /** presignd's whole problem, or {}. */
  problem: Problem;
  /** It was what may pass by itself (no answer, a 5xx, a store too busy): the same upload may succeed
   * later. False for a refusal, for one that time alone undoes too: see `retryAfter`. */
  retryable: boolean;
  /** Seconds to wait, where presignd said so. */
  retryAfter?: number;
  /** For the operator's log: presignd's or the store's id of the request. */
  requestId?: string;
  /** The store's own code: `EntityTooLarge`, `AccessDenied`, ... */
  storageCode?: string;
  cause?: unknown;
}

/** What an UploadError is made of, beside its code and message. */
export type UploadErrorMembers = Pick<
  UploadError,
  | "status"
  | "stage"
  | "problem"
  | "retryable"
  | "retryAfter"
  | "requestId"
  | "storageCode"
  | "cause"
>;
