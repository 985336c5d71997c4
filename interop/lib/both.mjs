// Tests that run with Sockeye's browser client and with the official one, and expect the same of both, against a server
// that says what each of them needs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { io as official } from "socket.io-client";
import { loadClient } from "./client.mjs";
import { handshake, scriptedPolling } from "./polling.mjs";
import { CONNECTED } from "./scripted.mjs";

/** The arguments of the next `event`. */
export const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

/** Name → that client's `io`. */
export const CLIENTS = { official, sockeye: loadClient() };

/** Runs `body` with a server of its own and a function that makes sockets, which are closed afterwards. */
function check(title, io, body) {
  test(title, { timeout: 60_000 }, async (t) => {
    const server = await scriptedPolling();
    const made = [];
    t.after(() => {
      for (const { io: manager } of made) {
        manager.reconnection(false);
        for (const socket of Object.values(manager.nsps)) socket.disconnect();
      }
      server.close();
    });
    const make = (options, client = io) => {
      const socket = client(server.url, { forceNew: true, reconnection: false, ...options });
      made.push(socket);
      return socket;
    };
    await body(make, server);
  });
}

/** Runs `body` with each of the clients. */
export function both(title, body) {
  for (const [name, io] of Object.entries(CLIENTS)) check(`${title} (${name})`, io, body);
}

/** Runs `body` with Sockeye's client. */
export const sockeye = (title, body) => check(title, CLIENTS.sockeye, body);

export const POLLING = { transports: ["polling"] };

/** A socket that has joined over polling, and the GET that waits for what comes next. */
export async function joined(make, server, options = POLLING, fields = {}) {
  const socket = make(options);
  (await server.get()).answer(handshake(fields));
  const join = await server.post();
  assert.deepEqual(join.packets, ["40"]);
  join.answer();
  const poll = await server.get();
  const connected = next(socket, "connect");
  poll.answer(CONNECTED);
  await connected;
  return { socket, engine: socket.io.engine, poll: await server.get() };
}

/** Answers POSTs until so many packets came. */
export async function receive(server, count) {
  const packets = [];
  while (packets.length < count) {
    const request = await server.post();
    packets.push(...request.packets);
    request.answer();
  }
  return packets;
}
