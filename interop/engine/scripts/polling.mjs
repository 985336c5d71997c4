// Payloads, limits, overlapping and aborted requests, the end of a session.

/** Posts `body` to a fresh session, and logs the answer, what the next poll gets, and how the session ends if it does. */
async function posted(t, label, body, { path = "/plain/", headers, ends = false } = {}) {
  const session = await t.session(path);
  await t.shown(`${label}`, session.post(body, { headers }));
  if (ends) {
    t.log(`  closed: ${await session.reason()}`);
    await t.refused("  then", "GET", path, session.query());
  } else {
    // The POST is answered before all that it leads to is queued.
    await t.passed();
    await t.shown("  polled", session.poll());
    await session.alive("  then");
  }
}

export default {
  async "payloads"(t) {
    await posted(t, "text", "4hello");
    await posted(t, "the empty message", "4");
    await posted(t, "more than ASCII", "4100 €, 雪, 😀, \u2028");
    await posted(t, "three packets", "4a\x1e4b\x1ebAQIDBA==");
    await posted(t, "fifty packets", Array.from({ length: 50 }, (_, i) => `4${i}`).join("\x1e"));
    await posted(t, "empty binary", "b");
    await posted(t, "binary without its padding", "bAQIDBA");
    await posted(t, "binary in the alphabet for URLs", "b-_-_");
    await posted(t, "all lengths of padding", "bAQ==\x1ebAQI=\x1ebAQID");
    await posted(t, "answers of several kinds", "4send 3\x1e4binary 3\x1e4a");
    await posted(t, "a pong out of turn, open, upgrade and noop are ignored", "3\x1e0\x1e0{}\x1e5\x1e6\x1e4a");
    await posted(t, "a pong with data", "3probe\x1e4a");
    for (const type of ["text/plain;charset=UTF-8", "text/plain", "application/json", "application/x-www-form-urlencoded", "image/png"]) {
      await posted(t, `content-type: ${type}`, "4typed", { headers: { "content-type": type } });
    }
    await posted(t, "binary only in name", "4typed", { headers: { "content-type": "application/octet-stream; charset=UTF-8" } });
    await posted(t, "chunked", "4chunked", { headers: { "transfer-encoding": "chunked" } });
    const session = await t.session("/plain/");
    await session.post("bAQIDBA==\x1e4text");
    t.log(`received: ${[(await session.event("message")).data, (await session.event("message")).data].join(", ")}`);
  },

  async "payloads that end the session"(t) {
    await posted(t, "an empty body", "", { ends: true });
    await posted(t, "an unknown packet type", "7", { ends: true });
    await posted(t, "not a packet", "hello", { ends: true });
    await posted(t, "an empty packet at the end", "4a\x1e", { ends: true });
    await posted(t, "a ping", "2", { ends: true });
    await posted(t, "a probe", "2probe", { ends: true });
    await posted(t, "close", "1", { ends: true });
    await posted(t, "packets after close", "1\x1e4a", { ends: true });
    await posted(t, "not UTF-8", Buffer.from([0x34, 0x61, 0xff, 0xfe]), { ends: false });
    const session = await t.session("/plain/");
    await t.shown("a bad packet between good ones", session.post("4before\x1e?\x1e4after"));
    t.log(`  received: ${(await session.event("message")).data}, closed: ${await session.reason()}`);
  },

  async "a poll that waits"(t) {
    const session = await t.session("/plain/");
    for (const body of ["4one", "4two", "bAQI="]) {
      const poll = await session.pending();
      await t.shown("posted", session.post(body));
      await t.shown("polled", poll.answer);
    }
    const closing = await session.pending();
    await t.shown("close", session.post("1"));
    await t.shown("the poll", closing.answer);
    t.log(`closed: ${await session.reason()}`);
    for (const [label, body] of [["a bad packet", "?"], ["a ping", "2"]]) {
      const other = await t.session("/plain/");
      const poll = await other.pending();
      await t.shown(label, other.post(body));
      await t.shown("the poll", poll.answer);
      t.log(`closed: ${await other.reason()}`);
    }
  },

  async "a body at its limit and above"(t) {
    await posted(t, "100 bytes", `4${"x".repeat(99)}`, { path: "/small/" });
    for (const [label, body, headers] of [
      ["101 bytes", `4${"x".repeat(100)}`],
      ["51 characters of 2 bytes", `4${"é".repeat(50)}`],
      ["100 000 bytes", `4${"x".repeat(99_999)}`],
      ["101 bytes, chunked", `4${"x".repeat(100)}`, { "transfer-encoding": "chunked" }],
      ["several packets", `4${"x".repeat(60)}\x1e4${"y".repeat(60)}`],
    ]) {
      const session = await t.session("/small/");
      await t.shown(label, session.post(body, { headers }));
      await session.alive("  then");
    }
    const session = await t.session("/small/");
    const poll = await session.pending();
    await t.shown("while a poll waits", session.post("4".repeat(101)));
    await t.shown("then", session.post("4hello"));
    await t.shown("the poll", poll.answer);
    await session.post("4big 5000");
    await t.shown("what the server sends is not limited", session.poll());
  },

  async "binary bodies"(t) {
    const octets = { headers: { "content-type": "application/octet-stream" } };
    const session = await t.session("/plain/");
    await t.shown("octet-stream", session.post(Buffer.from([1, 2, 3]), octets));
    t.log(`closed: ${await session.reason()}`);
    const waiting = await t.session("/plain/");
    const poll = await waiting.pending();
    await t.shown("octet-stream, while a poll waits", waiting.post("4text", octets));
    await t.shown("the poll", poll.answer);
    t.log(`closed: ${await waiting.reason()}`);
  },

  async "two polls at once"(t) {
    const session = await t.session("/plain/");
    const first = await session.pending();
    await t.shown("the second", session.poll());
    await t.shown("the first", first.answer);
    t.log(`closed: ${await session.reason()}`);
    await t.refused("a third", "GET", "/plain/", session.query());
  },

  async "two POSTs at once"(t) {
    const session = await t.session("/plain/");
    await session.post("4before");
    const first = await session.begun("4fir");
    await t.shown("the second", session.post("4second"));
    t.log(`received: ${(await session.event("message")).data}, closed: ${await session.reason()}`);
    first.request.end("st");
    t.log(`the first: ${t.show(await first.answer)}`);
    await t.refused("a third", "POST", "/plain/", session.query(), { body: "4third" });
  },

  async "an aborted poll"(t) {
    const session = await t.session("/plain/");
    const { request, answer } = await session.pending();
    request.destroy();
    await answer;
    t.log(`closed: ${await session.reason()}`);
    await t.refused("then", "GET", "/plain/", session.query());
  },

  async "an aborted POST"(t) {
    for (const headers of [{ "transfer-encoding": "chunked" }, { "content-length": "100" }]) {
      const session = await t.session("/plain/");
      await t.shown("a POST before", session.post("4a\x1e4b"));
      const poll = await session.pending();
      await t.shown("the poll", poll.answer);
      const { request, answer } = await session.begun("4c\x1e4half a mess", headers);
      request.destroy();
      await answer;
      t.log(`received: ${(await session.event("message")).data}, ${(await session.event("message")).data}`);
      t.log(`closed: ${await session.reason()}`);
      await t.refused("then", "GET", "/plain/", session.query());
    }
  },

  async "a client that is gone before its POST is answered"(t) {
    const session = await t.session("/plain/");
    t.unanswered("POST", session, "4whole");
    t.log(`received: ${(await session.event("message")).data}`);
    await t.shown("polled", session.poll());
  },

  async "the server closes"(t) {
    const waiting = await t.session("/plain/");
    const poll = await waiting.pending();
    await t.shown("while a poll waits, the POST", waiting.post("4close"));
    await t.shown("the poll", poll.answer);
    t.log(`closed: ${await waiting.reason()}`);
    await t.refused("then", "GET", "/plain/", waiting.query());

    const idle = await t.session("/plain/");
    await t.shown("no poll waits, the POST", idle.post("4close"));
    await t.shown("the next poll", idle.poll());
    t.log(`closed: ${await idle.reason()}`);
    await t.refused("then", "GET", "/plain/", idle.query());

    const queued = await t.session("/plain/");
    await t.shown("with messages queued, the POST", queued.post("4send 3 and close"));
    await queued.event("message");
    await t.shown("the next poll", queued.poll());
    await t.shown("the one after", queued.poll());
    t.log(`closed: ${await queued.reason()}`);

    const deaf = await t.session("/plain/");
    await deaf.post("4close");
    await t.shown("a message while it is closing", deaf.post("4too late"));
    await t.shown("the next poll", deaf.poll());
    t.log(`received: ${(await deaf.event("message")).data}, closed: ${await deaf.reason()}`);

    const rest = await t.session("/plain/");
    await t.shown("packets after the one that closes", rest.post("4close\x1e4too late"));
    await t.shown("the next poll", rest.poll());
    t.log(`received: ${(await rest.event("message")).data}, closed: ${await rest.reason()}`);

    const client = await t.session("/plain/");
    await client.post("4close");
    await t.shown("the client closes as well", client.post("1"));
    t.log(`closed: ${await client.reason()}`);
  },
};
