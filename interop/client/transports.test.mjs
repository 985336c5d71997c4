// Which transport is used, the upgrade, and what it carries, Sockeye's browser client beside the official one.

import assert from "node:assert/strict";
import { both, joined, next, POLLING, receive, sockeye } from "../lib/both.mjs";
import { loadClient } from "../lib/client.mjs";
import { handshake } from "../lib/polling.mjs";
import { CONNECTED } from "../lib/scripted.mjs";

// ---- which transport

both("polling fails: tryAllTransports opens a websocket", async (make, server) => {
  const socket = make({ tryAllTransports: true, transports: ["polling", "websocket"] });
  (await server.get()).answer("", 400);
  const peer = await (await server.upgrade()).accept();
  peer.send(handshake({ upgrades: [] }), CONNECTED);
  await next(socket, "connect");
  assert.equal(socket.io.engine.transport.name, "websocket");
});

both("a websocket fails: tryAllTransports polls, and probes no websocket", async (make, server) => {
  const socket = make({ tryAllTransports: true, transports: ["websocket", "polling"] });
  (await server.upgrade()).refuse();
  (await server.get()).answer(handshake());
  (await server.post()).answer();
  const connected = next(socket, "connect");
  (await server.get()).answer(CONNECTED);
  await connected;
  assert.equal(socket.io.engine.transport.name, "polling");
  assert.deepEqual(server.requests.filter((line) => line === "upgrade").length, 1);
});

both("both fail: the last one's error", async (make, server) => {
  const socket = make({ tryAllTransports: true, transports: ["websocket", "polling"] });
  const failed = next(socket, "connect_error");
  (await server.upgrade()).refuse();
  (await server.get()).answer("", 502);
  const [err] = await failed;
  assert.deepEqual([err.message, err.description], ["xhr poll error", 502]);
});

both("without tryAllTransports the first one's failure is the attempt's", async (make, server) => {
  const socket = make({ transports: ["websocket", "polling"] });
  const failed = next(socket, "connect_error");
  (await server.upgrade()).refuse();
  assert.equal((await failed)[0].message, "websocket error");
  assert.deepEqual(server.requests, ["upgrade"]);
});

for (const [title, options, fields] of [
  ["upgrade is false", { upgrade: false }, {}],
  ["the list has no websocket", { transports: ["polling"] }, {}],
  ["the server offers none", {}, { upgrades: [] }],
]) {
  both(`no upgrade: ${title}`, async (make, server) => {
    const { socket, engine } = await joined(make, server, options, fields);
    socket.emit("by polling");
    assert.deepEqual(await receive(server, 1), ['42["by polling"]']);
    assert.deepEqual([engine.transport.name, server.requests.includes("upgrade")], ["polling", false]);
  });
}

// ---- the upgrade

/** A joined socket whose probe was answered, while its poll still waits. */
async function upgrading(make, server, options = {}) {
  const arrival = server.upgrade();
  const session = await joined(make, server, options);
  const request = await arrival;
  assert.deepEqual(
    Object.fromEntries([...request.url.searchParams].filter(([name]) => name !== "t")),
    { EIO: "4", transport: "websocket", sid: "S".repeat(20) },
  );
  const peer = await request.accept();
  assert.equal(await peer.receive(), "2probe");
  const begun = next(session.engine, "upgrading");
  peer.send("3probe");
  assert.equal((await begun)[0].name, "websocket");
  return { ...session, peer };
}

both("an upgrade waits for the poll and the POST, and what is written meanwhile follows it in order", async (make, server) => {
  const arrival = server.upgrade();
  const { socket, engine, poll } = await joined(make, server, {});
  const peer = await (await arrival).accept();
  assert.equal(await peer.receive(), "2probe");
  socket.emit("n", 0);
  const post = await server.post();
  assert.deepEqual(post.packets, ['42["n",0]']);
  socket.emit("n", 1);
  const begun = next(engine, "upgrading");
  peer.send("3probe");
  await begun;
  socket.emit("n", 2, new Uint8Array([2]));
  const heard = next(socket, "from the poll");
  poll.answer('2\x1e42["from the poll"]');
  await heard;
  socket.emit("n", 3);
  assert.equal(engine.transport.name, "polling");
  const upgraded = next(engine, "upgrade");
  post.answer();
  const [transport] = await upgraded;
  assert.deepEqual([transport.name, engine.transport.name], ["websocket", "websocket"]);
  socket.emit("n", 4);
  const sent = [];
  while (sent.length < 7) sent.push(await peer.receive());
  assert.deepEqual(sent.map(String), [
    "5", '42["n",1]', '451-["n",2,{"_placeholder":true,"num":0}]', "\x02", "3", '42["n",3]', '42["n",4]',
  ]);
  peer.send('42["by websocket"]');
  await next(socket, "by websocket");
  assert.equal(socket.connected, true);
  assert.equal(server.requests.includes("POST 1"), false, "the session is not closed with its first transport");
});

both("after the upgrade the websocket's end is the session's", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  const upgraded = next(engine, "upgrade");
  poll.answer("6");
  await upgraded;
  const closed = next(socket, "disconnect");
  peer.close();
  const [reason, details] = await closed;
  assert.deepEqual([reason, details.description], ["transport close", "websocket connection closed"]);
});

for (const [title, fail, message] of [
  ["refused", (request) => request.refuse(), "probe error: Error: websocket error"],
  ["closed", async (request) => (await request.accept()).close(), "probe error: transport closed"],
  ["answered with something else", async (request) => (await request.accept()).send("3other"), "probe error"],
]) {
  both(`a probe that is ${title} leaves polling alive`, async (make, server) => {
    const arrival = server.upgrade();
    const { socket, engine, poll } = await joined(make, server, {});
    const failed = next(engine, "upgradeError");
    await fail(await arrival);
    const [err] = await failed;
    assert.deepEqual([err.message, err.transport], [message, "websocket"]);
    socket.emit("by polling");
    assert.deepEqual(await receive(server, 1), ['42["by polling"]']);
    const heard = next(socket, "heard");
    poll.answer('42["heard"]');
    await heard;
    assert.equal(engine.transport.name, "polling");
  });
}

sockeye("a probe that nobody answers is given up", async (make, server) => {
  const waited = [];
  const io = loadClient({
    setTimeout: (run, ms) => {
      waited.push(ms);
      return setTimeout(run, ms === 10_000 ? 1_000 : ms);
    },
  });
  const arrival = server.upgrade();
  const session = joined((options) => make(options, io), server, {});
  const peer = await (await arrival).accept();
  assert.equal(await peer.receive(), "2probe");
  await peer.closed;
  const { engine, socket } = await session;
  assert.ok(waited.includes(10_000));
  socket.emit("by polling");
  assert.deepEqual(await receive(server, 1), ['42["by polling"]']);
  assert.equal(engine.transport.name, "polling");
});

sockeye("a probe that is lost while polling pauses: polling goes on, and nothing is lost or reordered", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  socket.emit("n", 1);
  socket.emit("n", 2);
  const failed = next(engine, "upgradeError");
  peer.close();
  assert.equal((await failed)[0].message, "probe error: transport closed");
  assert.deepEqual(await receive(server, 2), ['42["n",1]', '42["n",2]']);
  socket.emit("n", 3);
  assert.deepEqual(await receive(server, 1), ['42["n",3]']);
  const heard = next(socket, "heard");
  poll.answer('42["heard"]');
  await heard;
  const again = next(socket, "again");
  (await server.get()).answer('42["again"]');
  await again;
  assert.equal(engine.transport.name, "polling");
});

sockeye("a probe that is lost when polling has paused: it polls again", async (make, server) => {
  const arrival = server.upgrade();
  const { socket, engine, poll } = await joined(make, server, {});
  socket.emit("under way");
  const post = await server.post();
  const peer = await (await arrival).accept();
  await peer.receive();
  const begun = next(engine, "upgrading");
  peer.send("3probe");
  await begun;
  const heard = next(socket, "heard");
  poll.answer('42["heard"]');
  await heard; // no poll waits now, and the POST keeps it from switching
  const failed = next(engine, "upgradeError");
  peer.close();
  await failed;
  const again = next(socket, "again");
  (await server.get()).answer('42["again"]');
  await again;
  post.answer();
});

both("the session ends while it upgrades: upgradeError, and the probe is closed", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  const [failed, closed] = [next(engine, "upgradeError"), next(socket, "disconnect")];
  poll.answer("", 500);
  assert.equal((await closed)[0], "transport error");
  assert.equal((await failed)[0].message, "probe error: socket closed");
  await peer.closed;
});

both("disconnect() while it upgrades is sent by the websocket", async (make, server) => {
  const { socket, poll, peer } = await upgrading(make, server);
  socket.emit("last words");
  socket.disconnect();
  poll.answer("6");
  assert.deepEqual([await peer.receive(), await peer.receive(), await peer.receive()], ["5", '42["last words"]', "41"]);
  await peer.closed;
});

both("close() of the engine while it upgrades waits for that", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  const closed = next(socket, "disconnect");
  engine.close();
  assert.equal(engine.readyState, "closing");
  poll.answer("6");
  assert.equal(await peer.receive(), "5");
  assert.equal((await closed)[0], "forced close");
  await peer.closed;
});

both("rememberUpgrade opens with the transport that worked", async (make, server) => {
  // What the tests before left behind: a failure makes it forget.
  const failing = next(make(POLLING), "connect_error");
  (await server.get()).answer("", 400);
  await failing;
  const { socket, engine, poll } = await upgrading(make, server, { rememberUpgrade: true });
  const upgraded = next(engine, "upgrade");
  poll.answer("6");
  await upgraded;
  socket.disconnect();
  server.requests.length = 0;
  socket.connect();
  const peer = await (await server.upgrade()).accept();
  peer.send(handshake({ upgrades: [] }), CONNECTED);
  await next(socket, "connect");
  assert.deepEqual(server.requests, ["upgrade"]);
  // What failed is not remembered.
  const closed = next(socket, "disconnect");
  peer.send("x");
  await closed;
  socket.connect();
  (await server.get()).answer("", 400);
  await next(socket, "connect_error");
});

// ---- forceBase64

both("forceBase64: said in the handshake, and text only", async (make, server) => {
  const arrival = server.upgrade();
  const socket = make({ forceBase64: true });
  const open = await server.get();
  assert.equal(open.url.searchParams.get("b64"), "1");
  open.answer(handshake());
  const request = await arrival;
  assert.equal(request.url.searchParams.get("b64"), "1");
  const peer = await request.accept();
  await peer.receive();
  (await server.post()).answer();
  const upgraded = next(socket.io.engine, "upgrade");
  peer.send("3probe");
  (await server.get()).answer(CONNECTED);
  await upgraded;
  assert.equal(await peer.receive(), "5");
  socket.emit("b", new Uint8Array([1]));
  assert.deepEqual([await peer.receive(), await peer.receive()], ['451-["b",{"_placeholder":true,"num":0}]', "bAQ=="]);
  const heard = next(socket, "b");
  peer.send('451-["b",{"_placeholder":true,"num":0}]', "bAP8=");
  assert.deepEqual([...new Uint8Array((await heard)[0])], [0, 255]);
});

sockeye("forceBase64: a Blob keeps its place", async (make, server) => {
  const socket = make({ forceBase64: true, transports: ["websocket"] });
  const peer = await (await server.upgrade()).accept();
  peer.send(handshake({ upgrades: [] }), CONNECTED);
  await next(socket, "connect");
  assert.equal(await peer.receive(), "40");
  socket.emit("blob", new Blob(["xyz"]));
  socket.emit("behind");
  socket.disconnect();
  const sent = [];
  while (sent.length < 4) sent.push(await peer.receive());
  assert.deepEqual(sent, ['451-["blob",{"_placeholder":true,"num":0}]', "beHl6", '42["behind"]', "41"]);
  await peer.closed;
});
