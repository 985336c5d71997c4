// Handshakes, refusals and their order.

const NO_SUCH = "A".repeat(20);

export default {
  async "handshakes over polling"(t) {
    for (const path of ["/plain/", "/small/", "/fast/", "/polling-only/", "/no-upgrades/", "/initial/"]) {
      await t.shown(path, t.call("GET", path));
    }
    await t.shown("below the path", t.call("GET", "/plain/deeper/still"));
    await t.shown("unknown parameters", t.call("GET", "/plain/", { t: "abc", b64: "1", more: "&=?" }));
    await t.shown("an empty sid is none", t.call("GET", "/plain/", { sid: "" }));
    await t.shown("the last of two counts", t.get("/plain/?EIO=3&EIO=4&transport=nope&transport=polling"));
    await t.shown("escapes", t.get("/plain/?%45IO=4&transport=poll%69ng"));
    await t.shown("a body of a GET is no matter", t.call("GET", "/plain/", {}, { headers: { "content-length": "6" }, body: "4hello" }));
    await t.shown("without the slash at the end", t.get("/plain?EIO=4&transport=polling"));
    await t.shown("outside of every path", t.get("/nowhere/?EIO=4&transport=polling"));
  },

  async "sids"(t) {
    const sids = [];
    for (let i = 0; i < 50; i++) sids.push((await t.session("/plain/")).sid);
    t.log(`20 characters: ${sids.every((sid) => /^[\w-]{20}$/.test(sid))}, all differ: ${new Set(sids).size === sids.length}`);
    const websocket = await t.websocketSession("/plain/");
    t.log(`over websocket: ${/^[\w-]{20}$/.test(websocket.sid)}`);
    t.log(`transports: ${(await t.event(sids[0], "connection")).transport}, ${(await websocket.event("connection")).transport}`);
  },

  async "every refusal over polling"(t) {
    await t.refused("no transport", "GET", "/plain/", { transport: undefined });
    await t.refused("an empty transport", "GET", "/plain/", { transport: "" });
    await t.refused("an unknown transport", "GET", "/plain/", { transport: "carrier pigeon" });
    await t.refused("another case", "GET", "/plain/", { transport: "Polling" });
    await t.refused("a name of every object", "GET", "/plain/", { transport: "constructor" });
    await t.refused("webtransport", "GET", "/plain/", { transport: "webtransport" });
    await t.refused("polling where it is off", "GET", "/websocket-only/");
    await t.refused("an unknown sid", "GET", "/plain/", { sid: NO_SUCH });
    await t.refused("an unknown sid, POST", "POST", "/plain/", { sid: NO_SUCH }, { body: "4hello" });
    await t.refused("a sid of another form", "GET", "/plain/", { sid: "../../etc" });
    await t.refused("a sid that every object has", "GET", "/plain/", { sid: "__proto__" });
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) await t.refused(`handshake by ${method}`, method, "/plain/");
    await t.refused("handshake by POST with a body", "POST", "/plain/", {}, { body: "4hello" });
    await t.refused("websocket without an upgrade", "GET", "/plain/", { transport: "websocket" });
    for (const EIO of [undefined, "", "2", "3", "5", "04", "4.0", "four"]) await t.refused(`EIO ${EIO}`, "GET", "/plain/", { EIO });
    await t.refused("allowRequest, no message", "GET", "/refusing/", { refuse: "plainly" });
    await t.refused("allowRequest, a message", "GET", "/refusing/", { refuse: "with words" });
    await t.shown("allowRequest, accepted", t.call("GET", "/refusing/"));
    await t.refused("no id", "GET", "/ids/", { id: "fail" });
    await t.shown("an id of its own", t.call("GET", "/ids/", { id: "an-id-of-mine-for-20" }));
  },

  async "refusals of a session's requests"(t) {
    const polling = await t.session("/plain/");
    await t.refused("websocket without an upgrade", "GET", "/plain/", polling.query({ transport: "websocket" }));
    await t.refused("websocket without an upgrade, POST", "POST", "/plain/", polling.query({ transport: "websocket" }), { body: "4x" });
    await t.refused("EIO 3", "GET", "/plain/", polling.query({ EIO: "3" }));
    await t.refused("no EIO, POST", "POST", "/plain/", polling.query({ EIO: undefined }), { body: "4x" });
    await t.refused("the sid of another server", "GET", "/small/", polling.query());
    await polling.alive("after all of them");
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) await t.shown(method, polling.call(method, { body: "" }));
    await polling.alive("after other methods");
    const refusing = await t.session("/refusing/");
    await t.shown("allowRequest is for handshakes only", t.call("POST", "/refusing/", refusing.query({ refuse: "plainly" }), { body: "4x" }));
    await t.shown("and not for polls", t.call("GET", "/refusing/", refusing.query({ refuse: "plainly" })));
    const websocket = await t.websocketSession("/plain/");
    await t.refused("a poll of a websocket's session", "GET", "/plain/", { sid: websocket.sid });
    await t.refused("a POST of a websocket's session", "POST", "/plain/", { sid: websocket.sid }, { body: "4x" });
    websocket.send("4still here");
    t.log(`after both: ${await websocket.next()}`);
    const gone = await t.session("/plain/");
    await gone.post("1");
    t.log(`closed: ${await gone.reason()}`);
    await t.refused("a poll of a closed session", "GET", "/plain/", gone.query());
    await t.refused("a POST of a closed session", "POST", "/plain/", gone.query(), { body: "4x" });
  },

  async "the order of the checks"(t) {
    const { sid } = await t.session("/plain/");
    await t.refused("transport before sid", "GET", "/plain/", { transport: "nope", sid: NO_SUCH });
    await t.refused("transport before method", "POST", "/plain/", { transport: "nope" });
    await t.refused("transport before EIO", "GET", "/plain/", { transport: "nope", EIO: "3" });
    await t.refused("sid before EIO", "GET", "/plain/", { sid: NO_SUCH, EIO: "3" });
    await t.refused("sid before method", "PUT", "/plain/", { sid: NO_SUCH });
    await t.refused("sid before transport mismatch", "GET", "/plain/", { sid: NO_SUCH, transport: "websocket" });
    await t.refused("transport mismatch before EIO", "GET", "/plain/", { sid, transport: "websocket", EIO: "3" });
    await t.refused("EIO of a session before method", "PUT", "/plain/", { sid, EIO: "3" });
    await t.refused("method before websocket without an upgrade", "POST", "/plain/", { transport: "websocket" });
    await t.refused("method before allowRequest", "POST", "/refusing/", { refuse: "plainly" });
    await t.refused("method before EIO", "POST", "/plain/", { EIO: "3" });
    await t.refused("websocket without an upgrade before allowRequest", "GET", "/refusing/", { transport: "websocket", refuse: "plainly" });
    await t.refused("websocket without an upgrade before EIO", "GET", "/plain/", { transport: "websocket", EIO: "3" });
    await t.refused("allowRequest before EIO", "GET", "/refusing/", { refuse: "plainly", EIO: "3" });
    await t.refused("EIO before the id", "GET", "/ids/", { EIO: "3", id: "fail" });
  },

  async "middlewares"(t) {
    const session = await t.session("/middleware/");
    await session.alive("what passes");
    await t.refused("a handshake", "GET", "/middleware/", { middleware: "fail" });
    await t.refused("a poll", "GET", "/middleware/", session.query({ middleware: "fail" }));
    await t.refused("a POST", "POST", "/middleware/", session.query({ middleware: "fail" }), { body: "4x" });
    for (const method of ["PUT", "OPTIONS"]) await t.refused(method, method, "/middleware/", { middleware: "fail" });
    await t.refused("before the transport", "GET", "/middleware/", { transport: "nope", middleware: "fail" });
    await t.refused("before the sid", "GET", "/middleware/", { sid: NO_SUCH, middleware: "fail" });
    await t.websocketRefused("a websocket", "/middleware/", { middleware: "fail" });
    await t.websocketRefused("an upgrade", "/middleware/", session.query({ middleware: "fail" }));
    await t.shown("an answer of its own", t.call("GET", "/middleware/", { middleware: "answer" }));
    await t.shown("to a POST", t.call("POST", "/middleware/", session.query({ middleware: "answer" }), { body: "4x" }));
    await session.alive("after all of them");
    const socket = await t.websocketSession("/middleware/");
    t.log(`over websocket: ${socket.handshake}`);
  },

  async "an Origin with control characters"(t) {
    const upgrade = `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${"A".repeat(22)}==`;
    for (const [name, char] of [["0x01", "\x01"], ["0x7f", "\x7f"]]) {
      for (const [transport, headers] of [["polling", "Connection: close"], ["websocket", `Connection: Upgrade\r\n${upgrade}`]]) {
        const target = t.address("/plain/", { transport });
        const answer = await t.raw(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a${char}b\r\n${headers}\r\n\r\n`);
        const [head, body] = answer.split("\r\n\r\n");
        t.log(`${name}, ${transport}: ${head.split("\r\n")[0]} | ${body}`);
      }
    }
  },
};
