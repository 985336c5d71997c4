// 10 000 numbered events each way while the connection changes over from polling to websocket: none lost, none twice,
// none out of order. The official clients against the scenario's server, several at once.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { io as io31 } from "sio3";
import { io as io48 } from "socket.io-client";
import { scenarioServers } from "../lib/process.mjs";
import { within } from "./transcript.mjs";

const N = 10_000;
/** So many are sent before the upgrade is waited for, the rest after it. */
const FIRST = N / 2;
const BATCH = 50;
const CLIENTS = 3;
const PATIENCE = 30_000;
/** What a websocket's bytes are late by, so that the upgrade takes long enough for events to be on their way. */
const LATENCY = 25;

const servers = {};

before(async () => {
  for (const [name, start] of Object.entries(scenarioServers)) {
    const server = await start(0);
    servers[name] = { server, proxy: await slowWebsockets(server.port) };
  }
});

after(async () => {
  for (const { server, proxy } of Object.values(servers)) {
    proxy.close();
    await server.stop();
  }
});

/** A proxy that passes everything on, and what belongs to a websocket later: `{ url, close() }`. */
async function slowWebsockets(port) {
  const open = new Set();
  const proxy = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    let late = 0;
    const forward = (from, to) => {
      open.add(from);
      let last = Promise.resolve();
      const after = (act) => {
        const delay = late;
        last = last.then(delay ? Promise.all([last, sleep(delay)]).then(act) : act);
      };
      from.on("data", (chunk) => {
        if (from === client && chunk.includes("transport=websocket")) late = LATENCY;
        after(() => to.write(chunk));
      });
      from.on("end", () => after(() => to.end()));
      from.on("error", () => to.destroy());
      from.on("close", () => open.delete(from));
    };
    forward(client, upstream);
    forward(upstream, client);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    close() {
      for (const socket of open) socket.destroy();
      proxy.close();
    },
  };
}

const ask = (socket, ...event) => new Promise((resolve) => socket.emit(...event, resolve));

/** Sends `collect` with from..to, a batch at a time; `count` hears how many were sent. */
async function send(socket, from, to, count = () => {}) {
  for (let i = from; i < to; i++) {
    if (i > from && i % BATCH === 0) await sleep(1);
    socket.emit("collect", i);
    count(i + 1);
  }
}

/** One client's run: what came, and how much of it before the upgrade. */
async function acrossTheUpgrade(io, url) {
  const socket = io(url, { forceNew: true, reconnection: false });
  try {
    const numbers = [];
    let sent = 0;
    socket.on("number", (i) => numbers.push(i));
    socket.on("disconnect", (reason) => numbers.push(reason));
    await within(new Promise((resolve) => socket.once("connect", resolve)), "connect", PATIENCE);
    const engine = socket.io.engine;
    assert.equal(engine.transport.name, "polling");
    const upgraded = new Promise((resolve) => engine.once("upgrade", () => resolve({ received: numbers.length, sent })));
    const first = ask(socket, "stream", 0, FIRST, BATCH);
    await send(socket, 0, FIRST, (count) => (sent = count));
    const at = await within(upgraded, "the upgrade", PATIENCE);
    const second = first.then(() => ask(socket, "stream", FIRST, N, BATCH));
    await send(socket, FIRST, N);
    await within(second, "the server's numbers", PATIENCE);
    const collected = await within(ask(socket, "collected"), "the list of the server", PATIENCE);
    return { numbers: [...numbers], collected, at, transport: engine.transport.name };
  } finally {
    socket.disconnect();
  }
}

/** Says what is wrong first, if anything is. */
function assertComplete(numbers, what) {
  const at = numbers.findIndex((value, index) => value !== index);
  const context = at < 0 ? "" : `, from ${at} on: ${numbers.slice(at, at + 5)}`;
  assert.ok(at < 0 && numbers.length === N, `${what}: ${numbers.length} of ${N}${context}`);
}

for (const server of Object.keys(scenarioServers)) {
  for (const [version, io] of [["4.8", io48], ["3.1", io31]]) {
    test(`${N} events each way across the upgrade, client ${version}, server ${server}`, async () => {
      const { url } = servers[server].proxy;
      const runs = await Promise.all(Array.from({ length: CLIENTS }, () => acrossTheUpgrade(io, url)));
      for (const { numbers, collected, at, transport } of runs) {
        assert.equal(transport, "websocket");
        assertComplete(numbers, "from the server");
        assertComplete(collected, "from the client");
        assert.ok(at.sent > 0 && at.sent < N, `${at.sent} sent before the upgrade`);
      }
      const received = runs.map(({ at }) => at.received);
      // That the run was across the upgrade; npm's server may be too slow for that, which is no matter of ours.
      if (server !== "npm") assert.ok(received.some((count) => count > 0 && count < N), `received before the upgrade: ${received}`);
    });
  }
}
