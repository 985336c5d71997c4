// The server's process is killed and started again on its port: both clients come back by themselves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { io as official } from "socket.io-client";
import { loadClient } from "../lib/client.mjs";
import { scenarioServers } from "../lib/process.mjs";

// Default transports: opened with polling, and upgraded by the time the server dies.
const WAYS = [
  { title: "websocket", options: { transports: ["websocket"] }, on: "websocket", lost: "transport close", failure: "websocket error" },
  { title: "polling", options: { transports: ["polling"] }, on: "polling", lost: "transport error", failure: "xhr poll error" },
  { title: "default transports", options: {}, on: "websocket", lost: "transport close", failure: "xhr poll error" },
];

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

for (const [serverName, start] of Object.entries(scenarioServers)) {
  for (const [clientName, io] of Object.entries({ official, sockeye: loadClient() })) {
    for (const way of WAYS) test(`${way.title}: client ${clientName}, server ${serverName}`, { timeout: 60_000 }, async (t) => {
      let server = await start(0);
      t.after(() => server.stop());
      const socket = io(server.url, {
        ...way.options, forceNew: true, auth: { name: "survivor" }, reconnectionDelay: 20, reconnectionDelayMax: 50,
      });
      const admin = socket.io.socket("/admin", { auth: { token: "letmein" } });
      t.after(() => [socket, admin].map((each) => each.disconnect()));
      await next(socket, "welcome");
      const on = (name) => socket.io.engine.transport.name === name || next(socket.io.engine, "upgrade");
      await on(way.on);
      const first = socket.id;
      if (!admin.connected) await next(admin, "connect");
      const echoes = [];
      socket.on("echo", (...args) => echoes.push(args));

      const lost = Promise.all([next(socket, "disconnect"), next(admin, "disconnect")]);
      const failed = next(socket, "connect_error");
      const { port } = server;
      await server.stop("SIGKILL");
      assert.deepEqual((await lost).map(([reason]) => reason), [way.lost, way.lost]);
      socket.emit("echo", "kept", new Uint8Array([1]));
      const pending = socket.emitWithAck("echo", "asked while away");
      assert.equal((await failed)[0].message, way.failure);
      assert.ok(socket.active && !socket.connected && socket.id === undefined);

      const [welcome, again] = [next(socket, "welcome"), next(admin, "connect")];
      server = await start(port);
      assert.deepEqual(await welcome, [{ auth: { name: "survivor" }, flavour: null }]);
      await again;
      assert.equal(await pending, "asked while away");
      assert.notEqual(socket.id, first);
      assert.equal(await admin.emitWithAck("echo", "still admitted"), "still admitted");
      assert.deepEqual(echoes.map(([text, bytes]) => [text, ...new Uint8Array(bytes)]), [["kept", 1]]);
      await on(way.on);
      assert.equal(await socket.emitWithAck("echo", "and goes on"), "and goes on");
      assert.equal(socket.io.engine.transport.name, way.on);
    });
  }
}

// Sockeye's client alone: the official one, once it has paused polling for the upgrade and the websocket is lost, neither
// polls nor fails before its ping timeout of 45 s. Node's server seldom lets it come that far so soon.
for (const [serverName, start] of Object.entries(scenarioServers)) {
  for (const [clientName, io] of Object.entries({ sockeye: loadClient() })) {
    test(`killed in the middle of an upgrade: client ${clientName}, server ${serverName}`, { timeout: 60_000 }, async (t) => {
      let server = await start(0);
      t.after(() => server.stop());
      const socket = io(server.url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
      t.after(() => socket.disconnect());
      const { port } = server;
      await next(socket.io.engine, "upgrading");
      const lost = next(socket.io, "close");
      await server.stop("SIGKILL");
      await lost;
      socket.emit("collect", "kept");
      server = await start(port);
      await next(socket, "connect");
      assert.deepEqual(await socket.emitWithAck("collected"), ["kept"]);
      const { engine } = socket.io;
      if (engine.transport.name !== "websocket") await next(engine, "upgrade");
      assert.equal(await socket.emitWithAck("echo", "alive"), "alive");
    });
  }
}
