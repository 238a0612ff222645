// A field app that a test kills: puts events from where it left off, then waits until all have arrived.
import { readFile, rename, writeFile } from "node:fs/promises";
import { FieldApp } from "./field-app.mjs";
import { fileSpool } from "./file-spool.mjs";

const [city, key, folder, events, atOnce, area, begin] = process.argv.slice(2);
const spool = await fileSpool(`${folder}/spool`);
const app = new FieldApp({ city, key, source: "/patrol/js", spool });
console.log("open");
const from = Number(await readFile(`${folder}/done`, "utf8").catch(() => "0"));
for (let first = from; first < Number(events); first += Number(atOnce)) {
  await app.put(Array.from({ length: Number(atOnce) }, (_, n) => ({
    id: `e-${first + n}`, type: "parking.occupancy", subject: "lot-1", area, time: new Date(Date.parse(begin) + 200 * (first + n)).toISOString(),
    data: { occupied: (first + n) % 90, capacity: 90 },
  })));
  await writeFile(`${folder}/done.new`, String(first + Number(atOnce)));
  await rename(`${folder}/done.new`, `${folder}/done`);
  await new Promise((resolve) => setTimeout(resolve, 20));
}
await app.flush(120_000);
await app.stop();
console.log("flushed");
