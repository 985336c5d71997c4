// Pings, pongs, and the end of who does not answer. /fast/: pingInterval 300, pingTimeout 200.

import { pause } from "../transcript.mjs";

export default {
  async "over polling"(t) {
    const session = await t.session("/fast/");
    for (let i = 0; i < 2; i++) {
      await t.shown("poll", session.poll());
      await t.shown("pong", session.post("3"));
    }
    const silent = await t.session("/fast/");
    await t.shown("poll", silent.poll());
    await t.shown("the poll that waits for the end", silent.poll());
    t.log(`closed: ${await silent.reason()}`);
    const absent = await t.session("/fast/");
    t.log(`nobody polls: ${await absent.reason()}`);
    await t.refused("then", "GET", "/fast/", absent.query());
  },

  async "over websocket"(t) {
    const socket = await t.websocketSession("/fast/");
    for (let i = 0; i < 3; i++) {
      t.log(await socket.next());
      socket.send("3");
    }
    t.log(`without a pong: ${await socket.next()}, ${await socket.next()}, ${await socket.reason()}`);
    const chatty = await t.websocketSession("/fast/");
    chatty.send("3", "3", "4pongs out of turn");
    t.log(`${await chatty.next()}, ${await chatty.next()}, ${await chatty.next()}, ${await chatty.reason()}`);
  },

  async "a packet instead of the pong gives more time, once"(t) {
    const socket = await t.websocketSession("/fast/");
    t.log(await socket.next());
    await pause(100);
    const sent = performance.now();
    socket.send("4hello");
    t.log(`${await socket.next()}, ${await socket.next()}, ${await socket.reason()}`);
    t.log(`the whole time again: ${performance.now() - sent >= 190}`);

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
      if (performance.now() - start > 2_000) break;
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
};
