// Rooms, broadcasts, and the sockets that are selected by them.

import { ask, bytes, next, pause, PATIENCE, record, settled, show, showAll } from "./scenario.mjs";

/** Four sockets: a and b are in x, b and c in y, d in z. */
async function four({ people }) {
  const [a, b, c, d] = await people("a", "b", "c", "d");
  await Promise.all([ask(a, "join", "x"), ask(b, "join", ["x", "y"]), ask(c, "join", "y"), ask(d, "join", "z")]);
  return { a, b, c, d };
}

/** Answers `event` with the socket's name, but for those in `silent`. */
function answering(sockets, event, silent = "") {
  for (const [name, socket] of Object.entries(sockets)) {
    socket.on(event, (value, answer) => {
      if (!silent.includes(name)) answer(`${name} ${value}`);
    });
  }
}

export const ROOMS = {
  async "rooms: unions, and unions taken off"(tools) {
    const { heard, log } = tools;
    const sockets = await four(tools);
    const cases = [
      {}, { to: ["x"] }, { to: ["x", "y"] }, { to: ["x", "y", "z"] }, { except: ["x"] }, { except: ["x", "y"] },
      { to: ["x", "y"], except: ["x"] }, { to: ["x"], except: ["y", "z"] }, { to: ["x", "z"], except: ["x", "z"] },
      { to: ["none"] }, { except: ["none"] }, { to: [] , except: [] }, { to: ["x", "x"] }, { to: ["self"] }, { except: ["self"] },
      { to: ["x", "self"] },
    ];
    for (const from of ["server", "socket"]) {
      for (const route of cases) {
        log(`${from} ${show(route)}: ${await heard(sockets, "news", () => ask(sockets.b, "relay", { from, ...route }, "news"))}`);
      }
    }
  },

  async "rooms: a call after another adds to it"(tools) {
    const { heard, log } = tools;
    const sockets = await four(tools);
    const told = async (route) => {
      const act = () => ask(sockets.b, "ask them", { from: "server", ...route }, 1, "news", 1).catch(() => {});
      return heard(sockets, "news", act);
    };
    log(`to x, then to z: ${await told({ to: [["x"], ["z"]] })}`);
    log(`to x, then to y and z: ${await told({ to: [["x"], ["y", "z"]] })}`);
    log(`to x, to z, except y: ${await told({ to: [["x"], ["z"]], except: [["y"]] })}`);
    log(`except x, then z: ${await told({ except: [["x"], ["z"]] })}`);
  },

  async "rooms: their names"({ connected, heard, log }) {
    const a = await connected();
    const names = ["", " ", "é", "雪😀", "0", "a:b", "x".repeat(500), "__proto__", "constructor"];
    await ask(a, "join", names);
    for (const name of names) {
      log(`${show(name.slice(0, 20))}: ${await heard({ a }, "news", () => ask(a, "relay", { from: "server", to: [name] }, "news"))}`);
    }
    log(`${(await ask(a, "rooms"))[0].length} rooms`);
  },

  async "rooms: an id is one"({ people, heard, log }) {
    const [a, b] = await people("a", "b");
    const [id] = await ask(b, "whoami");
    log(`to it: ${await heard({ a, b }, "news", () => ask(a, "relay", { from: "server", to: [id] }, "news", 1))}`);
    log(`except it: ${await heard({ a, b }, "news", () => ask(a, "relay", { from: "server", except: [id] }, "news", 2))}`);
    await ask(b, "leave", id);
    log(`when it was left: ${await heard({ a, b }, "news", () => ask(a, "relay", { from: "server", to: [id] }, "news", 3))}`);
  },

  async "rooms: joined and left again, many times"({ people, heard, log }) {
    const [a, b] = await people("a", "b");
    for (let i = 0; i < 20; i++) {
      await ask(b, "join", ["x", "x", "y"]);
      await ask(b, "leave", "x");
    }
    log(`rooms: ${showAll(await ask(b, "rooms"))}`);
    log(`to x: ${await heard({ a, b }, "news", () => ask(a, "relay", { from: "server", to: ["x"] }, "news"))}`);
  },

  async "rooms: left by who goes"({ people, connected, log }) {
    const [watcher] = await people("watcher");
    await ask(watcher, "join", "observers");
    const socket = await connected(undefined, { name: "leaver" });
    await ask(socket, "join", "x");
    const left = next(watcher, "gone");
    socket.disconnect();
    log(`gone: ${showAll(await left)}`);
    log(`in x: ${showAll(await ask(watcher, "fetch", { from: "server", to: [["x"]] }))}`);
    socket.connect();
    await next(socket, "connect");
    log(`back, in: ${showAll(await ask(socket, "rooms"))}`);
  },

  async "broadcasts: values, binary, in order"({ people, log }) {
    const [a, b] = await people("a", "b");
    const seen = record(b, "news");
    await ask(a, "relay", { from: "socket" }, "news", 1, "two", { three: [null] });
    await ask(a, "relay", { from: "socket" }, "news", bytes(1, 2), { b: [bytes(3)] });
    for (let i = 0; i < 30; i++) await ask(a, "relay", { from: i % 2 ? "socket" : "server" }, "news", i % 3 ? i : bytes(i));
    await settled(b);
    log(show(seen));
  },

  async "broadcasts: with flags"({ people, heard, log }) {
    const [a, b] = await people("a", "b");
    log(`local: ${await heard({ a, b }, "news", () => ask(a, "relay", { from: "server", local: true }, "news", 1))}`);
    // Over polling it reaches whose poll waits at that moment.
    let told = "";
    for (let i = 0; !told.includes("b 2") && i < 300; i++) {
      told = await heard({ a, b }, "news", () => ask(a, "relay", { from: "socket", volatile: true }, "news", 2));
      await pause(2);
    }
    log(`volatile: ${told}`);
  },

  async "broadcasts: to twenty"({ connected, log }) {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connected()));
    const seen = sockets.map((socket) => record(socket, "news"));
    for (let i = 0; i < 10; i++) await ask(sockets[i], "relay", { from: "socket" }, "news", i);
    await Promise.all(sockets.map(settled));
    log(show(seen.map((each) => each.map(([, value]) => value).join(""))));
  },

  async "broadcasts: everybody answers"(tools) {
    const sockets = await four(tools);
    answering(sockets, "vote");
    tools.log(showAll(await ask(sockets.a, "ask them", { from: "server" }, PATIENCE, "vote", "yes")));
  },

  async "broadcasts: one never answers"(tools) {
    const sockets = await four(tools);
    answering(sockets, "vote", "c");
    tools.log(showAll(await ask(sockets.a, "ask them", { from: "server" }, 2_000, "vote", "yes")));
  },

  async "broadcasts: nobody is there to answer"({ people, log }) {
    const [a] = await people("a");
    log(showAll(await ask(a, "ask them", { from: "server", to: [["nobody"]] }, PATIENCE, "vote", 1)));
    log(`everybody else: ${showAll(await ask(a, "ask them", { from: "socket" }, PATIENCE, "vote", 1))}`);
  },

  async "broadcasts: those answer who are selected"(tools) {
    const { log } = tools;
    const sockets = await four(tools);
    answering(sockets, "vote");
    const routes = [{ from: "socket" }, { from: "server", to: [["x"], ["z"]] }, { from: "socket", to: [["x", "y"]], except: [["z"]] }, { from: "server", except: [["x"]] }];
    for (const route of routes) log(`${show(route)}: ${showAll(await ask(sockets.b, "ask them", route, PATIENCE, "vote", 1))}`);
  },

  async "broadcasts: answers of every kind"({ people, log }) {
    const [a, b] = await people("a", "b");
    const answers = [[1], ["two", "and more"], [{ three: [null] }], [null], [bytes(1, 2)], [[bytes(3)]], [""]];
    a.on("vote", (i, answer) => answer(...answers[i]));
    b.on("vote", (i, answer) => answer("b"));
    for (const i of answers.keys()) log(showAll(await ask(a, "ask them", { from: "server", except: [[(await ask(b, "whoami"))[0]]] }, PATIENCE, "vote", i)));
    log(`binary in the question: ${showAll(await ask(b, "ask them", { from: "server", except: [[(await ask(a, "whoami"))[0]]] }, PATIENCE, "vote", bytes(1)))}`);
  },

  async "broadcasts: one leaves instead of answering"(tools) {
    const sockets = await four(tools);
    answering(sockets, "vote", "c");
    sockets.c.on("vote", () => sockets.c.disconnect());
    tools.log(showAll(await ask(sockets.a, "ask them", { from: "server" }, 2_000, "vote", "yes")));
  },

  async "broadcasts: one answers too late"(tools) {
    const { log } = tools;
    const sockets = await four(tools);
    answering(sockets, "vote", "d");
    sockets.d.on("vote", (value, answer) => setTimeout(answer, 3_000, "late"));
    log(showAll(await ask(sockets.a, "ask them", { from: "server" }, 2_000, "vote", "yes")));
    await pause(1_200);
    log(`still there: ${showAll(await ask(sockets.d, "echo", "yes"))}`);
  },

  async "sockets: fetched"(tools) {
    const { log } = tools;
    const { a } = await four(tools);
    for (const route of [{ from: "server" }, { from: "socket" }, { from: "server", to: [["x"]] }, { from: "server", to: [["x"], ["z"]], except: [["y"]] }, { from: "server", to: [["none"]] }]) {
      log(`${show(route)}: ${showAll(await ask(a, "fetch", route))}`);
    }
  },

  async "sockets: fetched, with their handshakes"({ connected, log }) {
    const socket = await connected(undefined, { name: "ann", flavour: "salt & vinegar" });
    log(showAll(await ask(socket, "fetch handshake")));
  },

  async "sockets: made to join and to leave"(tools) {
    const { log } = tools;
    const sockets = await four(tools);
    const rooms = async () => {
      await settled(sockets.a);
      log(showAll(await Promise.all(Object.values(sockets).map(async (socket) => (await ask(socket, "rooms"))[0]))));
    };
    const { a } = sockets;
    await ask(a, "select", { from: "server" }, "join", ["all"]);
    await rooms();
    await ask(a, "select", { from: "server", to: [["x"]] }, "join", ["p", "q"]);
    await rooms();
    await ask(a, "select", { from: "server", to: [["p"]] }, "leave", ["x", "all"]);
    await rooms();
    await ask(a, "select", { from: "socket", except: [["y"]] }, "leave", ["all", "never joined"]);
    await rooms();
  },

  async "sockets: disconnected"(tools) {
    const { log } = tools;
    const { a, b, c, d } = await four(tools);
    await ask(d, "join", "observers");
    const reasons = [next(a, "disconnect"), next(b, "disconnect")];
    const gone = record(d, "gone");
    await ask(c, "select", { from: "server", to: [["x"]] }, "disconnect", null);
    log(`clients: ${show((await Promise.all(reasons)).map(([reason]) => reason))}`);
    await settled(d);
    log(`server: ${show(gone.map(([, ...told]) => told).sort())}`);
    log(`left: ${showAll(await ask(c, "fetch", { from: "server" }))}`);
    a.connect();
    await next(a, "connect");
    log(`back: ${showAll(await ask(a, "echo", "yes"))}`);
  },

  async "sockets: their connections closed"({ connected, people, named, log }) {
    const [watcher] = await people("watcher");
    const socket = await connected(undefined, { name: "one" });
    const other = socket.io.socket(named("lab-other"));
    await next(other, "connect");
    await ask(socket, "join", "x");
    const reasons = [next(socket, "disconnect"), next(other, "disconnect")];
    await ask(watcher, "select", { from: "server", to: [["x"]] }, "disconnect all", null);
    log(show((await Promise.all(reasons)).map(([reason]) => reason)));
    log(`left: ${showAll(await ask(watcher, "fetch", { from: "server" }))}`);
  },

  async "servers: one tells the others, of which there are none"({ connected, log }) {
    log(showAll(await ask(await connected(), "server side")));
  },
};
