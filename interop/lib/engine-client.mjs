// What the tests of the official Engine.IO clients share, whichever revision of the protocol they speak.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { engineServers } from "./process.mjs";

const PATIENCE = 30_000;

/** What both ends of /fast/ and /eio3-fast/ give up after without the heartbeat, in milliseconds. */
const GIVEN_UP = 1_800;

/** Name → the client's options, and the transport that it stays on. */
const WAYS = {
  polling: { options: { transports: ["polling"] }, ends: "polling" },
  "polling, binary as text": { options: { transports: ["polling"], forceBase64: true }, ends: "polling" },
  websocket: { options: { transports: ["websocket"] }, ends: "websocket" },
  "websocket, binary as text": { options: { transports: ["websocket"], forceBase64: true }, ends: "websocket" },
  "the upgrade": { options: {}, ends: "websocket" },
};

/** Starts the raw servers for the tests of this file; their names. */
export function serversOfThisFile() {
  const servers = {};
  before(async () => {
    for (const [name, start] of Object.entries(engineServers)) servers[name] = await start(0, () => {});
  });
  after(async () => {
    for (const server of Object.values(servers)) await server.stop();
  });
  return { names: Object.keys(engineServers), url: (name) => servers[name].url };
}

/** What an emitter tells next, or what is wrong with it. */
export const next = (socket, event) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`no "${event}" within ${PATIENCE} ms`)), PATIENCE);
  const settle = (settled) => (...args) => {
    clearTimeout(timer);
    settled(args[0]);
  };
  socket.once(event, settle(resolve));
  if (event === "error" || event === "close") return;
  socket.once("error", settle(reject));
  socket.once("close", settle((reason) => reject(new Error(`closed before any "${event}": ${reason}`))));
});

/** The next `count` messages. */
export function messages(socket, count) {
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

/** Sends `text` and expects it back. */
export async function echoed(socket, text) {
  const back = messages(socket, 1);
  socket.send(text);
  assert.deepEqual(await back, [text]);
}

/** Messages of every kind each way, over every way, with sockets that `open(options)` makes. */
export function testMessages(client, server, open) {
  for (const [title, { options, ends }] of Object.entries(WAYS)) {
    test(`${client}: messages over ${title}, server ${server}`, { timeout: 60_000 }, async () => {
      const socket = open(options);
      try {
        await next(socket, "open");
        const upgraded = socket.transport.name === ends ? undefined : next(socket, "upgrade");
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
}

/** The heartbeat keeps a socket that `open(options)` makes for longer than it would live without; `beat` is its event for one. */
export function testHeartbeats(client, server, open, beat) {
  describe(`${client}: heartbeats, server ${server}`, { concurrency: 2 }, () => {
    for (const transports of [["polling"], ["websocket"]]) {
      test(`over ${transports}`, { timeout: 60_000 }, async () => {
        const socket = open({ transports });
        try {
          await next(socket, "open");
          const start = performance.now();
          while (performance.now() - start <= 1.2 * GIVEN_UP) await next(socket, beat);
          await echoed(socket, "alive");
        } finally {
          socket.close();
        }
      });
    }
  });
}

/** The server sends, and closes. */
export function testServerCloses(client, server, open) {
  for (const transports of [["polling"], ["websocket"]]) {
    test(`${client}: the server closes over ${transports}, server ${server}`, { timeout: 60_000 }, async () => {
      const socket = open({ transports });
      await next(socket, "open");
      const [all, closed] = [messages(socket, 3), next(socket, "close")];
      socket.send("send 3 and close");
      assert.equal(await closed, "transport close");
      assert.deepEqual(await all, ["0", "1", "2"]);
    });
  }
}
