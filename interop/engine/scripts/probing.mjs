// The upgrade from polling to websocket.

/** A session with a websocket that is open and, unless `probed` is false, probed. */
async function probing(t, { path = "/plain/", probed = true } = {}) {
  const session = await t.session(path);
  const socket = t.websocket(path, session.query());
  const { refused } = await socket.opened;
  if (refused) throw new Error(`the websocket is refused: ${refused}`);
  if (probed) {
    socket.send("2probe");
    const answer = await socket.next();
    if (answer !== "3probe") throw new Error(`the probe is answered with ${answer}`);
  }
  return { session, socket };
}

export default {
  async "an upgrade as the official client does it"(t) {
    const session = await t.session("/plain/");
    const poll = await session.pending();
    const socket = t.websocket("/plain/", session.query());
    t.log(`headers of the 101: ${(await socket.opened).headers["set-cookie"] ?? "no cookie"}`);
    socket.send("2probe");
    t.log(`probe: ${await socket.next()}`);
    await t.shown("the poll", poll.answer);
    await t.shown("the next poll", session.poll());
    socket.send("5");
    await session.event("upgrade");
    socket.send("4hello", Buffer.from([1, 2]));
    t.log(`messages: ${await socket.next()}, ${await socket.next()}`);
    await t.refused("a poll afterwards", "GET", "/plain/", session.query());
    await t.refused("a POST afterwards", "POST", "/plain/", session.query(), { body: "4x" });
    await t.refused("another EIO afterwards", "POST", "/plain/", session.query({ EIO: "3" }), { body: "4x" });
    socket.send("4send 2");
    t.log(`the websocket lives: ${await socket.next()}, ${await socket.next()}`);
    socket.close();
    t.log(`closed: ${await session.reason()}`);
  },

  async "every poll during the probe gets a noop"(t) {
    const { session, socket } = await probing(t);
    for (let i = 0; i < 5; i++) await t.shown("a poll", session.poll());
    await t.shown("a POST", session.post("4hello"));
    await session.event("message");
    await t.shown("a poll", session.poll());
    await t.shown("a poll", session.poll());
    socket.send("5");
    await session.event("upgrade");
    socket.send("4over");
    t.log(`over: ${await socket.next()}`);
  },

  async "what waited goes over in order"(t) {
    const { session, socket } = await probing(t);
    await session.post("4send 5\x1e4binary 3");
    socket.send("5", "4a");
    const heard = [];
    for (let i = 0; i < 7; i++) heard.push(await socket.next());
    t.log(heard.join(", "));
    await session.event("upgrade");

    const early = await t.session("/plain/");
    await early.post("4send 3");
    const late = t.websocket("/plain/", early.query());
    await late.opened;
    late.send("2probe");
    t.log(`probe: ${await late.next()}`);
    late.send("5");
    t.log(`queued before the websocket: ${await late.next()}, ${await late.next()}, ${await late.next()}`);
  },

  async "a poll that waits when the upgrade comes"(t) {
    const session = await t.session("/plain/");
    const poll = await session.pending();
    const socket = t.websocket("/plain/", session.query());
    await socket.opened;
    socket.send("2probe", "5", "4hello");
    t.log(`${await socket.next()}, ${await socket.next()}`);
    await t.shown("the poll", poll.answer);
  },

  async "a second websocket"(t) {
    const second = async (label, path, query) => {
      const socket = t.websocket(path, query);
      const { refused } = await socket.opened;
      t.log(`${label}: ${refused ?? `101, then ${await socket.next()}`}`);
    };
    const { session, socket } = await probing(t, { probed: false });
    await second("before the probe", "/plain/", session.query());
    socket.send("2probe");
    t.log(`the first: ${await socket.next()}`);
    await second("during the probe", "/plain/", session.query());
    await session.alive("the session");
    socket.send("5");
    await session.event("upgrade");
    await second("after the upgrade", "/plain/", session.query());
    socket.send("4hello");
    t.log(`the first: ${await socket.next()}`);
  },

  async "a second websocket of a session over websocket"(t) {
    const first = await t.websocketSession("/plain/");
    const socket = t.websocket("/plain/", { sid: first.sid });
    const { refused } = await socket.opened;
    if (!refused) socket.send("2probe");
    t.log(refused ?? `101, ${await socket.next()}`);
    first.send("4hello");
    t.log(`the first: ${await first.next()}`);
  },

  async "a probe that goes wrong leaves polling alive"(t) {
    for (const [label, ...packets] of [
      ["a message", "4hello"], ["a ping", "2"], ["another probe", "2other"], ["a pong", "3probe"], ["a close", "1"], ["a noop", "6"],
      ["not a packet", "hello"], ["nothing", ""], ["binary", Buffer.from([1])],
      ["a message after the probe", "2probe", "4hello"], ["not a packet after the probe", "2probe", "?"],
    ]) {
      const { session, socket } = await probing(t, { probed: false });
      socket.send(...packets);
      const heard = [];
      while (!heard.at(-1)?.startsWith("close ")) heard.push(await socket.next());
      t.log(`${label}: ${heard.join(", ")}`);
      await session.alive("  the session");
    }
    for (const [label, end] of [["closed", "close"], ["cut", "terminate"]]) {
      const { session, socket } = await probing(t);
      socket[end]();
      if (end === "close") await socket.next();
      await t.passed();
      await session.alive(`${label}: the session`);
      const again = t.websocket("/plain/", session.query());
      await again.opened;
      again.send("2probe");
      t.log(`  probed again: ${await again.next()}`);
      again.send("5", "4hello");
      t.log(`  upgraded: ${await again.next()}`);
    }
  },

  async "two probes, and an upgrade without one"(t) {
    const { session, socket } = await probing(t);
    socket.send("2probe");
    t.log(`twice: ${await socket.next()}`);
    socket.send("5");
    await session.event("upgrade");
    const other = await probing(t, { probed: false });
    other.socket.send("5", "4hello");
    t.log(`without: ${await other.socket.next()}`);
  },

  async "a probe that is never finished"(t) {
    for (const probed of [false, true]) {
      const { session, socket } = await probing(t, { path: "/hasty/", probed });
      t.log(`${probed ? "probed" : "silent"}: ${await socket.next()}`);
      await session.alive("  the session");
      const again = t.websocket("/hasty/", session.query());
      t.log(`  another websocket: ${(await again.opened).refused ?? "101"}`);
    }
  },

  async "the session ends during the probe"(t) {
    const client = await probing(t);
    await t.shown("the client closes", client.session.post("1"));
    t.log(`closed: ${await client.session.reason()}, the websocket: ${await client.socket.next()}`);
    const broken = await probing(t);
    await t.shown("a bad packet", broken.session.post("?"));
    t.log(`closed: ${await broken.session.reason()}, the websocket: ${await broken.socket.next()}`);
  },

  async "the server closes during the probe"(t) {
    const polled = await probing(t);
    await t.shown("the POST", polled.session.post("4close"));
    await t.shown("the poll", polled.session.poll());
    t.log(`closed: ${await polled.session.reason()}, the websocket: ${await polled.socket.next()}`);
    const upgraded = await probing(t);
    await t.shown("the POST", upgraded.session.post("4send 2 and close"));
    upgraded.socket.send("5");
    const heard = [];
    while (!heard.at(-1)?.startsWith("close ")) heard.push(await upgraded.socket.next());
    t.log(`upgraded: ${heard.join(", ")}, closed: ${await upgraded.session.reason()}`);
  },

  async "upgrades that were not offered"(t) {
    const session = await t.session("/no-upgrades/");
    const socket = t.websocket("/no-upgrades/", session.query());
    const { refused } = await socket.opened;
    if (!refused) socket.send("2probe");
    t.log(`allowUpgrades false: ${refused ?? `101, ${await socket.next()}`}`);
    const polling = await t.session("/polling-only/");
    await t.websocketRefused("polling only", "/polling-only/", polling.query());
    await polling.alive("the session");
  },
};
