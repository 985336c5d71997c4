// What an application hears of a session beside its messages: packets as they come, are queued and go, and what they mean.
// Each kind by itself: when a packet goes in relation to others that come is not the protocol's business.

const V3 = { EIO: "3" };

/** Logs all that was told of a session that is over. */
async function told(t, session) {
  const heard = { packet: [], packetCreate: [], flush: [], heartbeat: [], upgrading: [], upgrade: [] };
  for (;;) {
    const { name, packet } = await session.event("told");
    if (name === "close") break;
    heard[name].push(packet ?? "once");
  }
  for (const [name, packets] of Object.entries(heard)) t.log(`${name}: ${packets.join(", ")}`);
  t.log(`closed: ${await session.reason()}`);
}

/** Posts, and polls until so many characters have come. */
async function exchange(session, body, characters) {
  await session.post(body);
  for (let came = 0; came < characters;) came += (await session.poll()).body.length;
}

export default {
  async "told of polling"(t) {
    const session = await t.session("/told/");
    await exchange(session, "4hello\x1ebAQI=\x1e4send 3", "4hello␞bAQI=␞40␞41␞42".length);
    await exchange(session, "3\x1e6\x1e4", 1);
    await session.post("?");
    await told(t, session);
  },

  async "told of a websocket"(t) {
    const socket = await t.websocketSession("/told/");
    socket.send("4hello", Buffer.from([1, 2]), "bAQI=", "4send 3", "3", "3probe", "6", "0", "5", "4");
    for (let i = 0; i < 7; i++) await socket.next();
    socket.close();
    await told(t, socket);
  },

  async "told of an upgrade"(t) {
    const session = await t.session("/told/");
    const socket = t.websocket("/told/", session.query());
    await socket.opened;
    socket.send("2probe");
    await socket.next();
    await t.shown("the poll", session.poll());
    socket.send("5");
    await session.event("upgrade");
    socket.send("4hello");
    await socket.next();
    socket.close();
    await told(t, session);
  },

  async "told of a server that closes"(t) {
    const socket = await t.websocketSession("/told/");
    socket.send("4send 2 and close");
    for (let i = 0; i < 3; i++) t.log(await socket.next());
    await told(t, socket);
  },

  async "told of what is no packet"(t) {
    for (const wrong of ["9", "", "2"]) {
      const socket = await t.websocketSession("/told/");
      socket.send("4before");
      await socket.next();
      socket.send(wrong, "4after");
      await told(t, socket);
    }
  },

  async "told of the client's end"(t) {
    const session = await t.session("/told/");
    await session.post("1");
    await told(t, session);
  },

  async "told of revision 3"(t) {
    const socket = await t.websocketSession("/eio3-told/", V3);
    socket.send("4hello", Buffer.from([4, 1, 2]), "b4AQI=");
    for (let i = 0; i < 3; i++) await socket.next();
    socket.send("2", "2probe");
    for (let i = 0; i < 2; i++) await socket.next();
    socket.close();
    await told(t, socket);
    const session = await t.session("/eio3-told/", V3);
    await exchange(session, "6:4hello", 8);
    await exchange(session, "1:2", 3);
    await session.post("1:?");
    await told(t, session);
  },
};
