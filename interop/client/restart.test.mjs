// The server's process is killed and started again on its port: both clients come back by themselves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { io as official } from "socket.io-client";
import { loadClient } from "../lib/client.mjs";
import { scenarioServers } from "../lib/process.mjs";

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

for (const [serverName, start] of Object.entries(scenarioServers)) {
  for (const [clientName, io] of Object.entries({ official, sockeye: loadClient() })) {
    test(`client ${clientName}, server ${serverName}`, { timeout: 20_000 }, async (t) => {
      let server = await start(0);
      t.after(() => server.stop());
      const socket = io(server.url, {
        transports: ["websocket"], forceNew: true, auth: { name: "survivor" }, reconnectionDelay: 20, reconnectionDelayMax: 50,
      });
      const admin = socket.io.socket("/admin", { auth: { token: "letmein" } });
      t.after(() => [socket, admin].map((each) => each.disconnect()));
      await next(socket, "welcome");
      const first = socket.id;
      if (!admin.connected) await next(admin, "connect");
      const echoes = [];
      socket.on("echo", (...args) => echoes.push(args));

      const lost = Promise.all([next(socket, "disconnect"), next(admin, "disconnect")]);
      const failed = next(socket, "connect_error");
      const { port } = server;
      await server.stop("SIGKILL");
      assert.deepEqual((await lost).map(([reason]) => reason), ["transport close", "transport close"]);
      socket.emit("echo", "kept", new Uint8Array([1]));
      const pending = socket.emitWithAck("echo", "asked while away");
      assert.equal((await failed)[0].message, "websocket error");
      assert.ok(socket.active && !socket.connected && socket.id === undefined);

      const [welcome, again] = [next(socket, "welcome"), next(admin, "connect")];
      server = await start(port);
      assert.deepEqual(await welcome, [{ auth: { name: "survivor" }, flavour: null }]);
      await again;
      assert.equal(await pending, "asked while away");
      assert.notEqual(socket.id, first);
      assert.equal(await admin.emitWithAck("echo", "still admitted"), "still admitted");
      assert.deepEqual(echoes.map(([text, bytes]) => [text, ...new Uint8Array(bytes)]), [["kept", 1]]);
    });
  }
}
