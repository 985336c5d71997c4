// A server on a disk is killed while it emits, and started again, several times: its clients, official ones, come back as
// what they were, and hear every number of every run once and in order.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { recoveryServers } from "../lib/process.mjs";

const RUNS = 5;
const PER_RUN = 2500;
const TOTAL = 10_000;

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  const title = `${RUNS} servers killed in a row: nothing lost or doubled by ${transports.join(", then ")}`;
  test(title, { timeout: 120_000, skip: !recoveryServers.sockeye }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "sockeye-recovery-"));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    let printed;
    let onPrinted = () => {};
    const onLine = (line) => {
      const [run, n] = line.split(" ").map(Number);
      if (!Number.isInteger(n)) return;
      printed[run] = n;
      if (n >= PER_RUN) onPrinted();
    };
    printed = [];
    let server = await recoveryServers.sockeye(0, onLine, ["--disk", directory]);
    t.after(() => server.stop());
    const { port } = server;
    const clients = Array.from({ length: 3 }, () => {
      const socket = io(server.url, { forceNew: true, transports, reconnectionDelay: 10, reconnectionDelayMax: 40 });
      const client = { socket, heard: [], ids: new Set(), recoveries: 0 };
      socket.on("n", (run, n) => client.heard.push([run, n]));
      socket.on("connect", () => {
        client.ids.add(socket.id);
        if (socket.recovered) client.recoveries += 1;
      });
      return client;
    });
    t.after(() => clients.forEach(({ socket }) => socket.disconnect()));
    await Promise.all(clients.map(({ socket }) => next(socket, "connect")));
    await Promise.all(clients.map(({ socket }) => socket.emitWithAck("keep", "kept")));
    const pids = clients.map(({ socket }) => socket._pid);

    for (let run = 1; run <= RUNS; run += 1) {
      // Before its first event, and then in the middle of them.
      const lost = Promise.all(clients.map(({ socket }) => (socket.connected ? next(socket, "disconnect") : undefined)));
      await server.stop("SIGKILL");
      await lost;
      const enough = new Promise((resolve) => (onPrinted = resolve));
      const back = Promise.all(clients.map(({ socket }) => next(socket, "connect")));
      server = await recoveryServers.sockeye(port, onLine, ["--disk", directory, "--run", String(run)]);
      await back;
      await enough;
    }
    const lost = Promise.all(clients.map(({ socket }) => next(socket, "disconnect")));
    await server.stop("SIGKILL");
    await lost;
    const back = Promise.all(clients.map(({ socket }) => next(socket, "connect")));
    server = await recoveryServers.sockeye(port, onLine, ["--disk", directory]);
    await back;

    for (const [at, { socket, heard, ids, recoveries }] of clients.entries()) {
      // What was missed comes before whatever the new server answers.
      assert.deepEqual((await socket.emitWithAck("state")).kept, "kept");
      assert.equal(ids.size, 1);
      assert.equal(recoveries, RUNS + 1);
      assert.equal(socket._pid, pids[at]);
      for (let run = 1; run <= RUNS; run += 1) {
        const numbers = heard.filter(([of]) => of === run).map(([, n]) => n);
        assert.ok(numbers.length > printed[run], `run ${run}: ${numbers.length} heard, ${printed[run]} printed`);
        numbers.forEach((n, place) => assert.equal(n, place, `run ${run}`));
      }
      assert.ok(heard.length >= TOTAL, `${heard.length} heard`);
    }
    t.diagnostic(`${clients[0].heard.length} events each`);
  });
}

test("what is done right before a kill has been done", { timeout: 60_000, skip: !recoveryServers.sockeye }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "sockeye-recovery-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  let server = await recoveryServers.sockeye(0, undefined, ["--disk", directory]);
  t.after(() => server.stop());
  const { port } = server;
  const options = { forceNew: true, transports: ["websocket"], reconnectionDelay: 10, reconnectionDelayMax: 40 };
  // One in a namespace that is there, and two in one that comes to be by them, of which one speaks msgpack.
  const sockets = ["/", "/room-7", "/room-7"].map((path, at) =>
    io(server.url + path, { ...options, ...(at === 2 && { parser: msgpack }) }),
  );
  t.after(() => sockets.forEach((socket) => socket.disconnect()));
  const heard = sockets.map((socket) => {
    const names = [];
    socket.on("named", (name) => names.push(name));
    return names;
  });
  const all = (done) => Promise.all(sockets.map(done));
  await all((socket) => next(socket, "connect"));
  const ids = sockets.map(({ id }) => id);
  const emit = async (path, name) => {
    const driver = io(`${server.url}/driver`, { forceNew: true, reconnection: false });
    await next(driver, "connect");
    assert.equal(await driver.emitWithAck("emit", { in: path, to: ["red"] }, ["named", name]), undefined);
    driver.disconnect();
  };
  for (let run = 0; run < 4; run += 1) {
    // No answer but the last comes between this and the kill.
    const lost = all((socket) => next(socket, "disconnect"));
    const done = await all((socket) =>
      Promise.all([
        socket.emitWithAck("join", "red"),
        socket.emitWithAck("join", `run ${run}`),
        socket.emitWithAck("leave", `run ${run - 1}`),
        socket.emitWithAck("keep", { run }),
      ]),
    );
    assert.equal(done.length, 3);
    await server.stop("SIGKILL");
    await lost;
    const back = all((socket) => next(socket, "connect"));
    server = await recoveryServers.sockeye(port, undefined, ["--disk", directory]);
    await back;
    const states = await all((socket) => socket.emitWithAck("state"));
    states.forEach(({ id, rooms, kept, recovered }, at) => {
      const expected = { id: ids[at], rooms: [ids[at], "red", `run ${run}`].sort(), kept: { run }, recovered: true };
      assert.deepEqual({ id, rooms: [...rooms].sort(), kept, recovered }, expected);
    });
    for (const path of ["/", "/room-7"]) await emit(path, `live ${run}`);
    await all((socket) => socket.emitWithAck("state"));
    heard.forEach((names) => assert.equal(names.at(-1), `live ${run}`));
  }
});
