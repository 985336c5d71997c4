// The parts of features.mjs: each official client, by each parser, over each way; and those of scenario.mjs by msgpack. The
// transcripts are those of the same client with npm's server, except exactly for what ../differences.json lists with a parser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import io25 from "sio2";
import { io as io31 } from "sio3";
import { io as io48 } from "socket.io-client";
import { featureServers } from "../lib/process.mjs";
import { assertSame } from "../lib/same.mjs";
import { PARTS, run } from "./features.mjs";
import { run as runScenario, WAYS } from "./scenario.mjs";

const CLIENTS = { 4.8: io48, 3.1: io31, 2.5: io25 };
/** Name → the options of the client that speaks it. The msgpack parser that clients 2.x could load is another. */
const PARSERS = { default: {}, msgpack: { parser: createRequire(import.meta.url)("socket.io-msgpack-parser") } };
const pairs = Object.keys(CLIENTS).flatMap((version) => Object.keys(PARSERS).map((parser) => ({ version, parser })))
  .filter(({ version, parser }) => Number(version) >= 3 || parser === "default");

const differences = JSON.parse(readFileSync(new URL("../differences.json", import.meta.url), "utf8"))
  .filter(({ parser }) => parser !== undefined);

const servers = {};

before(async () => {
  for (const [name, start] of Object.entries(featureServers)) servers[name] = await start(0);
});

after(async () => {
  for (const server of Object.values(servers)) await server.stop();
});

/** The oracle's transcript with the differences that are `listed`; an entry that does not fit is an error. */
function expected(lines, listed, { version, parser, way }) {
  const fits = (value, wanted) => value === "any" || [value].flat().includes(wanted);
  lines = [...lines];
  for (const entry of listed) {
    if (!fits(entry.client, version) || !fits(entry.parser, parser) || !fits(entry.way, way)) continue;
    const start = lines.indexOf(`== ${entry.part}`);
    const end = lines.findIndex((line, index) => index > start && line.startsWith("== "));
    const at = lines.indexOf(entry.line, start);
    const inPart = start >= 0 && at >= 0 && (end < 0 || at < end);
    assert.ok(inPart, `differences.json: "${entry.part}" of the oracle has no line ${JSON.stringify(entry.line)}`);
    lines.splice(at, 1, ...entry.becomes);
  }
  return lines;
}

/** With its part before each line, so that a report says where it is. */
function located(lines) {
  let part = "";
  return lines.map((line) => (line.startsWith("== ") ? (part = line) : `${part.slice(3)}: ${line}`));
}

test("there are enough of them", () => {
  assert.ok(Object.keys(PARTS).length >= 60, String(Object.keys(PARTS).length));
});

const ofFeatures = differences.filter(({ part }) => part in PARTS);
const ofScenario = differences.filter(({ part }) => !(part in PARTS));

/** Both servers tell the same; without Sockeye's, npm's tells something whole. */
async function compare(transcript, listed, pair) {
  const oracle = pair.parser === "msgpack" ? servers.msgpack : servers.npm;
  const [npm, ours] = await Promise.all([transcript(oracle), servers.sockeye && transcript(servers.sockeye)]);
  assert.deepEqual(located(npm).filter((line) => line.includes(": !! ")), []);
  if (ours) assertSame(located(ours), located(expected(npm, listed, pair)));
}

for (const { version, parser } of pairs) {
  // Most of the time they wait.
  describe(`the official client ${version}, parser ${parser}`, { concurrency: 2 }, () => {
    for (const way of Object.keys(WAYS)) {
      const tools = { io: CLIENTS[version], version: Number(version), transports: WAYS[way], options: PARSERS[parser] };
      test(`client ${version}, parser ${parser}, ${way}`, { timeout: 120_000 }, async () => {
        await compare(({ url }) => run({ ...tools, url }), ofFeatures, { version, parser, way });
      });

      if (parser === "default") continue; // scenario.test.mjs
      test(`scenario.mjs: client ${version}, parser ${parser}, ${way}`, { timeout: 120_000 }, async () => {
        const io = (url, options) => CLIENTS[version](url, { ...options, ...PARSERS[parser] });
        const transcript = async ({ url }) => {
          const lines = [];
          await runScenario({ io, url, log: (line) => lines.push(line), transports: WAYS[way] });
          return lines;
        };
        await compare(transcript, ofScenario, { version, parser, way });
      });
    }
  });
}
