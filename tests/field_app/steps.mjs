// What a test asks of an app, one step a line on standard input; one line of JSON is the answer.
import { createInterface } from "node:readline";
import { FieldApp } from "./field-app.mjs";

const [kind, city, key, path] = process.argv.slice(2);
let spool;
if (kind === "file") {
  spool = await (await import("./file-spool.mjs")).fileSpool(path);
} else {
  await import("fake-indexeddb/auto");
  spool = await (await import("./browser-spool.mjs")).browserSpool(path);
}
let app = new FieldApp({ city, key, source: "/js", spool });
const STEPS = {
  put: (events) => app.put(events),
  flush: (ms) => app.flush(ms),
  count: () => spool.count(),
  trouble: async () => app.trouble,
  refused: async () => (spool.refused ? spool.refused() : null),
  reopen: async (to) => {
    await app.stop();
    app = new FieldApp({ city: to, key, source: "/js", spool });
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const [name, value] = JSON.parse(line);
  try {
    console.log(JSON.stringify({ said: (await STEPS[name](value)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
await app.stop();
process.exit(0);
