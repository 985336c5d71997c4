// PyPI websockets as the server of our client: websockets-server.py does it, and here it is judged.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { run } from "../lib/process.mjs";
import { clientProgram } from "./client-twin.mjs";
import { skip } from "./twin.mjs";

let results;
before(async () => {
  if (skip) return;
  const { PYTHON } = process.env;
  if (!PYTHON) throw new Error("PYTHON is not set: it must hold the path of a Python with the packages of requirements.txt");
  const server = run(PYTHON, [new URL("websockets-server.py", import.meta.url).pathname, clientProgram()]);
  let output = "";
  server.child.stdout.on("data", (chunk) => (output += chunk));
  const closed = new Promise((resolve) => server.child.once("close", resolve));
  assert.equal(await server.ended, 0, server.errors());
  await closed;
  results = JSON.parse(output);
});

/** Judges what came of a step of the server; one that failed is a sentence instead of a result. */
function step(name, judge) {
  test(name.replaceAll("_", " "), { skip }, () => judge(results[name]));
}

const ending = (why, code, reason) => ({ path: "/here", why, code, reason, clean: true });

step("messages", (result) => {
  const agreed = ["permessage-deflate"];
  assert.deepEqual(result, {
    none: { different: [], agreed: [] }, alone: { different: [], agreed }, takeover: { different: [], agreed },
  });
});
step("hundred_megabytes", (result) => assert.deepEqual(result, []));
step("windows", (result) => {
  // Of each side, whether it has no takeover, and the bits of its window.
  assert.deepEqual(result, [
    { same: true, server: [true, 15], client: [true, 15] },
    { same: true, server: [false, 15], client: [false, 15] },
    { same: true, server: [false, 9], client: [false, 10] },
    { same: true, server: [true, 15], client: [true, 15] },
    { same: true, server: [false, 11], client: [false, 11] },
  ]);
});
step("order", (result) => assert.equal(result, true));
step("fragments", (result) => assert.deepEqual(result, { text: "雪 in pieces", binary: [1, 2] }));
step("pings", (result) => assert.equal(result, "still here"));
step("server_closes", (result) => {
  const closes = [[1000, ""], [1001, "bye"], [3000, "雪"], [4999, "x".repeat(123)]];
  assert.deepEqual(result, closes.map(([code, reason]) => [code, "last words", ending("peer", code, reason)]));
});
step("client_closes", (result) => {
  const closes = [[1000, ""], [1011, "雪"], [3000, "x".repeat(123)], [4999, "y"]];
  assert.deepEqual(result, closes.map(([code, reason]) => [code, reason, ending("local", code, reason)]));
});
step("too_much", (result) => assert.deepEqual(result, [1009, "refused"]));
step("subprotocols", (result) => assert.deepEqual(result, [["chat.v1", "chat.v1"], ["chat.v2", "chat.v2"], [null, null]]));
step("refusals", (result) => assert.deepEqual(result, [["Http", 503], ["Http", 403], ["Http", 400]]));
