// PyPI websockets as the client of our server: websockets-client.py does it, and here it is judged.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { run } from "../lib/process.mjs";
import { assertAgreed, skip, startTwin } from "./twin.mjs";

let twin, results;
before(async () => {
  if (skip) return;
  const { PYTHON } = process.env;
  if (!PYTHON) throw new Error("PYTHON is not set: it must hold the path of a Python with the packages of requirements.txt");
  twin = await startTwin("--origin", "https://allowed.example");
  const client = run(PYTHON, [new URL("websockets-client.py", import.meta.url).pathname, twin.url]);
  let output = "";
  client.child.stdout.on("data", (chunk) => (output += chunk));
  const closed = new Promise((resolve) => client.child.once("close", resolve));
  assert.equal(await client.ended, 0, client.errors());
  await closed;
  results = JSON.parse(output);
});
after(() => twin?.stop());

/** Judges what came of a step of the client; one that failed is a sentence instead of a result. */
function step(name, judge) {
  test(name.replaceAll("_", " "), { skip }, () => judge(results[name]));
}

step("messages", ({ different, agreed }) => {
  assert.deepEqual(different, []);
  assertAgreed(agreed);
});
step("hundred_megabytes", (result) => assert.deepEqual(result, []));
step("uncompressed", (result) => assert.deepEqual(result, { same: true, agreed: [] }));
step("order", (result) => assert.equal(result, true));
step("fragments", (result) => assert.deepEqual(result, { text: "雪 in pieces", binary: [1, 2] }));
step("pings", (result) => assert.equal(result, "still here"));
step("client_closes", (result) => assert.deepEqual(result, [[1000, ""], [1001, ""], [3000, ""], [4999, ""]]));
step("server_closes", (result) => assert.deepEqual(result, [[1000, ""], [1011, "雪"], [3000, "x".repeat(123)], [4999, "y"]]));
step("too_much", (result) => assert.equal(result, 1009));
step("subprotocols", (result) => {
  assert.deepEqual(result, [["chat.v2", "chat.v2"], ["chat.v1", "chat.v1"], [null, "none"], [null, "none"]]);
});
step("origins", (result) => assert.deepEqual(result, ["https://allowed.example", "none", 403]));
