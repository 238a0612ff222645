// A receiver of citybrain's webhooks: Node.js 18 or later, nothing to install.
//
//     WEBHOOK_SECRETS="whsec_…" PORT=9000 INBOX=inbox node receiver.mjs
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { mkdirSync } from "node:fs";
import { link, open, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, join } from "node:path";

const SECRETS = process.env.WEBHOOK_SECRETS.split(" ").filter(Boolean).map((one) => Buffer.from(one.replace(/^whsec_/, ""), "base64"));
const INBOX = process.env.INBOX ?? "inbox";
const TOLERANCE_S = 300, MOST_BYTES = 1 << 20, KEEP_MS = 7 * 86400 * 1000;

// Signed by whoever has one of our secrets, over these very bytes, and not long ago.
function genuine(id, timestamp, signatures, body) {
  if (!/^[\w.-]{1,128}$/.test(id) || !/^[0-9]{1,12}$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const right = SECRETS.map((key) =>
    Buffer.from("v1," + createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")));
  const given = signatures.split(" ").slice(0, 10).map((one) => Buffer.from(one)); // two while a secret is changed
  return given.some((one) => right.some((ours) => one.length === ours.length && timingSafeEqual(one, ours)));
}

// On disk under its id before we answer. A repeat finds its file there: link() makes it once, or not at all.
async function keep(id, body) {
  const fresh = join(INBOX, `.${randomUUID()}`);
  try {
    const file = await open(fresh, "wx");
    await file.writeFile(body);
    await file.sync();
    await file.close();
    await link(fresh, join(INBOX, `${id}.json`));
    const folder = await open(INBOX);
    await folder.sync();
    await folder.close();
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  } finally {
    await rm(fresh, { force: true });
  }
}

// Your work: ring a bell, open a ticket. It may be called again after a crash in the middle of it.
async function handle(message) {
  for (const alert of message.data.alerts ?? []) console.log(message.type, alert.severity, alert.summary.en);
}

// What is in the inbox and not done, in the order of arrival; also what a crash has left. What fails is tried again.
async function work() {
  const names = (await readdir(INBOX)).filter((name) => name.endsWith(".json"));
  const found = await Promise.all(names.map(async (name) => [(await stat(join(INBOX, name))).mtimeMs, join(INBOX, name)]));
  for (const [, path] of found.sort((a, b) => a[0] - b[0])) {
    await workOn(path).catch((error) => console.error(path, error.message)); // the others go on
  }
}

async function workOn(path) {
  const done = path.replace(/json$/, "done");
  const doneAt = (await stat(done).catch(() => null))?.mtimeMs;
  if (doneAt === undefined) {
    await handle(JSON.parse(await readFile(path, "utf8")));
    await writeFile(done, "");
    console.log("done", basename(path, ".json"));
  } else if (Date.now() - doneAt > KEEP_MS) {
    await rm(path); // a repeat comes within four days
    await rm(done);
  }
}

let working = Promise.resolve();
const workSoon = () => {
  working = working.then(work).catch((error) => console.error(error.message));
};

function read(request) {
  return new Promise((resolve, reject) => {
    const parts = [];
    let size = 0;
    request.on("data", (part) => {
      size += part.length;
      if (size > MOST_BYTES) resolve(null);
      else parts.push(part);
    });
    request.on("end", () => resolve(Buffer.concat(parts)));
    request.on("error", reject);
  });
}

async function answer(request) {
  const body = await read(request);
  if (body === null) return 413;
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => request.headers[`webhook-${name}`] ?? "");
  if (request.method !== "POST" || !genuine(id, timestamp, signatures, body)) return 401;
  await keep(id, body);
  workSoon();
  return 204;
}

mkdirSync(INBOX, { recursive: true });
workSoon();
setInterval(workSoon, 60_000);
const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
  answer(request).catch(() => 500).then((status) => response.writeHead(status, { connection: "close" }).end());
});
server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
