// One room, three kinds of members: the official client, a page in Chromium, and a Python program that has only a
// WebSocket (`websockets`). The server and the program are the example `shared-room`.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { launch, openPage } from "../lib/browser.mjs";
import { run, sharedRoom } from "../lib/process.mjs";
import { queue } from "../lib/scripted.mjs";

const SCRIPT = new URL("../../crates/sockeye/examples/shared_room.py", import.meta.url).pathname;
const { PYTHON } = process.env;
const OPTIONS = { timeout: 60_000, skip: sharedRoom === undefined };

let server, directory;
before(async () => {
  server = await sharedRoom?.();
  directory = mkdtempSync(join(tmpdir(), "shared-room-"));
});
after(async () => {
  await server?.stop();
  if (directory) rmSync(directory, { recursive: true });
});

/** The Python program: `say(line)`, `hear()` for the next line that it prints, `leave()` for its exit code. */
async function python(name) {
  if (!PYTHON) throw new Error("PYTHON is not set: it must hold the path of a Python with the packages of requirements.txt");
  const { child, ended, errors } = run(PYTHON, [SCRIPT, `ws://127.0.0.1:${server.port}/plain`, name]);
  const lines = queue();
  createInterface(child.stdout).on("line", (line) => lines.put(line));
  const failed = ended.then((code) => Promise.reject(new Error(`the program ended (${code})\n${errors()}`)));
  failed.catch(() => {});
  const hear = () => Promise.race([lines.take(), failed]);
  assert.match(await hear(), /^connected as [\w-]{20}$/);
  const leave = () => {
    child.stdin.end();
    return ended.then((code) => assert.equal(code, 0, errors()));
  };
  return { say: (line) => child.stdin.write(`${line}\n`), hear, leave };
}

/** The official client, and what it hears. */
async function official(t) {
  const socket = io(server.url, { forceNew: true, reconnection: false });
  t.after(() => socket.disconnect());
  const heard = queue();
  socket.on("chat message", (...args) => heard.put(args));
  await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
  return { socket, hear: heard.take };
}

test("text, acks and binary between all of them", OPTIONS, async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const page = await openPage(await browser.newContext(), server.url);
  await page.waitForFunction("socket.connected");
  const shows = (text) => page.waitForSelector(`li:text-is(${JSON.stringify(text)})`);
  const [one, two] = await Promise.all([python("one"), python("two")]);
  const { socket, hear } = await official(t);

  one.say("hello, 😀");
  assert.equal(await one.hear(), "message 1 is posted");
  assert.equal(await two.hear(), "one: hello, 😀");
  assert.deepEqual(await hear(), ["one", "hello, 😀"]);
  await shows("one: hello, 😀");

  assert.equal(await socket.emitWithAck("chat message", "node", "bytes", Buffer.from([0, 0xff])), "posted");
  for (const plain of [one, two]) assert.equal(await plain.hear(), "node: bytes b'\\x00\\xff'");
  await shows("node: bytes (2 bytes)");

  const file = join(directory, "file.bin");
  writeFileSync(file, Buffer.from([1, 2, 3]));
  two.say(`@${file}`);
  assert.equal(await two.hear(), "message 1 is posted");
  assert.equal(await one.hear(), `two: @${file} b'\\x01\\x02\\x03'`);
  assert.deepEqual(await hear(), ["two", `@${file}`, Buffer.from([1, 2, 3])]);
  await shows(`two: @${file} (3 bytes)`);

  await page.fill("input", "from a page");
  await page.press("input", "Enter");
  await shows("me: from a page");
  assert.deepEqual(await hear(), ["browser", "from a page"]);
  for (const plain of [one, two]) assert.equal(await plain.hear(), "browser: from a page");
  assert.deepEqual(page.problems, []);

  await Promise.all([one.leave(), two.leave()]);
});

test("an object that looks like binary stays what it is", OPTIONS, async (t) => {
  const one = await python("one");
  const { socket } = await official(t);
  await socket.emitWithAck("chat message", "node", { $binary: "x", $$binary: [1] });
  assert.equal(await one.hear(), "node: {'$binary': 'x', '$$binary': [1]}");
  await one.leave();
});
