// Real nginx between the official clients and the scenario's server: with the headers for the upgrade a connection ends on
// websocket, without them it stays on polling (to HTTP/1.0 upstream, nginx's default) and works.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io as io31 } from "sio3";
import { io as io48 } from "socket.io-client";
import { within } from "../engine/transcript.mjs";
import { scenarioServers } from "../lib/process.mjs";
import { startNginx } from "./nginx.mjs";

const PATIENCE = 30_000;
const clients = [["4.8", io48], ["3.1", io31]];
const running = [];
const proxies = {};

before(async () => {
  for (const [name, start] of Object.entries(scenarioServers)) {
    const server = await start(0);
    running.push(server);
    proxies[name] = { with: await startNginx(server.port, { upgrade: true }) };
    running.push(proxies[name].with);
    proxies[name].without = await startNginx(server.port, { upgrade: false });
    running.push(proxies[name].without);
  }
});

after(async () => {
  for (const each of running.reverse()) await each.stop();
});

const next = (emitter, event) =>
  within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `"${event}"`, PATIENCE);

const ask = (socket, ...event) =>
  within(new Promise((resolve) => socket.emit(...event, (...args) => resolve(args))), `an answer to "${event[0]}"`, PATIENCE);

async function connected(io, url, options, body) {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  try {
    await next(socket, "connect");
    await body(socket, socket.io.engine);
  } finally {
    socket.disconnect();
  }
}

/** Events and acks both ways: text, more than ASCII, binary, large, many. */
async function works(socket) {
  assert.deepEqual(await ask(socket, "echo", "text", "雪 😀", { a: [1, null] }), ["text", "雪 😀", { a: [1, null] }]);
  const [binary] = await ask(socket, "echo", Buffer.from([0, 1, 254, 255]));
  assert.deepEqual(Buffer.from(binary), Buffer.from([0, 1, 254, 255]));
  const large = "x".repeat(300_000);
  assert.ok((await ask(socket, "echo", large))[0] === large);
  const numbers = [];
  socket.on("number", (i) => numbers.push(i));
  assert.deepEqual(await ask(socket, "count", 500), [500]);
  assert.deepEqual(numbers, Array.from({ length: 500 }, (_, i) => i));
  for (let i = 0; i < 500; i++) socket.emit("collect", i);
  assert.deepEqual(await ask(socket, "collected"), [numbers]);
}

/** What the server saw of the request that opened the session. */
async function forwarded(socket) {
  const [[address, host]] = await ask(socket, "headers", ["x-forwarded-for", "host"]);
  assert.equal(address, "127.0.0.1");
  assert.equal(host, "127.0.0.1");
}

for (const server of Object.keys(scenarioServers)) {
  for (const [version, io] of clients) {
    test(`with the upgrade headers, client ${version}, server ${server}`, async () => {
      const { url } = proxies[server].with;
      await connected(io, url, {}, async (socket, engine) => {
        if (engine.transport.name === "polling") await next(engine, "upgrade");
        assert.equal(engine.transport.name, "websocket");
        await works(socket);
        await forwarded(socket);
        socket.emit("drop me", true);
        assert.equal((await next(socket, "disconnect"))[0], "io server disconnect");
      });
      await connected(io, url, { transports: ["websocket"] }, async (socket) => {
        await works(socket);
        await forwarded(socket);
      });
    });

    test(`without the upgrade headers, client ${version}, server ${server}`, async () => {
      const { url } = proxies[server].without;
      const failed = [];
      const socket = io(url, { forceNew: true, reconnection: false });
      try {
        socket.io.engine.once("upgradeError", (err) => failed.push(err));
        await next(socket, "connect");
        if (failed.length === 0) await next(socket.io.engine, "upgradeError");
        await works(socket);
        assert.equal(socket.io.engine.transport.name, "polling");
        await forwarded(socket);
        socket.emit("drop me", true);
        assert.equal((await next(socket, "disconnect"))[0], "io server disconnect");
      } finally {
        socket.disconnect();
      }
      const refused = io(url, { forceNew: true, reconnection: false, transports: ["websocket"] });
      assert.equal((await next(refused, "connect_error"))[0].message, "websocket error");
      refused.disconnect();
      await connected(io, url, { transports: ["polling"] }, works);
    });
  }
}
