// The official engine.io-client 3.5, which speaks revision 3 of Engine.IO, against the raw servers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { engineServers } from "../lib/process.mjs";
import connect from "eio3-client";

const PATIENCE = 10_000;
const servers = {};

before(async () => {
  for (const [name, start] of Object.entries(engineServers)) servers[name] = await start(0, () => {});
});

after(async () => {
  for (const server of Object.values(servers)) await server.stop();
});

/** Name → the client's options, and the transport that it stays on. */
const WAYS = {
  polling: { options: { transports: ["polling"] }, ends: "polling" },
  "polling, binary as text": { options: { transports: ["polling"], forceBase64: true }, ends: "polling" },
  websocket: { options: { transports: ["websocket"] }, ends: "websocket" },
  "websocket, binary as text": { options: { transports: ["websocket"], forceBase64: true }, ends: "websocket" },
  "the upgrade": { options: {}, ends: "websocket" },
};

const opened = (socket) => new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));

/** Collects what comes, until there are so many messages. */
function messages(socket, count) {
  const seen = [];
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${seen.length} of ${count} messages within ${PATIENCE} ms`)), PATIENCE);
    socket.on("message", (data) => {
      seen.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
      if (seen.length < count) return;
      clearTimeout(timer);
      resolve(seen);
    });
  });
}

for (const name of Object.keys(engineServers)) {
  for (const [title, { options, ends }] of Object.entries(WAYS)) {
    test(`messages over ${title}, server ${name}`, { timeout: 30_000 }, async () => {
      const socket = connect(servers[name].url, { path: "/eio3/", ...options });
      try {
        await opened(socket);
        const upgraded = socket.transport.name === ends ? undefined : new Promise((resolve) => socket.once("upgrade", resolve));
        const sent = Array.from({ length: 300 }, (_, i) => {
          if (i % 3 === 0) return `${i} €😀\u2028`;
          return i % 3 === 1 ? Array.from({ length: i }, (_, j) => (i + j) % 256) : "x".repeat(i * 20);
        });
        const all = messages(socket, sent.length);
        for (const [i, message] of sent.entries()) {
          socket.send(typeof message === "string" ? message : Buffer.from(message));
          if (i === 100) await upgraded;
        }
        assert.deepEqual(await all, sent);
        assert.equal(socket.transport.name, ends);
      } finally {
        socket.close();
      }
    });
  }

  for (const transports of [["polling"], ["websocket"]]) {
    test(`the client's pings are answered over ${transports}, server ${name}`, { timeout: 10_000 }, async () => {
      const socket = connect(servers[name].url, { path: "/eio3-fast/", transports });
      try {
        await opened(socket);
        // Both ends give up after 500 ms without the heartbeat.
        for (let i = 0; i < 3; i++) {
          await new Promise((resolve, reject) => socket.once("pong", resolve).once("close", reject));
        }
        const echoed = messages(socket, 1);
        socket.send("alive");
        assert.deepEqual(await echoed, ["alive"]);
      } finally {
        socket.close();
      }
    });
  }

  test(`a client that does not ping is given up, server ${name}`, { timeout: 10_000 }, async () => {
    const socket = connect(servers[name].url, { path: "/eio3-fast/", transports: ["websocket"] });
    await opened(socket);
    clearTimeout(socket.pingIntervalTimer);
    socket.ping = () => {};
    assert.equal(await new Promise((resolve) => socket.once("close", resolve)), "transport close");
  });

  test(`the server closes, server ${name}`, { timeout: 10_000 }, async () => {
    for (const transports of [["polling"], ["websocket"]]) {
      const socket = connect(servers[name].url, { path: "/eio3/", transports });
      await opened(socket);
      socket.send("send 3 and close");
      const all = messages(socket, 3);
      assert.equal(await new Promise((resolve) => socket.once("close", resolve)), "transport close");
      assert.deepEqual(await all, ["0", "1", "2"]);
    }
  });

  test(`a server that does not allow it, server ${name}`, { timeout: 10_000 }, async () => {
    const socket = connect(servers[name].url, { path: "/plain/", transports: ["polling"] });
    const [error] = await new Promise((resolve) => socket.once("error", (...args) => resolve(args)));
    assert.deepEqual([error.message, error.description], ["xhr poll error", 400]);
  });
}
