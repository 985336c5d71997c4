// Packets of Socket.IO that are right, wrong, or out of place, as bytes: what the scenario's server
// (../scenario/node-server.mjs) makes of each. A transcript holds no ids, addresses, or times.

import { io } from "socket.io-client";
import { tools, within } from "../engine/transcript.mjs";

/** The revision of Engine.IO, and the transport. */
const WAYS = ["4 polling", "4 websocket", "3 polling", "3 websocket"];

/** Clients of revision 3 are in `/` from the start. */
const FIRST = "before any CONNECT";
const ENDS = /^(close |status |1$)/;
const PLACEHOLDER = "{\"_placeholder\":true,\"num\":0}";

/** Title → rows: messages at once, the text of packets or attachments; or, with arrays within, one after the other. */
const ROWS = {
  CONNECT: [
    "0{}", "0", "0/,", "0/nope,", "0/nope", "0/nope,{\"a\":1}", "0/lab-x,[]", "0/lab-x,\"x\"", "0/lab-x,null", "0/lab-x,true", "0/lab-x,7",
    "0/lab-x,{", "0/lab-x,{}x", "0/lab-x,[{}]", "00", "01-{}", ["0/nope,", "0/nope,"],
    [["0/nope,"], ["2/nope,[\"echo\"]"]], [["0/lab-x,"], ["2/lab-x,5[\"echo\",1]"], ["0/lab-x,"]],
  ],
  DISCONNECT: [
    "1{}", "1[]", "1\"x\"", "1null", "1x", "1/nope,", "1/nope", "1/", "10", [["1"], ["2[\"echo\"]"]], [["1"], ["1"]],
    [["1"], ["0"], ["25[\"echo\",\"back\"]"]], [["0/lab-y,"], ["1/lab-y"], ["0/lab-y"], ["1/lab-y,"], ["2/lab-y,[\"echo\"]"]],
  ],
  EVENT: [
    "2", "25", "2[]", "2[\"\"]", "2[42,1]", "2[1.5]", "2[null]", "2[true]", "2[{}]", "2[[\"echo\"]]", "2{}", "2\"echo\"", "2null", "2true", "27",
    "2[\"echo\"", "2[\"echo\",]", "2[,\"echo\"]", "2[\"echo\"]]", "2[\"echo\"]x", "2 [\"echo\"]", "2[ \"echo\" , 1 ]", "2['echo']",
    "2[\"echo\",undefined]", "2[\"echo\",NaN]", "2[\"echo\",01]", "2[\"echo\",\"\\x\"]", "2[\"echo\",\"\n\"]", "2[\"echo\",\"\\ud8\"]",
    "2abc[\"echo\"]", "2-1[\"echo\"]", "21.5[\"echo\"]", "21e3[\"echo\"]", "2,[\"echo\"]", "2/,[\"echo\"]", "2/,7[\"echo\"]", "2007[\"echo\",1]",
    "29007199254740993[\"echo\",1]", "2[\"nobody's\"]", "25[\"nobody's\"]", "2/nope,[\"echo\"]", "2/nope", "2[\"echo\",{\"__proto__\":1}]",
    "2[\"connect\"]", "2[\"connect_error\"]", "2[\"disconnect\"]", "2[\"disconnecting\"]", "2[\"newListener\"]", "2[\"removeListener\"]",
    "2[\"\\u0063onnect\"]", "20[\"disconnect\",1]", "2[\"connection\"]", "2[\"error\"]", "2[\"message\"]", "2[\"__proto__\"]",
  ],
  ACK: ["3[]", "30[]", "377[1]", "3", "30", "30{}", "30\"x\"", "30null", "30[", "30[1,]", "3/nope,0[1]", "3-1[]"],
  CONNECT_ERROR: ["4", "4{\"message\":\"x\"}", "4\"x\"", "4[]", "4/nope,{}"],
  "BINARY_EVENT and BINARY_ACK": [
    [`51-5["echo",${PLACEHOLDER}]`, Buffer.from([1, 2])], [`51-["echo",${PLACEHOLDER},${PLACEHOLDER}]`, Buffer.from([1])],
    ["51-5[\"echo\",1]", Buffer.from([1])], `51-5["echo",${PLACEHOLDER}]`, "5[\"echo\"]", "5-[\"echo\"]", "50-[\"echo\"]", "511-[\"echo\"]",
    "510-[\"echo\"]", "501-[\"echo\"]", "5x-[\"echo\"]", "51[\"echo\"]", "51.5-[\"echo\"]", "5-1-[\"echo\"]", "51", "6[1]", "60-[1]", "611-0[1]",
    [`61-77[${PLACEHOLDER}]`, Buffer.from([1])],
    ["51-5[\"echo\",{\"_placeholder\":true,\"num\":1}]", Buffer.from([1])], ["51-5[\"echo\",{\"_placeholder\":true,\"num\":-1}]", Buffer.from([1])],
    ["51-5[\"echo\",{\"_placeholder\":true,\"num\":\"0\"}]", Buffer.from([1])], ["51-5[\"echo\",{\"_placeholder\":true}]", Buffer.from([1])],
    ["51-5[\"echo\",{\"_placeholder\":1,\"num\":7}]", Buffer.from([1])], ["61-0[{\"_placeholder\":true,\"num\":7}]", Buffer.from([1])],
    [`51-${PLACEHOLDER}`, Buffer.from([1])], [`51-["connect",${PLACEHOLDER}]`, Buffer.from([1])], [`51-[${PLACEHOLDER}]`, Buffer.from([1])],
    [`61-0${PLACEHOLDER}`, Buffer.from([1])], [`51-/nope,["echo",${PLACEHOLDER}]`, Buffer.from([1])],
    [`51-["echo",${PLACEHOLDER}]`, "2[\"echo\"]"], [`51-["echo",${PLACEHOLDER}]`, "0"],
    [Buffer.from([1])], [`51-["nobody's",${PLACEHOLDER}]`, Buffer.from([1]), Buffer.from([2])],
  ],
  [FIRST]: [
    "", "1", "1/,", "2[\"echo\"]", "25[\"echo\"]", "2", "3[]", "30[1]", "4{}", [`51-["echo",${PLACEHOLDER}]`, Buffer.from([1])],
    [Buffer.from([1])], "7", "x", "0[]", "0null", "1/nope,", "2/nope,[\"echo\"]", "0/nope,",
  ],
  "no packet": ["", "7", "9[\"echo\"]", "x", "-", "€", "[\"echo\"]", "{}", " 2[\"echo\"]"],
};

/** What is compared: `{ title, way }`. */
export const CASES = Object.keys(ROWS).flatMap((title) => WAYS.map((way) => ({ title, way })))
  .filter(({ title, way }) => title !== FIRST || way.startsWith("4"));

/** A payload's packets. */
function split(EIO, body) {
  if (EIO === "4") return body.split("\x1e");
  const packets = [];
  for (let rest = body; rest !== "";) {
    const [, digits] = /^(\d+):/.exec(rest);
    const [from, to] = [digits.length + 1, digits.length + 1 + Number(digits)];
    packets.push(rest.slice(from, to));
    rest = rest.slice(to);
  }
  return packets;
}

/** A session over websocket: `send(messages)`, and `receive()`, which resolves with a packet, or with how it ended. */
async function websocket(t, EIO) {
  const socket = await t.websocketSession("/socket.io/", { EIO });
  const frame = (message) => {
    if (typeof message === "string") return `4${message}`;
    return EIO === "3" ? Buffer.concat([Buffer.from([4]), message]) : message;
  };
  return {
    send: async (messages) => socket.send(...messages.map(frame)),
    receive: async () => (await socket.next()).replace(EIO === "3" ? /^<04/ : "<", "<"),
  };
}

/** The same over polling. */
async function polling(t, EIO) {
  const session = await t.session("/socket.io/", { EIO, ...(EIO === "3" && { b64: "1" }) });
  const arrived = [];
  const binary = EIO === "3" ? "b4" : "b";
  const text = (message) => (typeof message === "string" ? `4${message}` : binary + message.toString("base64"));
  const readable = (packet) => (packet.startsWith("b") ? `<${Buffer.from(packet.slice(binary.length), "base64").toString("hex")}>` : packet);
  return {
    async send(messages) {
      const packets = messages.map(text);
      const payload = EIO === "3" ? packets.map((packet) => `${packet.length}:${packet}`).join("") : packets.join("\x1e");
      const { status, body } = await session.post(payload);
      if (`${status} ${body}` !== "200 ok") arrived.push(`status ${status} ${body}`);
    },
    async receive() {
      while (arrived.length === 0) {
        const { status, body } = await session.poll();
        // A noop says nothing.
        arrived.push(...(status === 200 ? split(EIO, String(body)) : [`status ${status} ${body}`]).filter((packet) => packet !== "6"));
      }
      return readable(arrived.shift());
    },
  };
}

/** Reads until something comes that begins like this, or the end. */
async function until(receive, wanted) {
  const heard = [];
  do heard.push(await receive());
  while (!heard.at(-1).startsWith(wanted) && !ENDS.test(heard.at(-1)));
  return heard;
}

/** Lets a session into `/`, and into a namespace that tells why it leaves. One after the other: npm drops who speaks before. */
async function enter({ send, receive }, EIO, lab, name) {
  if (EIO === "4") await send(["0"]);
  const welcome = await until(receive, "42[\"second\"");
  await send([EIO === "4" ? `0${lab},${JSON.stringify({ name })}` : `0${lab}?name=${encodeURIComponent(name)},`]);
  const heard = [...welcome, ...await until(receive, `40${lab},`)];
  if (ENDS.test(heard.at(-1))) throw new Error(`it is not let in: ${heard}`);
}

/** Sends these messages at once, and resolves with all that comes of them. */
async function exchange({ send, receive }, lab, messages) {
  const heard = [];
  // npm looks at a CONNECT when it has dealt with what came along.
  for (const more of [messages, []]) {
    await send([...more, `2${lab},98["echo","the end"]`]);
    heard.push(...await until(receive, `43${lab},98`));
    if (ENDS.test(heard.at(-1))) return heard;
    heard.pop();
  }
  return heard;
}

/** Sends them first of all, where nothing can be asked. */
async function begin({ send, receive }, messages) {
  await send(messages);
  return until(receive, "44");
}

const show = (steps) => steps.map((messages) =>
  messages.map((message) => (typeof message === "string" ? JSON.stringify(message) : `<${message.toString("hex")}>`)).join(" + ")).join(", then ");

/** What comes of each row of a title. */
export async function transcript({ title, way }, url) {
  const [EIO, transport] = way.split(" ");
  const t = tools({ url });
  const lab = `/lab-${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  const watcher = io(url + lab, { forceNew: true, reconnection: false, transports: ["websocket"] });
  const gone = new Map();
  watcher.on("gone", (name, reason) => gone.get(name)(reason));
  try {
    await watcher.timeout(5_000).emitWithAck("join", "observers");
    for (const [at, row] of ROWS[title].entries()) {
      const name = `row ${at}`;
      const reason = new Promise((resolve) => gone.set(name, resolve));
      const session = await (transport === "polling" ? polling : websocket)(t, EIO);
      if (title !== FIRST) await enter(session, EIO, lab, name);
      const steps = [row].flat().some(Array.isArray) ? row : [[row].flat()];
      const heard = [];
      for (const messages of steps) heard.push(...await (title === FIRST ? begin(session, messages) : exchange(session, lab, messages)));
      const ended = ENDS.test(heard.at(-1)) && title !== FIRST;
      const came = heard.join(", ").replaceAll(/"sid":"[\w-]+"/g, "\"sid\":…") || "nothing";
      t.log(`${show(steps)}: ${came}${ended ? `, ${await within(reason, "its reason")}` : ""}`);
    }
  } catch (err) {
    t.log(`!! ${err.message}`);
  } finally {
    watcher.disconnect();
    t.end();
  }
  return t.lines;
}
