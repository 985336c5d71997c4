// PyPI python-socketio as a client: client.py does it over each way, and here its results are judged, with npm's server
// as with Sockeye's.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { run, scenarioServers } from "../lib/process.mjs";

const WAYS = { websocket: "websocket", polling: "polling", upgrade: "polling,websocket" };
const servers = {};

before(async () => {
  for (const [name, start] of Object.entries(scenarioServers)) servers[name] = await start(0);
});

after(async () => {
  for (const server of Object.values(servers)) await server.stop();
});

/** What came of the steps of client.py. */
async function steps(url, transports) {
  const { PYTHON } = process.env;
  if (!PYTHON) throw new Error("PYTHON is not set: it must hold the path of a Python with the packages of requirements.txt");
  const client = run(PYTHON, [new URL("client.py", import.meta.url).pathname, url, transports]);
  let output = "";
  client.child.stdout.on("data", (chunk) => (output += chunk));
  const closed = new Promise((resolve) => client.child.once("close", resolve));
  assert.equal(await client.ended, 0, client.errors());
  await closed;
  return JSON.parse(output);
}

const EXPECTED = {
  connect_with_headers: ["value", null],
  emit: [[true, 0], [true, 5], [true, 2], [true, 1]],
  call: [[1, [1, "two"], null, "timed out"], true],
  answers_to_the_server: [["asked", "answer", { you: [1, "two"] }], ["asked", "answer", "bytes 010203"]],
  binary: [true, true, true, ["binary:3", "string", "array"], "bytes 616263"],
  rooms: [["blue", "red"], [["to red", "the last"], ["to blue, but not me", "bytes 01", "the last"]]],
  namespaces: [
    "in",
    ["connect_error", { message: "not authorized", data: { code: 42, retry: false } }],
    ["connect_error", { message: "Invalid namespace" }],
  ],
  two_namespaces_on_one_connection: [["root", "bytes 61646d696e"], true],
  the_server_disconnects: ["disconnect", "disconnect"],
  the_client_disconnects: ["gone", "leaver"],
  comes_back: [true, "back"],
  order: true,
};

for (const name of Object.keys(scenarioServers)) {
  for (const [way, transports] of Object.entries(WAYS)) {
    test(`python-socketio, ${way}, server ${name}`, { timeout: 60_000 }, async () => {
      const transport = way === "polling" ? "polling" : "websocket";
      const welcome = ["welcome", { auth: { name: "py", nested: [1, null] }, flavour: null }];
      assert.deepEqual(await steps(servers[name].url, transports), {
        connect_with_auth: { welcome, "same id": true, transport },
        ...EXPECTED,
      });
    });
  }
}
