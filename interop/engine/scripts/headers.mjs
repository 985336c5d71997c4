// CORS, cookies, hooks, compression, and what old browsers need.

const ORIGIN = { origin: "http://a.b" };
const PREFLIGHT = {
  "access-control-request-method": "POST",
  "access-control-request-headers": "x-foo, x-other",
};
const ANSWER = /^(access-control-|x-|vary$|set-cookie$|sec-websocket-extensions$|sec-websocket-protocol$)/;

/** The headers of a 101 that are Engine.IO's. */
const of101 = (headers) =>
  Object.keys(headers).filter((name) => ANSWER.test(name)).sort().map((name) => `${name}: ${headers[name]}`).join(" | ") || "none";

async function everyAnswer(t, path, origin) {
  const headers = { origin };
  await t.shown("preflight", t.call("OPTIONS", path, {}, { headers: { ...headers, ...PREFLIGHT } }));
  await t.shown("OPTIONS that asks for nothing", t.call("OPTIONS", path, {}, { headers }));
  await t.shown("handshake", t.call("GET", path, {}, { headers }));
  const session = await t.session(path, {}, { headers });
  await t.shown("preflight of the session", session.call("OPTIONS", { headers: { ...headers, ...PREFLIGHT } }));
  await t.shown("POST", session.post("4hello", { headers }));
  await t.shown("poll", session.poll({ headers }));
  await t.shown("another method", session.call("PUT", { headers, body: "" }));
  await t.refused("code 0", "GET", path, { transport: "nope" }, { headers });
  await t.refused("code 1", "GET", path, { sid: "A".repeat(20) }, { headers });
  await t.refused("code 2", "POST", path, {}, { headers });
  await t.refused("code 3", "GET", path, { transport: "websocket" }, { headers });
  await t.refused("code 5", "GET", path, { EIO: "3" }, { headers });
  const socket = await t.websocketSession(path, {}, { headers });
  t.log(`websocket: ${of101(socket.headers)}`);
  await t.websocketRefused("websocket refused", path, { sid: "A".repeat(20) }, { headers });
}

export default {
  async "CORS: one origin, everything set"(t) {
    await everyAnswer(t, "/cors/", "http://a.b");
    await t.shown("another origin", t.call("GET", "/cors/", {}, { headers: { origin: "http://evil.b" } }));
    await t.shown("no origin", t.call("GET", "/cors/"));
    const overlapping = await t.session("/cors/");
    const first = await overlapping.pending();
    await t.shown("overlap", overlapping.poll({ headers: ORIGIN }));
    await t.shown("the first", first.answer);
  },

  async "CORS: any origin"(t) {
    await everyAnswer(t, "/cors-any/", "http://who.ever");
    await t.shown("no origin", t.call("GET", "/cors-any/"));
  },

  async "CORS: the origin of the request"(t) {
    await everyAnswer(t, "/cors-reflect/", "https://who.ever:8443");
    await t.shown("no origin", t.call("GET", "/cors-reflect/"));
    await t.shown("the origin null", t.call("GET", "/cors-reflect/", {}, { headers: { origin: "null" } }));
  },

  async "CORS: a list of origins"(t) {
    await everyAnswer(t, "/cors-list/", "http://c.d");
    for (const origin of ["http://evil.b", "http://a.b.c", "HTTP://A.B", "http://a.b:80", "null"]) {
      await t.shown(`the origin ${origin}`, t.call("GET", "/cors-list/", {}, { headers: { origin } }));
      await t.shown("  preflight", t.call("OPTIONS", "/cors-list/", {}, { headers: { origin, ...PREFLIGHT } }));
    }
    await t.shown("no origin", t.call("GET", "/cors-list/"));
  },

  async "no CORS"(t) {
    await t.refused("preflight", "OPTIONS", "/plain/", {}, { headers: { ...ORIGIN, ...PREFLIGHT } });
    await t.shown("handshake", t.call("GET", "/plain/", {}, { headers: ORIGIN }));
    const socket = await t.websocketSession("/plain/", {}, { headers: ORIGIN });
    t.log(`websocket: ${of101(socket.headers)}`);
  },

  async "cookies"(t) {
    for (const path of ["/cookie/", "/cookie-custom/"]) {
      await t.shown("handshake", t.call("GET", path));
      const session = await t.session(path);
      await t.shown("POST", session.post("4hello"));
      await t.shown("poll", session.poll());
      const socket = await t.websocketSession(path);
      t.log(`websocket: ${of101(socket.headers)}`);
      await t.refused("a refusal", "GET", path, { EIO: "3" });
    }
  },

  async "hooks"(t) {
    await t.shown("handshake", t.call("GET", "/headers/"));
    const session = await t.session("/headers/");
    await t.shown("POST", session.post("4hello"));
    await t.shown("poll", session.poll());
    await t.shown("another method", session.call("PUT", { body: "" }));
    await t.refused("a refusal", "GET", "/headers/", { EIO: "3" });
    const upgrade = t.websocket("/headers/", session.query());
    t.log(`websocket of the session: ${of101((await upgrade.opened).headers)}`);
    const socket = await t.websocketSession("/headers/");
    t.log(`websocket: ${of101(socket.headers)}`);
    const overlapping = await t.session("/headers/");
    const first = await overlapping.pending();
    await t.shown("overlap", overlapping.poll());
    await t.shown("the first", first.answer);
  },

  async "compression of polls"(t) {
    const encodings = [
      undefined, "", "gzip", "deflate", "gzip, deflate", "deflate, gzip", "gzip;q=0.5, deflate", "gzip, deflate, br", "br",
      "identity", "*", "gzip;q=0", "gzip;q=0, *", "identity;q=0", "identity, gzip;q=0.5", "GZIP", "x-gzip",
    ];
    for (const encoding of encodings) {
      const headers = encoding === undefined ? {} : { "accept-encoding": encoding };
      const session = await t.session("/plain/");
      await session.post("4big 2000");
      await t.shown(`accept-encoding: ${encoding}`, session.poll({ headers }));
      await session.alive("  then");
    }
  },

  async "what is compressed"(t) {
    const both = { headers: { "accept-encoding": "gzip, deflate" } };
    const polled = async (label, path, ...commands) => {
      const session = await t.session(path);
      for (const command of commands) {
        await session.post(`4${command}`);
        // The POST is answered before all that its message leads to is queued.
        await session.event("message");
      }
      await t.shown(label, session.poll(both));
    };
    await polled("1023 bytes", "/plain/", "big 1022");
    await polled("1024 bytes", "/plain/", "big 1023");
    await polled("many small packets", "/plain/", "send 500");
    await polled("binary", "/plain/", "binary 1000");
    await polled("more than ASCII counts its bytes", "/plain/", "€".repeat(350));
    await polled("100 000 bytes", "/plain/", "big 100000");
    await polled("compress: false", "/plain/", "plain 2000");
    await polled("compress: false, and a packet without", "/plain/", "plain 2000", "small");
    await polled("99 bytes, from 100 on", "/compressed/", "big 98");
    await polled("100 bytes, from 100 on", "/compressed/", "big 99");
    await polled("off", "/uncompressed/", "big 2000");
    await t.shown("a handshake above the threshold", t.call("GET", "/compressed/", {}, both));
    const waiting = await t.session("/plain/");
    const poll = t.call("GET", "/plain/", waiting.query(), both);
    await t.passed();
    await t.shown("POST", waiting.post("4big 2000", both));
    await t.shown("a poll that waited", poll);
  },

  async "old browsers"(t) {
    for (const agent of [
      "Mozilla/5.0 (Windows; U;MSIE 7.0; Windows NT 6.0; en-US)", "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
      "Mozilla/4.0 (compatible; MSIE 7.0)", "Mozilla/5.0 (X11; Linux x86_64)",
    ]) {
      const headers = { "user-agent": agent };
      t.log(agent);
      const session = await t.session("/plain/");
      await t.shown("  handshake", t.call("GET", "/plain/", {}, { headers }));
      await t.shown("  POST", session.post("4hello", { headers }));
      await t.shown("  poll", session.poll({ headers }));
      await t.refused("  a refusal", "GET", "/plain/", { EIO: "3" }, { headers });
    }
  },
};
