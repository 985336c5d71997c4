// The official client whose parser is the default one with a replacer and a reviver, against a server of ours with the same.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, test } from "node:test";
import { io } from "socket.io-client";
import { digitServers } from "../lib/process.mjs";

const { Encoder, Decoder } = createRequire(import.meta.url)("socket.io-parser");

/** To the server these are numbers. */
const replacer = (_, value) => (typeof value === "bigint" ? `${value}n` : value);
const reviver = (_, value) => (/^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value);
const parser = {
  Encoder: class extends Encoder {
    constructor() {
      super(replacer);
    }
  },
  Decoder: class extends Decoder {
    constructor() {
      super({ reviver });
    }
  },
};
const BIG = 2n ** 64n - 1n;
const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

if (digitServers.sockeye) {
  const server = await digitServers.sockeye(0);
  after(() => server.stop());

  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    test(`numbers that JavaScript would round, over ${transports.join(" and ")}`, { timeout: 60_000 }, async (t) => {
      const socket = io(server.url, { transports, parser, auth: { big: BIG }, forceNew: true, reconnection: false });
      t.after(() => socket.disconnect());
      const welcome = next(socket, "welcome");
      const failed = next(socket, "connect_error").then(([error]) => Promise.reject(error));
      await Promise.race([next(socket, "connect"), failed]);
      assert.deepEqual((await welcome)[0].auth, { big: BIG });
      const { engine } = socket.io;
      if (engine.transport.name !== transports.at(-1)) await next(engine, "upgrade");

      const values = [BIG, 1, -1.5, "1n of many", { deep: [BIG, null] }, { file: Buffer.from([1, 2]), size: BIG }, BIG];
      assert.deepEqual(await socket.emitWithAck("types", BIG, String(BIG)), ["number", "string"]);
      for (const some of [values.slice(0, 5), values]) {
        assert.deepEqual(await socket.emitWithAck("echo", { some }), { some });
        const back = next(socket, "echo");
        socket.emit("echo", ...some);
        assert.deepEqual(await back, some);
      }

      // The server asks.
      for (const value of [BIG, { file: Buffer.from([3]), size: BIG }]) {
        socket.once("question", (asked, ack) => ack(asked));
        const asked = next(socket, "asked");
        socket.emit("ask", "question", value, 10_000);
        assert.deepEqual(await asked, ["answer", value]);
      }
    });
  }
}
