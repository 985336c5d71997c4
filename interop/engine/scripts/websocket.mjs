// Sessions over websocket from the start.

const NO_SUCH = "A".repeat(20);

export default {
  async "handshakes over websocket"(t) {
    for (const path of ["/plain/", "/small/", "/fast/", "/websocket-only/", "/no-upgrades/"]) {
      const socket = await t.websocketSession(path);
      t.log(`${path}: ${socket.handshake}`);
    }
    const initial = await t.websocketSession("/initial/");
    t.log(`/initial/: ${initial.handshake}, ${await initial.next()}`);
    const below = await t.websocketSession("/plain/deeper/still");
    t.log(`below the path: ${below.handshake}`);
    const empty = await t.websocketSession("/plain/", { sid: "" });
    t.log(`an empty sid is none: ${empty.handshake}`);
    const own = await t.websocketSession("/ids/", { id: "an-id-of-mine-too-20" });
    t.log(`an id of its own: ${own.handshake}`);
    const allowed = await t.websocketSession("/refusing/");
    t.log(`allowRequest, accepted: ${allowed.handshake}`);
    const offer = await t.websocketSession("/plain/", {}, { perMessageDeflate: true });
    t.log(`permessage-deflate is offered: ${offer.headers["sec-websocket-extensions"] ?? "ignored"}`);
  },

  async "compression"(t) {
    const offers = [true, { clientMaxWindowBits: 10 }, { serverMaxWindowBits: 9 }, { serverNoContextTakeover: true }];
    for (const perMessageDeflate of [...offers, false]) {
      const socket = await t.websocketSession("/deflated/", {}, { perMessageDeflate });
      const { "sec-websocket-extensions": agreed = "nothing" } = socket.headers;
      // The order of the parameters means nothing.
      t.log(`${JSON.stringify(perMessageDeflate)} is offered: ${agreed.split("; ").sort().join("; ")}`);
      for (const command of ["big 1022", "big 1023", "big 100000", "plain 5000", "binary 3000"]) {
        socket.send(`4${command}`);
        const answer = await socket.next();
        t.log(`${command}: ${answer.length} of ${answer.slice(0, 20)}`);
      }
      socket.send(`4${"back ".repeat(1000)}`);
      t.log(`sent back: ${(await socket.next()).length}`);
    }
    const plain = await t.websocketSession("/plain/", {}, { perMessageDeflate: true });
    t.log(`where it is off: ${plain.headers["sec-websocket-extensions"] ?? "nothing"}`);
  },

  async "every refusal over websocket"(t) {
    await t.websocketRefused("no transport", "/plain/", { transport: undefined });
    await t.websocketRefused("an unknown transport", "/plain/", { transport: "carrier pigeon" });
    await t.websocketRefused("webtransport", "/plain/", { transport: "webtransport" });
    await t.websocketRefused("websocket where it is off", "/polling-only/", {});
    await t.websocketRefused("an unknown sid", "/plain/", { sid: NO_SUCH });
    await t.websocketRefused("a sid that every object has", "/plain/", { sid: "__proto__" });
    await t.websocketRefused("allowRequest, no message", "/refusing/", { refuse: "plainly" });
    await t.websocketRefused("allowRequest, a message", "/refusing/", { refuse: "with words" });
    await t.websocketRefused("EIO 3", "/plain/", { EIO: "3" });
    await t.websocketRefused("no EIO", "/plain/", { EIO: undefined });
    await t.websocketRefused("no id", "/ids/", { id: "fail" });
    await t.websocketRefused("transport before sid", "/plain/", { transport: "nope", sid: NO_SUCH });
    await t.websocketRefused("sid before EIO", "/plain/", { sid: NO_SUCH, EIO: "3" });
    await t.websocketRefused("allowRequest before EIO", "/refusing/", { refuse: "plainly", EIO: "3" });
    await t.websocketRefused("EIO before the id", "/ids/", { id: "fail", EIO: "3" });
    const polling = await t.session("/plain/");
    await t.websocketRefused("EIO of a session", "/plain/", polling.query({ EIO: "3" }));
    await polling.alive("the session");
    const upgrade = (target) =>
      `POST ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: ${"A".repeat(22)}==\r\n\r\n`;
    const [head, body] = (await t.raw(upgrade(t.address("/plain/", { transport: "websocket" })))).split("\r\n\r\n");
    t.log(`an upgrade by POST: ${head.split("\r\n")[0]} | ${body}`);
  },

  async "an upgrade with the transport polling"(t) {
    const socket = t.websocket("/plain/", { transport: "polling" });
    const { refused } = await socket.opened;
    t.log(`of no session: ${refused ?? `101, then ${await socket.next()}`}`);
    const session = await t.session("/plain/");
    const other = t.websocket("/plain/", session.query({ transport: "polling" }));
    const { refused: again } = await other.opened;
    t.log(`of a session: ${again ?? `101, then ${await other.next()}`}`);
    await session.alive("the session");
  },

  async "messages"(t) {
    const socket = await t.websocketSession("/plain/");
    const echo = async (label, message) => {
      socket.send(message);
      t.log(`${label}: ${await socket.next()}`);
    };
    await echo("text", "4hello");
    await echo("the empty message", "4");
    await echo("more than ASCII", "4€ 雪 😀");
    await echo("binary", Buffer.from([0, 1, 254, 255]));
    await echo("empty binary", Buffer.alloc(0));
    await echo("base64", "bAQID");
    await echo("empty base64", "b");
    socket.send(`4${"x".repeat(99_999)}`);
    t.log(`100 000 bytes: ${(await socket.next()) === `4${"x".repeat(99_999)}`}`);
    socket.send("3", "0", "0{}", "5", "6", "3probe", "4after what is ignored");
    t.log(`ignored: ${await socket.next()}`);
    socket.send("4send 3", "4binary 3", "4last");
    t.log(`several: ${[await socket.next(), await socket.next(), await socket.next(), await socket.next(), await socket.next()].join(", ")}`);
    socket.close();
    t.log(`closed by the client: ${await socket.next()}, ${await socket.reason()}`);
  },

  async "binary as text for b64=1"(t) {
    const socket = await t.websocketSession("/plain/", { b64: "1" });
    t.log(socket.handshake);
    for (const message of [Buffer.from([1, 2, 3]), Buffer.from([1]), Buffer.alloc(0), "bAQID", "4text"]) {
      socket.send(message);
      t.log(await socket.next());
    }
    const session = await t.session("/plain/", { b64: "1" });
    const upgrade = t.websocket("/plain/", session.query());
    await upgrade.opened;
    upgrade.send("2probe");
    await upgrade.next();
    upgrade.send("5", Buffer.from([1, 2, 3]));
    t.log(`after an upgrade: ${await upgrade.next()}`);
  },

  async "what ends a session over websocket"(t) {
    for (const [label, message] of [
      ["a ping", "2"], ["a probe", "2probe"], ["an unknown packet type", "7"], ["not a packet", "hello"], ["nothing", ""],
      ["close by the server", "4close"], ["messages, and close by the server", "4send 2 and close"],
    ]) {
      const socket = await t.websocketSession("/plain/");
      socket.send(message);
      const heard = [];
      while (!heard.at(-1)?.startsWith("close ")) heard.push(await socket.next());
      t.log(`${label}: ${heard.join(", ")}, ${await socket.reason()}`);
    }
    const big = await t.websocketSession("/small/");
    big.send(`4${"x".repeat(99)}`);
    t.log(`100 bytes: ${(await big.next()).length}`);
    big.send(`4${"x".repeat(100)}`);
    t.log(`101 bytes: ${await big.next()}, ${await big.reason()}`);
    const binary = await t.websocketSession("/small/");
    binary.send(Buffer.alloc(101));
    t.log(`101 bytes, binary: ${await binary.next()}, ${await binary.reason()}`);
    const cut = await t.websocketSession("/plain/");
    cut.terminate();
    t.log(`the connection is cut: ${await cut.reason()}`);
  },

  async "a close packet over websocket"(t) {
    const socket = await t.websocketSession("/plain/");
    socket.send("1", "4hello");
    const answer = await socket.next();
    socket.close();
    t.log(`${answer}, ${await socket.reason()}`);
  },
};
