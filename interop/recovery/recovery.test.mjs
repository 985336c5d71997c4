// Connection state recovery with the official client: npm's server and ours, the same steps. Where they differ,
// differences.json says so, and why.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { cuttable } from "../lib/cut.mjs";
import { recoveryServers } from "../lib/process.mjs";

const differences = JSON.parse(readFileSync(new URL("./differences.json", import.meta.url), "utf8"));
const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

/** A client behind a network that can be cut, and one that emits to it. */
async function stage(t, start, options) {
  const server = await start(0);
  const network = await cuttable(server.port);
  const heard = [];
  const { path, ...rest } = options;
  const socket = io(network.url + path, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, ...rest });
  socket.onAny((name, ...args) => {
    // The offset, which is another one in each run, and what answers.
    const shown = args.filter((arg) => typeof arg !== "function" && !/^([\w-]{7,8}(\.\d+)?|[\w-]{4}\.[\w-]+)$/.test(arg));
    const isBytes = (arg) => arg instanceof Uint8Array || arg instanceof ArrayBuffer;
    heard.push([name, ...shown].map((arg) => (isBytes(arg) ? `bytes ${[...new Uint8Array(arg)]}` : arg)).join(" "));
  });
  const driver = io(`${server.url}/driver`, { forceNew: true, parser: options.parser });
  t.after(async () => {
    socket.disconnect();
    driver.disconnect();
    network.close();
    await server.stop();
  });
  const emit = (args, target = {}) => driver.emitWithAck("emit", { in: path, ...target }, args);
  const say = async (args, target) => {
    const said = next(socket, args[0]);
    await emit(args, target);
    await said;
  };
  await next(socket, "connect");
  const first = { id: socket.id, pid: socket._pid };
  const state = async () => {
    const { id, recovered, rooms, kept } = await socket.emitWithAck("state");
    return `recovered ${recovered}, on both sides ${socket.recovered === recovered}, the same id ${id === first.id}, \
rooms ${rooms.filter((room) => room !== id)}, kept ${JSON.stringify(kept)}`;
  };
  const gone = async (id) => {
    while (await driver.emitWithAck("is there", path, id));
  };
  const lose = async () => {
    const lost = next(socket, "disconnect");
    const { id } = socket;
    network.cut();
    await lost;
    socket.disconnect(); // no attempts of its own meanwhile
    // Between two polls, no server notices: ours recovers the client all the same, npm's once the ping timeout is over.
    if (options.transports[0] === "websocket") await gone(id);
    network.mend();
  };
  const comeBack = async () => {
    const back = next(socket, "connect");
    socket.connect();
    await back;
    // What was missed has come when this has: it stands behind it.
    const line = await state();
    await say(["end"]);
    heard.push(line);
  };
  return { server, network, socket, driver, emit, say, heard, first, gone, lose, comeBack };
}

// These ask the namespace `/`, or are refused there.
const ASKS_ROOT = ["an event with an ack that ends in a string", "middleware is skipped"];

// Between two polls, volatile events are dropped.
const VOLATILE = "a volatile event that ends in a string";

const parts = {
  async "what was missed, with rooms and data"({ socket, emit, say, lose, comeBack }) {
    await socket.emitWithAck("join", "red");
    await socket.emitWithAck("join", "left");
    await socket.emitWithAck("leave", "left");
    await socket.emitWithAck("keep", { name: "é", list: [1, null] });
    await say(["heard", 1]);
    await lose();
    await emit(["all", "text", { n: 1 }]);
    await emit(["red"], { to: ["red", "blue"] });
    await emit(["blue"], { to: ["blue"] });
    await emit(["not red"], { except: ["red"] });
    await emit(["binary", new Uint8Array([1, 2, 3])]);
    await emit(["volatile"], { volatile: true });
    await comeBack();
    await say(["live"]);
  },
  async "twice in a row"({ emit, say, lose, comeBack }) {
    await say(["first"]);
    await lose();
    await emit(["second"]);
    await comeBack();
    await lose();
    await emit(["third"]);
    await comeBack();
  },
  async "before the first event"({ emit, lose, comeBack }) {
    await lose();
    await emit(["missed"]);
    await comeBack();
  },
  async [VOLATILE]({ emit, say, lose, comeBack }) {
    await say(["kept", 1]);
    await say(["volatile", "a user's string"], { volatile: true });
    await lose();
    await emit(["missed"]);
    await comeBack();
  },
  async "an event with an ack that ends in a string"({ socket, driver, emit, say, lose, comeBack }) {
    await say(["kept", 1]);
    const asked = next(socket, "asked");
    await driver.emitWithAck("ask", socket.id, ["asked", "a user's string"]);
    await asked;
    await lose();
    await emit(["missed"]);
    await comeBack();
  },
  async "what comes first"({ socket, emit, heard, say, lose, comeBack }) {
    await say(["heard"]);
    await lose();
    await emit(["missed"]);
    socket.once("connect", () => heard.push("connect"));
    await comeBack();
  },
  async "an unknown pid"({ socket, emit, say, lose, comeBack }) {
    await say(["heard"]);
    await lose();
    await emit(["missed"]);
    socket._pid = "AAAAAAAAAAAAAAAAAAAA";
    await comeBack();
  },
  async "an offset that is none"({ socket, emit, say, lose, comeBack }) {
    await say(["heard"]);
    await lose();
    await emit(["missed"]);
    socket._lastOffset = "no offset";
    await comeBack();
  },
  async "who left is not recovered"({ socket, emit, say, gone, comeBack }) {
    await say(["heard"]);
    const { id } = socket;
    socket.disconnect();
    await gone(id);
    await emit(["missed"]);
    await comeBack();
  },
  async "middleware is skipped"({ socket, say, lose, comeBack }) {
    await say(["heard"]);
    await lose();
    socket.auth = { refuse: true };
    await comeBack();
  },
};

const WEBSOCKET = { transports: ["websocket"], path: "/" };
const POLLING = { transports: ["polling"], path: "/" };
const MSGPACK = { ...WEBSOCKET, parser: msgpack };
// A namespace that comes to be by its client.
const DYNAMIC = { ...WEBSOCKET, path: "/room-7" };

for (const [part, steps] of Object.entries(parts)) {
  test(part, { timeout: 60_000 }, async (t) => {
    const transcripts = {};
    const perform = (name, start, options) =>
      t.test(name, { timeout: 60_000 }, async (t) => {
        const scene = await stage(t, start, options);
        await steps(scene);
        transcripts[name] = scene.heard.filter((line) => line !== "end");
      });
    const { npm, sockeye } = recoveryServers;
    const difference = differences.find((difference) => difference.part === part);
    if (difference) assert.notDeepEqual(difference.npm, difference.sockeye, "a listed difference that is none");
    // Ours must do the same in each of these ways, and npm's in those in which it can be asked.
    const ways = [
      ["", npm, WEBSOCKET],
      [" by msgpack", recoveryServers.msgpack, MSGPACK],
      ...(ASKS_ROOT.includes(part) ? [] : [[" in a dynamic namespace", npm, DYNAMIC]]),
      ...(part === VOLATILE ? [] : [[" by polling", undefined, POLLING]]),
    ];
    for (const [way, oracle, options] of ways) {
      if (oracle) await perform(`npm${way}`, oracle, options);
      if (sockeye) await perform(`sockeye${way}`, sockeye, options);
    }
    if (!sockeye) return;
    for (const [way, oracle] of ways) {
      if (oracle) assert.deepEqual(transcripts[`npm${way}`], difference?.npm ?? transcripts.sockeye, `npm${way}`);
      assert.deepEqual(transcripts[`sockeye${way}`], difference?.sockeye ?? transcripts.npm, `sockeye${way}`);
    }
  });
}

test("every listed difference is one of a part", () => {
  for (const { part, reason } of differences) assert.ok(part in parts && reason.length > 40, part);
});

if (recoveryServers.sockeye) {
  test("the same pid twice at once: one socket is left", { timeout: 60_000 }, async (t) => {
    const { server, socket, say, first, lose } = await stage(t, recoveryServers.sockeye, WEBSOCKET);
    await say(["heard"]);
    const offset = socket._lastOffset;
    await lose();
    const twins = [1, 2].map(() => io(server.url, { forceNew: true, autoConnect: false, transports: ["websocket"] }));
    t.after(() => twins.forEach((twin) => twin.disconnect()));
    const out = Promise.race(twins.map(async (twin) => [twin, ...(await next(twin, "disconnect"))]));
    for (const twin of twins) {
      Object.assign(twin, { _pid: first.pid, _lastOffset: offset });
      twin.connect();
    }
    // It is told in a way after which it does not come again by itself.
    const [gone, why] = await out;
    assert.equal(why, "io server disconnect");
    const left = twins.find((twin) => twin !== gone);
    if (!left.connected) await next(left, "connect");
    assert.deepEqual([(await left.emitWithAck("state")).id, left.recovered, gone.active], [first.id, true, false]);
  });
}
