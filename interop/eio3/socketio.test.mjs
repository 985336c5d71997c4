// The official client 2.5, which speaks revision 3 of Engine.IO, over every way: its transcript with Sockeye is that with
// npm socket.io (allowEIO3), except exactly for what ../differences.json lists for the client "official 2.5".

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import io from "sio2";
import { comparedServers } from "../lib/compared.mjs";
import { scenarioServers } from "../lib/process.mjs";
import { assertSame } from "../lib/same.mjs";
import { converse, WAYS } from "./conversation.mjs";

const CLIENT = "official 2.5";
const differences = JSON.parse(readFileSync(new URL("../differences.json", import.meta.url), "utf8"))
  .filter(({ client }) => client === CLIENT);
const { servers, names } = comparedServers(scenarioServers);

async function transcript(way, { url }) {
  const lines = [];
  await converse({ io, url, log: (line) => lines.push(String(line)), transports: WAYS[way] });
  return lines;
}

/** The oracle's transcript with the differences that are listed; an entry that does not fit is an error. */
function expected(lines, server) {
  if (server !== "sockeye") return lines;
  lines = [...lines];
  for (const { part, line, becomes } of differences) {
    const start = lines.indexOf(`== ${part}`);
    const end = lines.findIndex((line, index) => index > start && line.startsWith("== "));
    const at = lines.indexOf(line, start);
    assert.ok(start >= 0 && at >= 0 && (end < 0 || at < end), `differences.json: "${part}" of the oracle has no line ${line}`);
    lines.splice(at, 1, ...becomes);
  }
  return lines;
}

for (const name of names) {
  for (const way of Object.keys(WAYS)) {
    test(`the official client 2.5, ${way}, server ${name}`, { timeout: 120_000 }, async () => {
      const [oracle, actual] = await Promise.all([transcript(way, servers.npm), transcript(way, servers[name])]);
      assert.deepEqual(oracle.filter((line) => line.startsWith("!!")), [], oracle.join("\n"));
      assertSame(actual, expected(oracle, name));
    });
  }
}

if (names.includes("sockeye")) {
  // npm asks for the namespace under its percent-encoded name, and answers under that, too: this client hears nothing.
  test("the official client 2.5 in a namespace beyond ASCII", { timeout: 60_000 }, async () => {
    const socket = io(`${servers.sockeye.url}/имя`, { forceNew: true, query: { token: "x" } });
    try {
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      assert.deepEqual(await new Promise((resolve) => socket.emit("echo", "да", resolve)), "да");
    } finally {
      socket.close();
    }
  });
}
