/*
 * What a TypeScript program does with the client, every option and result once; compiled in lint,
 * never run. A line under @ts-expect-error must be refused: the compiler complains when it is not.
 */
import { upload, uploadAll, UploadError } from "../../src/web/presignd.js";
import type {
  FileProgress,
  Packet,
  Problem,
  Progress,
  TotalProgress,
  UploadAllOptions,
  UploadOptions,
  UploadResult,
  UploadState,
} from "../../src/web/presignd.js";

const words: Record<UploadState, string> = {
  hashing: "Checking",
  asking: "Preparing",
  uploading: "Uploading",
  waiting: "Trying again soon",
  completing: "Finishing",
  done: "Done",
};

function line({ state, loaded, total, rate, remaining, attempt }: Progress): string {
  const left = remaining === null ? "" : `, ${Math.ceil(remaining)} s left`;
  return `${words[state]} ${loaded} of ${total}, ${rate.toFixed()} bytes/s${left} (${attempt})`;
}

function keep(packet: Packet): string[] {
  const sent = packet.method === "POST" ? packet.fields : packet.headers;
  const { id, url, bucket, key, expires_at, expires_in, expires_limited_by, metadata } = packet;
  const size: number | null = metadata.content_length;
  return [id, url, bucket, key, expires_at, `${expires_in}`, expires_limited_by, `${size}`].concat(
    Object.keys(sent ?? {}),
  );
}

export async function one(file: File, signal: AbortSignal): Promise<string> {
  const options: UploadOptions = {
    endpoint: new URL("https://upload.example.com/files/"),
    token: "a token",
    getToken: async ({ refresh }) => (refresh ? "another token" : "a token"),
    credentials: "include",
    profile: "photos",
    filename: file.name,
    idempotencyKey: crypto.randomUUID(),
    contentType: file.type,
    metadata: { album: "42" },
    method: "POST",
    expiresIn: 300,
    checksum: "sha256",
    complete: false,
    signal,
    retries: 3,
    onProgress: (progress) => console.log(line(progress)),
    onPacket: (packet) => console.log(keep(packet)),
  };
  const { id, key, url, etag }: UploadResult = await upload(file, options);
  const certain: string = id + key + url;
  return etag === undefined ? certain : certain + etag.length;
}

export async function many(files: FileList): Promise<[UploadResult[], string[]]> {
  const options: UploadAllOptions = {
    endpoint: "https://upload.example.com",
    getToken: () => undefined,
    checksum: false,
    concurrency: 2,
    onProgress: (all: TotalProgress, one: FileProgress) => {
      const { loaded, total, rate, remaining, done, failed, count } = all;
      console.log(loaded / total, rate, remaining ?? 0, done + failed === count);
      console.log(one.index, one.file.size, one.state ?? "failed", one.loaded, one.attempt ?? 0);
    },
    onSettled: (index, outcome) => console.log(index, outcome.status),
  };
  const outcomes = await uploadAll(files, options);
  const results = outcomes.flatMap((it) => (it.status === "fulfilled" ? [it.value] : []));
  const faults = outcomes.flatMap((it) => (it.status === "rejected" ? [inWords(it.reason)] : []));
  return [results, faults];
}

function inWords(error: unknown): string {
  if (!(error instanceof UploadError)) return String(error);
  const problem: Problem = error.problem;
  const { code, status, stage, message, retryable, retryAfter, requestId, storageCode } = error;
  if (code === "file_too_large") return `At most ${Number(problem.max_bytes)} bytes`;
  if (retryAfter !== undefined) return `Wait ${retryAfter.toFixed()} s`;
  return [message, status, stage, retryable, requestId, storageCode, error.cause].join(" ");
}

export const made = new UploadError("network_error", "nobody answered", { stage: "store" });

export const refused = [
  // @ts-expect-error an endpoint is needed
  upload(new Blob(["x"]), {}),
  // @ts-expect-error a text is no file
  upload("x", { endpoint: "https://upload.example.com" }),
  // @ts-expect-error no such checksum
  upload(new Blob(["x"]), { endpoint: "https://upload.example.com", checksum: "md5" }),
  // @ts-expect-error one name cannot be that of many files
  uploadAll([], { endpoint: "https://upload.example.com", filename: "x" }),
  // @ts-expect-error nor can one idempotencyKey
  uploadAll([], { endpoint: "https://upload.example.com", idempotencyKey: "x" }),
];
