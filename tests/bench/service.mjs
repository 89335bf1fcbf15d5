// The same job in Node, as one would write it there: node:http, jose, @aws-sdk/s3-presigned-post.
// Prints {"port":N} once it listens. Configuration by environment: JWT_SECRET, BUCKET, REGION.
import { createServer } from "node:http";
import { createHash, randomUUID } from "node:crypto";
import { jwtVerify } from "jose";
import { S3Client } from "@aws-sdk/client-s3";
import { createPresignedPost } from "@aws-sdk/s3-presigned-post";

const secret = new TextEncoder().encode(process.env.JWT_SECRET);
const { BUCKET: bucket, REGION: region } = process.env;
const s3 = new S3Client({ region });
const types = new Set(["image/png", "image/jpeg", "application/pdf"]);

async function readJson(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts));
}

async function grant(request) {
  const token = (request.headers.authorization ?? "").replace(/^Bearer /i, "");
  const { payload } = await jwtVerify(token, secret, { issuer: "bench", audience: "presignd", algorithms: ["HS256"] });
  const ask = await readJson(request);
  if (!types.has(ask.content_type) || !(ask.content_length >= 1 && ask.content_length <= 1e8)) return [422, {}];
  const user = createHash("sha256").update(`bench\n${payload.sub}`).digest("hex").slice(0, 32);
  const key = `${user}/${randomUUID()}/${ask.filename}`;
  const expires = 900;
  const { url, fields } = await createPresignedPost(s3, {
    Bucket: bucket, Key: key, Expires: expires,
    Fields: { "Content-Type": ask.content_type, success_action_status: "201" },
    Conditions: [["eq", "$Content-Type", ask.content_type],
      ["content-length-range", ask.content_length, ask.content_length]],
  });
  return [201, { id: randomUUID(), method: "POST", url, fields, bucket, key,
    expires_at: new Date(Date.now() + expires * 1000).toISOString(), expires_in: expires,
    expires_limited_by: "profile",
    metadata: { path: key, content_length: ask.content_length, content_type: ask.content_type } }];
}

const server = createServer(async (request, response) => {
  let status, body;
  try {
    [status, body] = await grant(request);
  } catch (error) {
    [status, body] = [401, { code: String(error.code ?? error.message) }];
  }
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  response.end(JSON.stringify(body));
});
server.keepAliveTimeout = 75000;
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
