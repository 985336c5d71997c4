// Pings, pongs, and the end of who does not answer. /fast/ and /eio3-fast/: pingInterval 300, pingTimeout 1500. A script
// answers at once or not at all, so that a slow machine may take more than a second for it and the transcript stays the same.

import { pause } from "../transcript.mjs";

const TIMEOUT = 1_500;
const TOGETHER = 300 + TIMEOUT;

/** What a clock here may be ahead of the server's. */
const EARLY = 20;

const V3 = { EIO: "3" };

/** Logs whether at least so much time has passed since `start`. */
function atLeast(t, what, start, ms) {
  const took = performance.now() - start;
  t.log(`${what}: ${took >= ms - EARLY ? "not too early" : `after ${took} ms`}`);
}

export default {
  async "over polling"(t) {
    const session = await t.session("/fast/");
    for (let i = 0; i < 2; i++) {
      await t.shown("poll", session.poll());
      await t.shown("pong", session.post("3"));
    }
  },

  async "over polling, without a pong"(t) {
    const silent = await t.session("/fast/");
    await t.shown("poll", silent.poll());
    await t.shown("the poll that waits for the end", silent.poll());
    t.log(`closed: ${await silent.reason()}`);
  },

  async "over polling, nobody polls"(t) {
    const start = performance.now();
    const absent = await t.session("/fast/");
    t.log(`closed: ${await absent.reason()}`);
    atLeast(t, "the end", start, TOGETHER);
    await t.refused("then", "GET", "/fast/", absent.query());
  },

  async "over websocket"(t) {
    const socket = await t.websocketSession("/fast/");
    for (let i = 0; i < 3; i++) {
      t.log(await socket.next());
      socket.send("3");
    }
    t.log(`without a pong: ${await socket.next()}, ${await socket.next()}, ${await socket.reason()}`);
  },

  async "pongs out of turn"(t) {
    const chatty = await t.websocketSession("/fast/");
    chatty.send("3", "3", "4pongs out of turn");
    t.log(`${await chatty.next()}, ${await chatty.next()}, ${await chatty.next()}, ${await chatty.reason()}`);
  },

  async "a packet instead of the pong gives more time"(t) {
    const socket = await t.websocketSession("/fast/");
    t.log(await socket.next());
    await pause(TIMEOUT / 5);
    const sent = performance.now();
    socket.send("4hello");
    t.log(`${await socket.next()}, ${await socket.next()}, ${await socket.reason()}`);
    atLeast(t, "the whole time again", sent, TIMEOUT);
  },

  async "many packets instead of the pong give more time once"(t) {
    const often = await t.websocketSession("/fast/");
    t.log(await often.next());
    const start = performance.now();
    let answers = 0;
    for (;;) {
      often.send("4more");
      const next = await often.next();
      if (next.startsWith("close")) break;
      answers++;
      await pause(20);
      if (performance.now() - start > 10 * TIMEOUT) break;
    }
    t.log(`often: ${await often.reason()}, answered before: ${answers > 1}`);
  },

  async "after an upgrade"(t) {
    const session = await t.session("/fast/");
    const socket = t.websocket("/fast/", session.query());
    await socket.opened;
    socket.send("2probe");
    await socket.next();
    socket.send("5");
    await session.event("upgrade");
    for (let i = 0; i < 2; i++) {
      t.log(await socket.next());
      socket.send("3");
    }
    t.log(`without a pong: ${await socket.next()}, ${await socket.next()}, ${await session.reason()}`);
  },

  // Of revision 3, where the client pings: each pause is shorter than the time that a ping gives, and all of them are longer.

  async "revision 3: pings over polling"(t) {
    const session = await t.session("/eio3-fast/", V3);
    for (let i = 0; i < 4; i++) {
      await pause(TOGETHER / 3);
      await t.shown("ping", session.post("1:2"));
      await t.shown("poll", session.poll());
    }
  },

  async "revision 3: over polling, without a ping"(t) {
    const start = performance.now();
    const silent = await t.session("/eio3-fast/", V3);
    await t.shown("the poll that waits for the end", silent.poll());
    t.log(`closed: ${await silent.reason()}`);
    atLeast(t, "the end", start, TOGETHER);
  },

  async "revision 3: over polling, nobody polls"(t) {
    const absent = await t.session("/eio3-fast/", V3);
    t.log(`closed: ${await absent.reason()}`);
    await t.refused("then", "GET", "/eio3-fast/", absent.query());
  },

  async "revision 3: pings over websocket"(t) {
    const socket = await t.websocketSession("/eio3-fast/", V3);
    let last;
    for (let i = 0; i < 4; i++) {
      await pause(TOGETHER / 3);
      last = performance.now();
      socket.send("2");
      t.log(await socket.next());
    }
    t.log(`without a ping: ${await socket.next()}, ${await socket.reason()}`);
    atLeast(t, "the end", last, TOGETHER);
  },

  async "revision 3: messages are no pings"(t) {
    const chatty = await t.websocketSession("/eio3-fast/", V3);
    const start = performance.now();
    let next;
    do {
      chatty.send("4more");
      next = await chatty.next();
      await pause(20);
    } while (next === "4more" && performance.now() - start < 10 * TOGETHER);
    t.log(`${next}, ${await chatty.reason()}`);
  },
};
