// The packet grammar of Socket.IO, byte by byte: every row of packets.mjs sent to npm's server and to ours, over polling
// and websocket, in both revisions of Engine.IO. The transcripts are equal, except exactly for what differences.json lists.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { comparedServers } from "../lib/compared.mjs";
import { scenarioServers } from "../lib/process.mjs";
import { assertSame } from "../lib/same.mjs";
import { CASES, transcript } from "./packets.mjs";

/** Each: in the transcripts of this title and these ways, npm's words `from` are `becomes` here. */
const differences = JSON.parse(readFileSync(new URL("differences.json", import.meta.url), "utf8"));
const { servers, names } = comparedServers(scenarioServers);

const belongs = ({ title, ways }, its) => [title].flat().includes(its.title) && ways.includes(its.way);

/** The oracle's lines with the differences that are listed; an entry that does not fit is an error. */
function expected(lines, its) {
  for (const { from, becomes } of differences.filter((entry) => belongs(entry, its))) {
    assert.ok(lines.some((line) => line.includes(from)), `differences.json: the oracle's "${its.title}", ${its.way}, nowhere says ${from}`);
    lines = lines.map((line) => line.replaceAll(from, becomes));
  }
  return lines;
}

test("differences.json: every entry has its reason and its rows", () => {
  for (const entry of differences) {
    assert.ok(entry.from && entry.becomes && entry.becomes !== entry.from && entry.reason?.length > 40, JSON.stringify(entry));
    const fitting = CASES.filter((its) => belongs(entry, its));
    assert.equal(fitting.length, [entry.title].flat().length * entry.ways.length, `there is no ${entry.title}, ${entry.ways}`);
  }
});

for (const its of CASES) {
  for (const name of names) {
    test(`${its.title}, revision ${its.way}, server ${name}`, { timeout: 60_000 }, async () => {
      const [oracle, actual] = await Promise.all([transcript(its, servers.npm.url), transcript(its, servers[name].url)]);
      assert.deepEqual(oracle.filter((line) => line.startsWith("!!")), [], oracle.join("\n"));
      assertSame(actual, name === "sockeye" ? expected(oracle, its) : oracle);
    });
  }
}
