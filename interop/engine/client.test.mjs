// The official engine.io-client 6.6 against the raw servers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Socket } from "engine.io-client";
import { engineServers } from "../lib/process.mjs";

const PATIENCE = 10_000;
const servers = {};

before(async () => {
  for (const [name, start] of Object.entries(engineServers)) servers[name] = await start(0, () => {});
});

after(async () => {
  for (const server of Object.values(servers)) await server.stop();
});

/** Name → the client's options, and the transport that it stays on. */
const WAYS = {
  polling: { options: { transports: ["polling"] }, ends: "polling" },
  "polling, binary as text": { options: { transports: ["polling"], forceBase64: true }, ends: "polling" },
  websocket: { options: { transports: ["websocket"] }, ends: "websocket" },
  "websocket, binary as text": { options: { transports: ["websocket"], forceBase64: true }, ends: "websocket" },
  "the upgrade": { options: {}, ends: "websocket" },
};

/** What an emitter tells next, or what is wrong with it. */
const next = (socket, event) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`no "${event}" within ${PATIENCE} ms`)), PATIENCE);
  const settle = (settled) => (...args) => {
    clearTimeout(timer);
    settled(args[0]);
  };
  socket.once(event, settle(resolve));
  if (event !== "error" && event !== "close") socket.once("error", settle(reject));
});

/** The next `count` messages. */
async function messages(socket, count) {
  const seen = [];
  const all = new Promise((resolve) => socket.on("message", (data) => {
    seen.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
    if (seen.length === count) resolve(seen);
  }));
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${seen.length} of ${count} messages within ${PATIENCE} ms`)), PATIENCE).unref();
  });
  return Promise.race([all, late]);
}

for (const name of Object.keys(engineServers)) {
  const open = (path, options) => new Socket(servers[name].url, { path, ...options });

  for (const [title, { options, ends }] of Object.entries(WAYS)) {
    test(`engine.io-client: messages over ${title}, server ${name}`, { timeout: 30_000 }, async () => {
      const socket = open("/plain/", options);
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

  for (const transports of [["polling"], ["websocket"]]) {
    test(`engine.io-client: heartbeats over ${transports}, server ${name}`, { timeout: 10_000 }, async () => {
      const socket = open("/fast/", { transports });
      try {
        await next(socket, "open");
        // Both ends give up after 500 ms without the heartbeat.
        for (let i = 0; i < 3; i++) await next(socket, "ping");
        const echoed = messages(socket, 1);
        socket.send("alive");
        assert.deepEqual(await echoed, ["alive"]);
      } finally {
        socket.close();
      }
    });

    test(`engine.io-client: the server closes over ${transports}, server ${name}`, { timeout: 10_000 }, async () => {
      const socket = open("/plain/", { transports });
      await next(socket, "open");
      const [all, closed] = [messages(socket, 3), next(socket, "close")];
      socket.send("send 3 and close");
      assert.equal(await closed, "transport close");
      assert.deepEqual(await all, ["0", "1", "2"]);
    });
  }

  test(`engine.io-client: compressed websockets, server ${name}`, { timeout: 10_000 }, async () => {
    const socket = open("/deflated/", { transports: ["websocket"], perMessageDeflate: { threshold: 0 } });
    try {
      await next(socket, "open");
      assert.match(socket.transport.ws.extensions, /^permessage-deflate/);
      const text = "compressible ".repeat(1000);
      const echoed = messages(socket, 2);
      socket.send(text);
      socket.send(text, { compress: false });
      assert.deepEqual(await echoed, [text, text]);
    } finally {
      socket.close();
    }
  });

  test(`engine.io-client: a first packet of the server's, server ${name}`, { timeout: 10_000 }, async () => {
    for (const transports of [["polling"], ["websocket"]]) {
      const socket = open("/initial/", { transports });
      const first = messages(socket, 1);
      assert.deepEqual(await first, ["hello"]);
      socket.close();
    }
  });

  test(`engine.io-client: cookies are kept by who asks for it, server ${name}`, { timeout: 10_000 }, async () => {
    const socket = open("/cookie/", { transports: ["polling"], withCredentials: true });
    try {
      await next(socket, "open");
      const echoed = messages(socket, 1);
      socket.send("with a cookie");
      assert.deepEqual(await echoed, ["with a cookie"]);
      assert.equal(socket._cookieJar._cookies.get("io").value, socket.id);
    } finally {
      socket.close();
    }
  });

  test(`engine.io-client: another transport where the first is refused, server ${name}`, { timeout: 10_000 }, async () => {
    const socket = open("/websocket-only/", { tryAllTransports: true });
    try {
      await next(socket, "open");
      assert.equal(socket.transport.name, "websocket");
    } finally {
      socket.close();
    }
  });

  test(`engine.io-client: refused, server ${name}`, { timeout: 10_000 }, async () => {
    const polling = open("/refusing/", { transports: ["polling"], query: { refuse: "plainly" } });
    const error = await next(polling, "error");
    assert.deepEqual([error.type, error.message, error.description], ["TransportError", "xhr poll error", 403]);
    const websocket = open("/refusing/", { transports: ["websocket"], query: { refuse: "plainly" } });
    assert.equal((await next(websocket, "error")).message, "websocket error");
  });

  test(`engine.io-client: a message that is too long, server ${name}`, { timeout: 10_000 }, async () => {
    const socket = open("/small/", { transports: ["websocket"] });
    await next(socket, "open");
    const closed = next(socket, "close");
    socket.send("x".repeat(200));
    assert.equal(await closed, "transport close");
  });
}
