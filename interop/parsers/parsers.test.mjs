// The official client with each of the official parsers, against one Sockeye server that speaks them all.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, test } from "node:test";
import { io } from "socket.io-client";
import { scenarioServers } from "../lib/process.mjs";

const require = createRequire(import.meta.url);
const PARSERS = {
  default: undefined,
  msgpack: require("socket.io-msgpack-parser"),
  json: require("socket.io-json-parser"),
};
const TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]];
const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

if (scenarioServers.sockeye) {
  const server = await scenarioServers.sockeye(0);
  after(() => server.stop());

  const connect = async (t, parser, transports, path = "/") => {
    const options = { transports, forceNew: true, reconnection: false, ...(parser && { parser }) };
    const socket = io(server.url + path, options);
    t.after(() => socket.disconnect());
    const failed = next(socket, "connect_error").then(([error]) => Promise.reject(error));
    await Promise.race([next(socket, "connect"), failed]);
    return socket;
  };

  for (const [name, parser] of Object.entries(PARSERS)) {
    for (const transports of TRANSPORTS) {
      const title = `${name} over ${transports.join(" and ")}`;
      const options = { timeout: 60_000 };

      test(`${title}: values return as they are`, options, async (t) => {
        const socket = await connect(t, parser, transports);
        // It may have upgraded before it had joined.
        const { engine } = socket.io;
        if (engine.transport.name !== transports.at(-1)) await next(engine, "upgrade");
        const values = [null, true, 0, -1, 300, 2 ** 40, 1.5, "", "é😀", "x".repeat(300), [], {}, [[{ a: [1] }]]];
        assert.deepEqual(await socket.emitWithAck("echo", ...values), values[0]);
        const back = next(socket, "echo");
        socket.emit("echo", ...values);
        assert.deepEqual(await back, values);
      });

      test(`${title}: what JSON lacks is as stringify has it`, options, async (t) => {
        const socket = await connect(t, parser, transports);
        const values = [undefined, { a: undefined, b: 1 }, new Date(0), NaN];
        const back = next(socket, "echo");
        socket.emit("echo", ...values);
        assert.deepEqual(await back, JSON.parse(JSON.stringify(values)));
      });

      test(`${title}: namespaces, and one that is not there`, options, async (t) => {
        const socket = await connect(t, parser, transports, "/имя");
        assert.equal(await socket.emitWithAck("echo", 1), 1);
        await assert.rejects(connect(t, parser, transports, "/none"), { message: "Invalid namespace" });
      });

      if (name !== "json") {
        test(`${title}: binary stays binary`, options, async (t) => {
          const socket = await connect(t, parser, transports);
          const back = next(socket, "echo");
          socket.emit("echo", { a: [Buffer.from([1, 2])] }, Buffer.alloc(300, 7), new Uint8Array([3]).buffer);
          const [nested, long, buffer] = await back;
          assert.deepEqual(Buffer.from(nested.a[0]), Buffer.from([1, 2]));
          assert.deepEqual(Buffer.from(long), Buffer.alloc(300, 7));
          assert.deepEqual(Buffer.from(buffer), Buffer.from([3]));
        });
      }
    }
  }

  test("a broadcast reaches clients of all parsers", { timeout: 60_000 }, async (t) => {
    const sockets = await Promise.all(
      Object.values(PARSERS).map((parser) => connect(t, parser, ["websocket"])),
    );
    const heard = sockets.map((socket) => next(socket, "chat message"));
    sockets[1].emit("chat message", { text: "é" });
    for (const args of await Promise.all(heard)) assert.deepEqual(args, [{ text: "é" }]);
  });
}
