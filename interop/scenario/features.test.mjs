// The parts of features.mjs: each official client, by each parser, over each way. The transcripts are those of the same
// client with npm's server, except exactly for what ../differences.json lists with a parser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import io25 from "sio2";
import { io as io31 } from "sio3";
import { io as io48 } from "socket.io-client";
import { featureServers } from "../lib/process.mjs";
import { assertSame } from "../lib/same.mjs";
import { PARTS, run } from "./features.mjs";
import { WAYS } from "./scenario.mjs";

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

/** The oracle's transcript with the differences that are listed; an entry that does not fit is an error. */
function expected(lines, { version, parser, way }) {
  const fits = (value, wanted) => value === "any" || [value].flat().includes(wanted);
  lines = [...lines];
  for (const entry of differences) {
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

for (const { version, parser } of pairs) {
  for (const way of Object.keys(WAYS)) {
    const title = `the official client ${version}, parser ${parser}, ${way}`;
    test(title, { timeout: 120_000 }, async () => {
      const transcript = ({ url }) => run({
        io: CLIENTS[version], version: Number(version), url, transports: WAYS[way], options: PARSERS[parser],
      });
      const oracle = parser === "msgpack" ? servers.msgpack : servers.npm;
      const [npm, ours] = await Promise.all([transcript(oracle), servers.sockeye && transcript(servers.sockeye)]);
      assert.deepEqual(located(npm).filter((line) => line.includes(": !! ")), []);
      if (ours) assertSame(located(ours), located(expected(npm, { version, parser, way })));
    });
  }
}
