// Events, acks, listeners, and what they carry.

import { ask, bytes, finalTransport, has, next, pause, PATIENCE, record, settled, show, showAll } from "./scenario.mjs";

/** Sends each of the lists of arguments there and back, as an event and as an ack. */
async function thereAndBack(socket, log, cases) {
  for (const args of cases) {
    const back = next(socket, "echo");
    socket.emit("echo", ...args);
    const [event, ack] = [showAll(await back), showAll(await ask(socket, "echo", ...args))];
    const short = event.length > 400 ? `${event.length} characters` : event;
    log(event === ack ? short : `event ${short}, ack ${ack}`);
  }
}

/** Lists of arguments that go there and back. */
const payload = (...cases) => async ({ connected, log }) => thereAndBack(await connected(), log, cases);

const deep = (levels) => (levels === 0 ? "bottom" : levels % 2 ? [deep(levels - 1)] : { in: deep(levels - 1) });

export const EVENTS = {
  "payload: nothing, and one of each": payload([], [null], [true], [false], [0], [""], [[]], [{}]),
  "payload: numbers": payload(
    [0, -0, 1, -1, 1.5, -1.5, 0.1], [127, 128, 255, 256, 65535, 65536, 2147483647, 2147483648, 4294967295, 4294967296],
    [-32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649], [9007199254740991, -9007199254740991],
    [1e21, 1e-7, 5e-324, 1.7976931348623157e308], [2 ** 53, 2 ** 63],
  ),
  "payload: no numbers": payload([NaN], [Infinity, -Infinity], [[NaN]]),
  "payload: what is left out": payload([undefined], [undefined, 1], [{ a: undefined, b: 1 }], [[undefined]], [new Date(0)]),
  "payload: what says itself how it is sent": payload([{ toJSON: () => "as text" }], [[{ toJSON: () => [1] }]]),
  "payload: text": payload(["a", " ", "\n\t\r\b\f\"\\/"], ["\u0000\u0001\u001e\u001f\u007f\u0080"], ["€ 雪 😀 e\u0301 \u2028\u2029 \ufeff"], ["שלום مرحبا 👩‍👩‍👧"]),
  "payload: text at the lengths where encodings change": payload(
    ...[31, 32, 125, 126, 127, 255, 256, 65535, 65536].map((length) => ["x".repeat(length), "é".repeat(length)]),
  ),
  "payload: text like packets": payload(["42[\"x\"]", "2", "b4AAEC", "\u001e4", "51-[]"], ["{\"_placeholder\":true,\"num\":0}"]),
  "payload: keys": payload([{ "": 1, " ": 2, "a.b": 3, "€": 4, 1: 5, constructor: 6, toString: 7, length: 8 }]),
  "payload: arrays and objects at the lengths where encodings change": payload(
    ...[15, 16, 17, 255, 256].map((length) => [Array.from({ length }, (_, i) => i), Object.fromEntries(Array.from({ length }, (_, i) => [`k${i}`, i]))]),
  ),
  "payload: forty levels deep": payload([deep(40)]),
  "payload: a hundred arguments": payload(Array.from({ length: 100 }, (_, i) => i)),
  "payload: 300 000 characters": payload(["x".repeat(300_000)], ["😀".repeat(50_000)]),
  "binary: of every length": payload(...[0, 1, 2, 3, 255, 256, 65535, 65536].map((length) => [new Uint8Array(length).fill(3)])),
  "binary: of every type": payload([bytes(1, 2).buffer], [new Uint8Array([9, 8, 7]).subarray(1)], [new Uint16Array([258])], [new DataView(bytes(4, 5).buffer)]),
  "binary: anywhere": payload(
    [bytes(1), "between", bytes(2)], [{ a: { b: [{ c: bytes(3) }] } }], [[bytes(4), [bytes(5), null]]], [{ "": bytes(6), "€": bytes(7) }],
  ),
  "binary: the same twice": async ({ connected, log }) => {
    const one = bytes(1, 2);
    await thereAndBack(await connected(), log, [[one, one, { one }]]);
  },
  "binary: ten attachments": payload(Array.from({ length: 10 }, (_, i) => bytes(i))),
  "binary: 300 000 bytes": payload([new Uint8Array(300_000).fill(7)], [bytes(1), new Uint8Array(100_000).fill(8), "text"]),

  async "binary: in acks both ways"({ connected, log }) {
    const socket = await connected();
    log(`types: ${showAll(await ask(socket, "types", bytes(1, 2, 3), { b: bytes() }, bytes()))}`);
    socket.on("question", (value, answer) => answer({ back: value, more: [bytes(7)] }));
    socket.emit("ask", "question", { nested: bytes(5, 6) }, PATIENCE);
    log(`asked: ${showAll(await next(socket, "asked"))}`);
    socket.on("plain", (value, answer) => answer(bytes()));
    socket.emit("ask", "plain", "text", PATIENCE);
    log(`text, answered in binary: ${showAll(await next(socket, "asked"))}`);
  },

  async "events: their names"({ connected, log }) {
    const socket = await connected();
    const names = ["", " ", "a b", "é", "雪😀", "a\"b\\c", "\n", "__proto__", "constructor", "toString", "message", "error", "connection", "x".repeat(1000)];
    for (const name of names) {
      // `relay` emits whatever it is told.
      const back = next(socket, name);
      await ask(socket, "relay", { from: "server", to: ["self"] }, name, "named");
      log(`${show(name.slice(0, 20))}: ${showAll(await back)}`);
    }
    for (const event of ["", 42]) {
      const back = next(socket, event);
      socket.emit(event, "named");
      log(`${show(event)}: ${showAll(await back)}`);
    }
  },

  async "events: names that are taken"({ connected, log }) {
    const socket = await connected();
    for (const event of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
      try {
        if (has(socket, "onAny")) socket.emit(event);
      } catch (err) {
        log(err.message);
      }
    }
    log(`still there: ${showAll(await ask(socket, "echo", "yes"))}`);
  },

  async "events: nobody handles them"({ connected, log }) {
    const socket = await connected();
    socket.emit("nobody handles this", 1, bytes(2));
    socket.emit("__proto__");
    socket.emit("hasOwnProperty", {});
    log(`still there: ${showAll(await ask(socket, "echo", "yes"))}`);
  },

  async "events: send and message"({ connected, log }) {
    const socket = await connected();
    const back = next(socket, "message");
    socket.send("hello", { n: 1 }, bytes(1));
    log(showAll(await back));
  },

  async "events: in order, with binary and acks between"({ connected, log }) {
    const socket = await connected();
    const seen = record(socket, "echo");
    const answers = [];
    for (let i = 0; i < 60; i++) {
      if (i % 3 === 0) socket.emit("echo", i);
      else if (i % 3 === 1) socket.emit("echo", bytes(i));
      else socket.emit("echo", i, (value) => answers.push(value));
    }
    await settled(socket);
    log(`events: ${show(seen)}`);
    log(`answers: ${show(answers)}`);
  },

  async "events: 300 at once, from the first moment on"({ socketTo, log }) {
    const socket = socketTo();
    const seen = record(socket, "echo");
    for (let i = 0; i < 150; i++) socket.emit("echo", i);
    await next(socket, "connect");
    for (let i = 150; i < 300; i++) socket.emit("echo", i);
    await settled(socket);
    log(`${seen.length}, in order: ${seen.every(([, value], i) => value === i)}`);
  },

  async "events: a stream while others are answered"({ connected, log }) {
    const socket = await connected();
    const seen = record(socket, "number");
    const done = ask(socket, "stream", 0, 60, 10);
    const meanwhile = await Promise.all(Array.from({ length: 10 }, (_, i) => ask(socket, "echo", i)));
    log(`meanwhile: ${showAll(meanwhile)}; done: ${showAll(await done)}`);
    log(`${seen.length}, in order: ${seen.every(([, value], i) => value === i)}`);
  },

  async "events: compressed or not"({ connected, log }) {
    const socket = await connected();
    const text = "compressible ".repeat(500);
    const back = next(socket, "echo");
    socket.compress(false).emit("echo", text);
    const [first] = await back;
    const again = next(socket, "echo");
    socket.compress(true).emit("echo", text);
    log(`${first === text}, ${(await again)[0] === text}`);
  },

  async "acks: a hundred at once, in any order"({ connected, log }) {
    const socket = await connected();
    const delay = (i) => (i % 5 === 0 ? 20 : 0);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(socket, "slow answer", delay(i), i)));
    log(`each its own: ${answers.every(([answer], i) => answer === i)}`);
  },

  async "acks: thirty arguments"({ connected, log }) {
    const socket = await connected();
    log(showAll(await ask(socket, "echo", ...Array.from({ length: 30 }, (_, i) => [i]))));
    socket.on("question", (value, answer) => answer(...Array.from({ length: 30 }, (_, i) => i)));
    socket.emit("ask", "question", 1, PATIENCE);
    log(`only the first counts: ${showAll(await next(socket, "asked"))}`);
  },

  async "acks: answered twice, from both ends"({ connected, log }) {
    const socket = await connected();
    const answers = [];
    socket.emit("twice", (answer) => answers.push(answer));
    await settled(socket);
    log(`client: ${show(answers)}`);
    socket.on("question", (value, answer) => {
      answer(1);
      answer(2);
    });
    socket.emit("ask", "question", null, PATIENCE);
    log(`server: ${showAll(await next(socket, "asked"))}`);
    log(`still there: ${showAll(await ask(socket, "echo", "yes"))}`);
  },

  async "acks: the time of each call"({ connected, log }) {
    const socket = await connected();
    socket.on("in time", (value, answer) => setTimeout(answer, 5, value));
    socket.on("too late", (value, answer) => setTimeout(answer, 400, value));
    socket.emit("ask", "in time", 1, PATIENCE);
    log(`server, in time: ${showAll(await next(socket, "asked"))}`);
    socket.emit("ask", "too late", 2, 20);
    log(`server, too late: ${showAll(await next(socket, "asked"))}`);
    await pause(450);
    log(`the late answer does no harm: ${showAll(await ask(socket, "echo", "yes"))}`);
    if (!has(socket, "timeout", "emitWithAck")) return;
    log(`client, in time: ${show(await socket.timeout(PATIENCE).emitWithAck("slow answer", 5, "a"))}`);
    log(`client, too late: ${await socket.timeout(20).emitWithAck("slow answer", 400, "b").then(show, (err) => err.message)}`);
    await pause(450);
    log(`still there: ${showAll(await ask(socket, "echo", "yes"))}`);
  },

  async "acks: an answer after the connection is gone"({ connected, way, log }) {
    const socket = await connected();
    const answers = [];
    socket.emit("slow answer", 2_000, "late", (answer) => answers.push(answer));
    await settled(socket);
    await finalTransport(socket, way);
    const { engine } = socket.io;
    socket.disconnect();
    while (engine.readyState !== "closed") await pause(1);
    socket.connect();
    await next(socket, "connect");
    log(`another connection: ${showAll(await ask(socket, "slow answer", 2_200, "of this one"))}`);
    log(`the late answer: ${show(answers)}`);
  },

  async "acks: the server asks, and the client leaves"({ connected, people, log }) {
    const [watcher] = await people("watcher");
    await ask(watcher, "join", "observers");
    const socket = await connected(undefined, { name: "leaver" });
    const asked = next(socket, "question");
    socket.emit("ask", "question", 1, 50);
    await asked;
    const left = next(watcher, "gone");
    socket.disconnect();
    log(`gone: ${showAll(await left)}; the server goes on: ${showAll(await ask(watcher, "echo", "yes"))}`);
  },

  async "acks: sent again until they are answered"({ connected, named, log }) {
    const socket = await connected(named("lab"), undefined, { retries: 3, ackTimeout: 600 });
    if (!has(socket, "emitWithAck")) return;
    const answer = (...event) => new Promise((resolve) => socket.emit(...event, (err, ...args) => resolve([err?.message ?? null, ...args])));
    log(`the third time: ${showAll(await answer("flaky", 3))}`);
    log(`never: ${showAll(await answer("never"))}`);
    log(`the next: ${showAll(await answer("echo", "after that"))}`);
  },

  async "listeners: the server's, on every event in and out"({ connected, log }) {
    const socket = await connected();
    await ask(socket, "listen");
    const back = next(socket, "echo");
    socket.emit("echo", 1, "two", [3]);
    await back;
    socket.emit("nobody handles this", { a: null });
    await ask(socket, "relay", { from: "server" }, "news", 1);
    await ask(socket, "relay", { from: "server", to: ["self"] }, "news", 2);
    const [journal] = await ask(socket, "journal");
    for (const line of journal) log(line);
  },

  async "listeners: the server's, on, once, off"({ connected, log }) {
    const socket = await connected();
    await ask(socket, "watch", "a", false);
    await ask(socket, "watch", "a", true);
    await ask(socket, "watch", "b", true);
    for (const value of ["1", "2"]) {
      socket.emit("a", value);
      socket.emit("b", value);
    }
    log(showAll(await ask(socket, "journal")));
    await ask(socket, "unwatch", "a");
    socket.emit("a", "3");
    log(`after: ${showAll(await ask(socket, "journal"))}`);
  },

  async "listeners: two handlers of one event"({ connected, log }) {
    const socket = await connected();
    socket.emit("doubled", "x");
    log(showAll(await ask(socket, "journal")));
  },

  async "listeners: one socket's are not another's"({ connected, log }) {
    const [a, b] = [await connected(), await connected()];
    await ask(a, "watch", "a", false);
    a.emit("a", "of a");
    b.emit("a", "of b");
    log(`a: ${showAll(await ask(a, "journal"))}; b: ${showAll(await ask(b, "journal"))}`);
  },

  async "packet middleware: what it refuses"({ connected, log }) {
    const socket = await connected();
    await ask(socket, "watch", "forbidden", false);
    await ask(socket, "watch", "allowed", false);
    socket.emit("forbidden", "1");
    socket.emit("allowed", "2");
    socket.emit("forbidden", "3");
    log(showAll(await ask(socket, "journal")));
  },

  async "packet middleware: it comes after those who listen to everything"({ connected, log }) {
    const socket = await connected();
    await ask(socket, "listen");
    socket.emit("forbidden", "1");
    const [journal] = await ask(socket, "journal");
    log(show(journal.filter((line) => !/^out|journal/.test(line))));
  },

  async "packet middleware: a refused event that wants an answer"({ connected, log }) {
    const socket = await connected();
    const answers = [];
    socket.emit("forbidden", "1", (...args) => answers.push(args));
    await settled(socket);
    await settled(socket);
    log(`answers: ${show(answers)}`);
  },
};
