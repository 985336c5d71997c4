// Engine.IO on the wire: every script of scripts/ against the npm server and ours; the transcripts are equal, except
// exactly for what differences.json lists. With INTEROP_ONLY=node the npm server is compared with itself, which shows
// that a transcript is the same every time.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { engineServers } from "../lib/process.mjs";
import { assertSame } from "../lib/same.mjs";
import headers from "./scripts/headers.mjs";
import heartbeat from "./scripts/heartbeat.mjs";
import polling from "./scripts/polling.mjs";
import probing from "./scripts/probing.mjs";
import requests from "./scripts/requests.mjs";
import revision3 from "./scripts/revision3.mjs";
import told from "./scripts/told.mjs";
import websocket from "./scripts/websocket.mjs";
import { journal, tools } from "./transcript.mjs";

const quick = { ...requests, ...polling, ...headers, ...websocket, ...probing, ...revision3, ...told };
const scripts = { ...quick, ...heartbeat };
const differences = JSON.parse(readFileSync(new URL("differences.json", import.meta.url), "utf8"));

const { npm, ...others } = engineServers;
const compared = Object.keys(others).length > 0 ? others : { "npm, a second time": npm };
const servers = [];
let oracle;

async function started(start) {
  const lines = journal();
  const server = await start(0, lines.put);
  servers.push(server);
  return { url: server.url, journal: lines };
}

before(async () => {
  oracle = await started(npm);
  for (const [name, start] of Object.entries(compared)) compared[name] = await started(start);
});

after(async () => {
  for (const server of servers) await server.stop();
});

async function transcript(script, server) {
  const run = tools(server);
  try {
    await script(run);
  } catch (err) {
    run.log(`!! ${err.message}`);
  } finally {
    run.end();
  }
  return run.lines;
}

/** The oracle's transcript with the differences that are listed for the script. */
function expected(title, lines) {
  for (const { script, lines: from, becomes } of differences) {
    if (script !== title) continue;
    const at = lines.findIndex((_, index) => from.every((line, i) => lines[index + i] === line));
    assert.ok(at >= 0, `differences.json: the oracle's "${title}" has no lines ${JSON.stringify(from)}`);
    lines = lines.toSpliced(at, from.length, ...becomes);
  }
  return lines;
}

test("differences.json: every entry has its reason and its script", () => {
  for (const { script, lines, becomes, reason } of differences) {
    assert.ok(script in scripts, `there is no script "${script}"`);
    assert.ok(lines?.length > 0 && Array.isArray(becomes) && reason?.length > 40, `incomplete entry for "${script}"`);
    assert.notDeepEqual(becomes, lines);
  }
});

function compare(title, script) {
  test(title, async () => {
    const ours = Object.entries(compared).map(async ([name, server]) => [name, await transcript(script, server)]);
    const lines = await transcript(script, oracle);
    assert.deepEqual(lines.filter((line) => line.startsWith("!!")), [], lines.join("\n"));
    const wanted = expected(title, lines);
    for (const [name, actual] of await Promise.all(ours)) assertSame(actual, name in others ? wanted : lines);
  });
}

for (const [title, script] of Object.entries(quick)) compare(title, script);

// These wait most of their time.
describe("heartbeats", { concurrency: Object.keys(heartbeat).length }, () => {
  for (const [title, script] of Object.entries(heartbeat)) compare(title, script);
});
