// Numbered messages, both ways at once, over each way to be connected: none is lost, doubled or reordered.

import assert from "node:assert/strict";
import { test } from "node:test";
import { io as official } from "socket.io-client";
import { loadClient } from "../lib/client.mjs";
import { scenarioServers } from "../lib/process.mjs";
import { proxy } from "../lib/proxy.mjs";

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
const turn = () => new Promise((resolve) => setImmediate(resolve));
const EACH_WAY = 2_000;
const LARGE = "x".repeat(3_000);

/** The number-th message: some are large, some have attachments. */
const message = (number) => [number, number % 50 === 0 ? LARGE : "", ...(number % 7 === 0 ? [new Uint8Array([number, number >> 8])] : [])];
const plain = (args) => args.map((arg) => (typeof arg === "object" ? [...new Uint8Array(arg)] : arg));

/**
 * Numbers EACH_WAY messages to the server, which collects half of them and sends the others back, and asks it for as
 * many of its own. `half` is awaited before the second half, so that something can happen in the middle.
 */
async function exchange(socket, half) {
  const echoed = [];
  const numbers = [];
  socket.on("echo", (...args) => echoed.push(plain(args)));
  socket.on("number", (number) => numbers.push(number));
  const counted = [];
  for (let number = 0; number < EACH_WAY; number++) {
    if (number === EACH_WAY / 2) await half();
    socket.emit("echo", ...message(number));
    socket.emit("collect", number);
    if (number % 200 === 0) counted.push(socket.emitWithAck("count", EACH_WAY / 10));
    if (number % 5 === 0) await turn();
  }
  await Promise.all(counted);
  await socket.emitWithAck("whoami"); // behind the last echo
  const all = Array.from({ length: EACH_WAY }, (_, number) => number);
  assert.deepEqual(echoed, all.map((number) => plain(message(number))));
  assert.deepEqual(numbers, all.map((number) => number % (EACH_WAY / 10)));
  assert.deepEqual(await socket.emitWithAck("collected"), all);
}

const WAYS = {
  /** Returns the address to connect to, the options, and what is waited for in the middle. */
  "polling only": () => ({ options: { transports: ["polling"] }, ends: "polling" }),
  "websocket only": () => ({ options: { transports: ["websocket"] }, ends: "websocket" }),
  "an upgrade in the middle": () => ({
    options: {},
    half: (engine) => engine.transport.name === "websocket" || next(engine, "upgrade"),
    ends: "websocket",
  }),
  "a proxy that strips the upgrade": async (url) => ({
    through: await proxy(url, { upgrade: "stripped" }),
    options: {},
    failed: "probe error: Error: websocket error",
    ends: "polling",
  }),
  "a proxy that swallows the upgrade": async (url) => ({
    through: await proxy(url, { upgrade: "swallowed" }),
    options: {},
    ends: "polling",
  }),
  "a proxy that strips the upgrade, websocket first": async (url) => ({
    through: await proxy(url, { upgrade: "stripped" }),
    options: { transports: ["websocket", "polling"], tryAllTransports: true },
    ends: "polling",
  }),
};

for (const [serverName, start] of Object.entries(scenarioServers)) {
  for (const [clientName, io] of Object.entries({ official, sockeye: loadClient() })) {
    for (const [title, way] of Object.entries(WAYS)) {
      test(`${title}: client ${clientName}, server ${serverName}`, { timeout: 60_000 }, async (t) => {
        const server = await start(0);
        t.after(() => server.stop());
        const { through, options, half = () => {}, failed, ends } = await way(server.url);
        t.after(() => through?.close());
        const socket = io((through ?? server).url, { forceNew: true, reconnection: false, ...options });
        t.after(() => socket.disconnect());
        const { engine } = socket.io;
        const upgradeError = failed && next(engine, "upgradeError");
        let disconnected;
        socket.on("disconnect", (reason) => (disconnected = reason));
        await next(socket, "welcome");
        await exchange(socket, () => half(engine));
        if (failed) assert.equal((await upgradeError)[0].message, failed);
        assert.deepEqual([engine.transport.name, disconnected], [ends, undefined]);
      });
    }
  }
}
