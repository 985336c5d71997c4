// Revision 3 of the protocol, and polling by scripts (JSONP) in both revisions. /eio3/, /eio3-fast/ and /eio3-small/
// allow revision 3.

const V3 = { EIO: "3" };
const OCTETS = { headers: { "content-type": "application/octet-stream" } };
const FORM = { headers: { "content-type": "application/x-www-form-urlencoded" } };

/** An answer whose body may be binary. */
async function shownBytes(t, label, answer) {
  const { status, headers, body } = await answer;
  const binary = headers["content-type"] === "application/octet-stream";
  t.log(`${label}: ${status} ${headers["content-type"]} ${headers["content-length"]} ${binary ? body.toString("hex") : body}`);
}

/** The packets of revision 3 in one payload, in text. */
const payload = (...packets) => packets.map((packet) => `${packet.length}:${packet}`).join("");

/** The same in binary: a string, or the bytes of a binary message. */
const octets = (...packets) => Buffer.concat(packets.map((packet) => {
  const data = typeof packet === "string" ? Buffer.from(packet) : Buffer.from([4, ...packet]);
  const digits = [...String(data.length)].map(Number);
  return Buffer.concat([Buffer.from([typeof packet === "string" ? 0 : 1, ...digits, 255]), data]);
}));

/** Posts `body` to a fresh session, and logs what comes of it. */
async function posted(t, label, body, { path = "/eio3/", query = V3, ends = false, ...options } = {}) {
  const session = await t.session(path, query);
  await t.shown(label, session.post(body, options));
  if (ends) {
    t.log(`  closed: ${await session.reason()}`);
    await t.refused("  then", "GET", path, session.query());
  } else {
    // All answers in one payload: the server has had every occasion to give them.
    await t.passed();
    await shownBytes(t, "  polled", session.poll());
  }
  return session;
}

/** What a session has received; it must be as many. */
async function received(t, session, count) {
  const messages = [];
  for (let i = 0; i < count; i++) messages.push((await session.event("message")).data);
  t.log(`  received: ${messages.join(", ")}`);
}

export default {
  async "revision 3: handshakes"(t) {
    for (const [label, query] of [
      ["EIO 3", V3], ["no EIO", { EIO: undefined }], ["another EIO", { EIO: "5" }], ["an empty EIO", { EIO: "" }],
      ["binary as text", { ...V3, b64: "1" }], ["EIO 4", {}],
    ]) {
      await t.shown(`polling, ${label}`, t.call("GET", "/eio3/", query));
      const socket = await t.websocketSession("/eio3/", query);
      t.log(`websocket, ${label}: ${socket.handshake}`);
    }
    for (const path of ["/eio3-fast/", "/eio3-small/", "/eio3-initial/"]) {
      await t.shown(path, t.call("GET", path, V3));
    }
    const initial = await t.websocketSession("/eio3-initial/", V3);
    t.log(`/eio3-initial/, websocket: ${initial.handshake}, ${await initial.next()}`);
  },

  async "revision 3: where it is not allowed, and sessions of the other revision"(t) {
    await t.refused("EIO 3", "GET", "/plain/", V3);
    await t.refused("no EIO", "GET", "/plain/", { EIO: undefined });
    for (const [label, query, other] of [["of 3", V3, "4"], ["of 3, none", V3, "3.0"], ["of 4", {}, "3"]]) {
      const session = await t.session("/eio3/", query);
      const same = label === "of 3, none";
      if (!same) {
        await t.refused(`${label}, GET`, "GET", "/eio3/", session.query({ EIO: other }));
        await t.refused(`${label}, POST`, "POST", "/eio3/", session.query({ EIO: other }), { body: "4x" });
        await t.websocketRefused(`${label}, upgrade`, "/eio3/", session.query({ EIO: other }));
      } else {
        await t.shown(`${label}`, t.call("POST", "/eio3/", session.query({ EIO: undefined }), { body: "2:4x" }));
        await t.shown("  polled", t.call("GET", "/eio3/", session.query({ EIO: other })));
      }
    }
    await t.refused("an unknown sid", "GET", "/eio3/", { ...V3, sid: "A".repeat(20) });
  },

  async "revision 3: payloads in text"(t) {
    await posted(t, "text", "6:4hello");
    await posted(t, "the empty message", "1:4");
    await posted(t, "more than ASCII", payload("4100 €, 雪, 😀, \u2028"));
    await posted(t, "three packets", payload("4a", "4€😀", "b4AQIDBA=="));
    await posted(t, "fifty packets", payload(...Array.from({ length: 50 }, (_, i) => `4${i}`)));
    await posted(t, "a separator of revision 4", payload("4a\x1e4b"));
    await posted(t, "empty binary", payload("b4"));
    await posted(t, "binary without its padding", payload("b4AQIDBA"));
    await posted(t, "all lengths of padding", payload("b4AQ==", "b4AQI=", "b4AQID"));
    await posted(t, "answers of several kinds", payload("4send 3", "4binary 3", "4a"));
    await posted(t, "open, upgrade and noop are ignored", payload("0", "0{}", "5", "6", "4a"));
    await posted(t, "a ping", "1:2");
    await posted(t, "pings, one with data", payload("2", "2probe", "2"));
    await posted(t, "leading zeros", "0002:4a");
    for (const type of ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "image/png"]) {
      await posted(t, `content-type: ${type}`, payload("4typed"), { headers: { "content-type": type } });
    }
    const nothing = await t.session("/eio3/", V3);
    await t.shown("no packet", nothing.post("0:"));
    await t.shown("then", nothing.post("2:4a"));
    await t.shown("polled", nothing.poll());
    const base64 = { query: { ...V3, b64: "1" } };
    await posted(t, "for a client without binary", payload("4send 2", "4binary 3", "4a"), base64);
    await posted(t, "from a client without binary", octets("4a", [1, 2]), { ...base64, ...OCTETS });
  },

  async "revision 3: payloads that end the session"(t) {
    for (const [label, body] of [
      ["an empty body", ""], ["no length", "4hello"], ["a length alone", "2"], ["a length that is too large", "3:4a"],
      ["a length that is too small", "1:4a"], ["a negative length", "-1:4"], ["an empty length", ":4"], ["not a length", "x:4"],
      ["a payload of revision 4", "4a\x1e4b"], ["an unknown packet type", "1:7"], ["not a packet", "5:hello"],
      ["a bad packet behind a good one", "2:4a1:7"], ["a bad length behind a good packet", "2:4ax"],
      ["a pong", "1:3"], ["close", "1:1"], ["packets after close", "1:12:4a"],
    ]) await posted(t, label, body, { ends: true });
  },

  async "revision 3: payloads in binary"(t) {
    await received(t, await posted(t, "text", octets("4hello"), OCTETS), 1);
    await received(t, await posted(t, "binary", octets([1, 2, 3, 4]), OCTETS), 1);
    await received(t, await posted(t, "both", octets("4€😀", [1, 2, 3, 4], "4", [], "4a"), OCTETS), 5);
    await posted(t, "many digits", octets(`4${"x".repeat(1234)}`, new Array(300).fill(7)), OCTETS);
    await posted(t, "base64 in it", octets("b4AQID"), OCTETS);
    await posted(t, "answers of several kinds", payload("4send 2", "4binary 3", "4a"));
    await posted(t, "a long one", payload("4binary 300"));
    await posted(t, "pings", octets("2", "2"), OCTETS);
    await posted(t, "close", octets("4a", "1"), { ...OCTETS, ends: true });
    await posted(t, "an unknown type", octets("7"), { ...OCTETS, ends: true });
    await posted(t, "a pong", octets("3"), { ...OCTETS, ends: true });
    await posted(t, "not UTF-8", Buffer.from([0, 2, 255, 0x34, 0xff]), { ...OCTETS, ends: true });
    const session = await t.session("/eio3/", {});
    await t.shown("of a session of revision 4", session.post(octets("4a"), OCTETS));
    t.log(`  closed: ${await session.reason()}`);
  },

  async "revision 3: the limit of a body"(t) {
    const options = { path: "/eio3-small/" };
    await posted(t, "100 bytes", payload(`4${"x".repeat(95)}`), options);
    await posted(t, "100 bytes, binary", octets(new Array(95).fill(1)), { ...options, ...OCTETS });
    for (const [label, body, more] of [
      ["102 bytes", payload(`4${"x".repeat(97)}`)], ["102 bytes, binary", octets(new Array(97).fill(1)), OCTETS],
      ["a length beyond all", "999999999999999:4x"],
    ]) {
      const session = await t.session("/eio3-small/", V3);
      await t.shown(label, session.post(body, more));
      if (label.startsWith("102")) {
        await t.shown("  then", session.post("2:4a"));
        await t.shown("  polled", session.poll());
      } else t.log(`  closed: ${await session.reason()}`);
    }
  },

  async "revision 3: polls that wait"(t) {
    const session = await t.session("/eio3/", V3);
    for (const body of ["2:4a", "6:b4AQI=", "1:2"]) {
      const poll = await session.pending();
      await t.shown("posted", session.post(body));
      await shownBytes(t, "polled", poll.answer);
    }
    const closing = await session.pending();
    await t.shown("close", session.post("1:1"));
    await t.shown("the poll", closing.answer);
    t.log(`closed: ${await session.reason()}`);
    const ended = await t.session("/eio3/", V3);
    const poll = await ended.pending();
    await t.shown("the server closes, the POST", ended.post("6:4close"));
    await t.shown("the poll", poll.answer);
    t.log(`closed: ${await ended.reason()}`);
    const overlap = await t.session("/eio3/", V3);
    const first = await overlap.pending();
    await t.shown("the second poll", overlap.poll());
    await t.shown("the first", first.answer);
    t.log(`closed: ${await overlap.reason()}`);
  },

  async "revision 3: requests that do not fit"(t) {
    const session = await t.session("/eio3/", V3);
    for (const method of ["PUT", "DELETE", "OPTIONS"]) await t.shown(method, session.call(method, { body: "" }));
    await t.refused("websocket without an upgrade", "GET", "/eio3/", session.query({ transport: "websocket" }));
    await t.shown("then", session.post("2:4a"));
    await t.shown("polled", session.poll());
    await t.refused("handshake by POST", "POST", "/eio3/", V3);
    await t.refused("no transport", "GET", "/eio3/", { ...V3, transport: undefined });

    const aborted = await t.session("/eio3/", V3);
    const { request, answer } = await aborted.pending();
    request.destroy();
    await answer;
    t.log(`an aborted poll: ${await aborted.reason()}`);
    await t.refused("then", "GET", "/eio3/", aborted.query());

    const posting = await t.session("/eio3/", V3);
    await posting.begun("4:4f");
    await t.shown("a second POST", posting.post("3:4aa"));
    t.log(`closed: ${await posting.reason()}`);

    const idle = await t.session("/eio3/", V3);
    await idle.post("6:4close");
    await t.shown("the server closes, the next poll", idle.poll());
    t.log(`closed: ${await idle.reason()}`);

    const websocket = await t.websocketSession("/eio3/", V3);
    await t.refused("a poll of a websocket's session", "GET", "/eio3/", { ...V3, sid: websocket.sid });
    await t.refused("a POST of a websocket's session", "POST", "/eio3/", { ...V3, sid: websocket.sid }, { body: "2:4x" });
    websocket.send("1", "4hello");
    const heard = await websocket.next();
    websocket.close();
    t.log(`a close packet over websocket: ${heard}, ${await websocket.reason()}`);
  },

  async "revision 3: messages over websocket"(t) {
    const socket = await t.websocketSession("/eio3/", V3);
    const echo = async (label, message) => {
      socket.send(message);
      t.log(`${label}: ${await socket.next()}`);
    };
    await echo("text", "4hello");
    await echo("the empty message", "4");
    await echo("more than ASCII", "4€ 雪 😀");
    await echo("binary", Buffer.from([4, 0, 1, 254, 255]));
    await echo("empty binary", Buffer.from([4]));
    await echo("base64", "b4AQID");
    await echo("empty base64", "b4");
    await echo("a ping", "2");
    await echo("a ping with data", "2probe");
    await echo("from 126 bytes on", Buffer.alloc(126, 4));
    socket.send("0", "0{}", "5", "6", "4after what is ignored");
    t.log(`ignored: ${await socket.next()}`);
    socket.send("4send 3", "4binary 3", "4last");
    t.log(`several: ${[await socket.next(), await socket.next(), await socket.next(), await socket.next(), await socket.next()].join(", ")}`);
    socket.close();
    t.log(`closed by the client: ${await socket.next()}, ${await socket.reason()}`);
    const base64 = await t.websocketSession("/eio3/", { ...V3, b64: "1" });
    for (const message of [Buffer.from([4, 1, 2, 3]), Buffer.from([4]), "b4AQID", "4text"]) {
      base64.send(message);
      t.log(`binary as text: ${await base64.next()}`);
    }
  },

  async "revision 3: what ends a session over websocket"(t) {
    for (const [label, message] of [
      ["a pong", "3"], ["an unknown packet type", "7"], ["not a packet", "hello"], ["nothing", ""], ["close by the server", "4close"],
    ]) {
      const socket = await t.websocketSession("/eio3/", V3);
      socket.send(message);
      t.log(`${label}: ${await socket.next()}, ${await socket.reason()}`);
    }
    const big = await t.websocketSession("/eio3-small/", V3);
    big.send(`4${"x".repeat(100)}`);
    t.log(`101 bytes: ${await big.next()}, ${await big.reason()}`);
  },

  async "revision 3: binary of no message over websocket"(t) {
    for (const [label, bytes] of [["an unknown type", [7, 1]], ["a digit", [0x34, 1]], ["nothing", []]]) {
      const socket = await t.websocketSession("/eio3/", V3);
      socket.send(Buffer.from(bytes));
      socket.send("4then");
      const answer = await socket.next();
      socket.close();
      t.log(`${label}: ${answer}, ${await socket.reason()}`);
    }
  },

  async "revision 3: the upgrade"(t) {
    const session = await t.session("/eio3/", V3);
    const poll = await session.pending();
    const socket = t.websocket("/eio3/", session.query());
    await socket.opened;
    socket.send("2probe");
    t.log(`probe: ${await socket.next()}`);
    await t.shown("the poll", poll.answer);
    await t.shown("the next poll", session.poll());
    await session.post(payload("4send 2", "4binary 3"));
    socket.send("5");
    await session.event("upgrade");
    t.log(`what waited: ${await socket.next()}, ${await socket.next()}, ${await socket.next()}`);
    socket.send("4hello", Buffer.from([4, 1, 2]));
    t.log(`messages: ${await socket.next()}, ${await socket.next()}`);
    socket.send("2");
    t.log(`a ping: ${await socket.next()}`);
    await t.refused("a poll afterwards", "GET", "/eio3/", session.query());
    socket.close();
    t.log(`closed: ${await session.reason()}`);

    const text = await t.session("/eio3/", { ...V3, b64: "1" });
    const other = t.websocket("/eio3/", text.query());
    await other.opened;
    other.send("2probe");
    await other.next();
    other.send("5", Buffer.from([4, 1, 2, 3]));
    t.log(`binary as text: ${await other.next()}`);

    const failed = await t.session("/eio3/", V3);
    const wrong = t.websocket("/eio3/", failed.query());
    await wrong.opened;
    wrong.send("2probe");
    await wrong.next();
    wrong.send("4too early");
    t.log(`another packet than the upgrade: ${await wrong.next()}`);
    await t.shown("polling goes on", failed.post("2:4a"));
  },

  async "JSONP: answers"(t) {
    for (const [label, query, post] of [["revision 4", {}, (...list) => list.join("\x1e")], ["revision 3", V3, payload]]) {
      const own = { ...query, j: "7" };
      await t.shown(`${label}, the handshake`, t.call("GET", "/eio3/", own));
      const session = await t.session("/eio3/", own);
      const body = (...packets) => `d=${encodeURIComponent(post(...packets))}`;
      await t.shown("posted", session.post(body("4hello"), FORM));
      await t.shown("polled", session.poll());
      await t.shown("posted", session.post(body("4\"\\/\t\u0000\u001f\u2028\u2029<€😀", "4b"), FORM));
      await t.passed();
      await t.shown("polled", session.poll());
      const waiting = await session.pending();
      await t.shown("while a poll waits, close", session.post(body("1"), FORM));
      await t.shown("polled", waiting.answer);
      t.log(`closed: ${await session.reason()}`);
    }
    const upgrading = await t.session("/eio3/", { ...V3, j: "0" });
    const socket = t.websocket("/eio3/", upgrading.query({ j: undefined }));
    await socket.opened;
    socket.send("2probe");
    t.log(`probe: ${await socket.next()}`);
    await t.shown("a poll", upgrading.poll());
    socket.send("5", "4hello");
    t.log(`after the upgrade: ${await socket.next()}`);
    const plain = await t.session("/plain/", { j: "1" });
    await plain.post("d=4binary%203", FORM);
    await t.shown("binary in revision 4", plain.poll());
    const text = await t.session("/eio3/", { ...V3, j: "1", b64: "1" });
    await text.post("d=9%3A4binary%203", FORM);
    await t.shown("binary in revision 3", text.poll());
  },

  async "JSONP: the function's number"(t) {
    for (const j of ["", "12", "1;alert(1)//", "x", "-3", "1.5", "٣"]) {
      await t.shown(JSON.stringify(j), t.call("GET", "/plain/", { j }));
    }
  },

  async "JSONP: forms"(t) {
    for (const body of [
      "d=4a+b", "d=4a%20b", "x=1&d=4x&y=2", "d=4a%5Cnb", "d=4a%5C%5Cnb", "d=4a%5C%5C%5Cnb", "d=4a\\nb", "d=4%E2%82%AC",
    ]) {
      const session = await t.session("/plain/", { j: "0" });
      await t.shown(body, session.post(body, FORM));
      await received(t, session, 1);
    }
    for (const body of ["", "x=1", "4hello", "d=4a&d=4b"]) {
      const session = await t.session("/plain/", { j: "0" });
      await t.shown(`nothing in ${JSON.stringify(body)}`, session.post(body, FORM));
      await t.shown("  then", session.post("d=4x", FORM));
      await received(t, session, 1);
    }
    for (const body of ["d=", "d=7", "d"]) {
      const session = await t.session("/plain/", { j: "0" });
      await t.shown(`the end by ${body}`, session.post(body, FORM));
      t.log(`  closed: ${await session.reason()}`);
    }
    const session = await t.session("/small/", { j: "0" });
    await t.shown("a body above the limit", session.post(`d=4${"x".repeat(100)}`, FORM));
  },

  async "JSONP: long answers are compressed"(t) {
    const session = await t.session("/compressed/", { j: "0" });
    await session.post("d=4big%20300", FORM);
    await t.shown("polled", session.poll({ headers: { "accept-encoding": "gzip" } }));
  },
};
