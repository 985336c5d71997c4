// What many slow connections cost the others: attacks on `sockeye serve`, and what a client of another address
// notices of them. ../README.md ("Slow clients") says how to run it and how to read its table.

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { io } = createRequire(new URL("../../interop/package.json", import.meta.url))("socket.io-client");

const HELP = `node benches/slow/slow.mjs [options] [-- flags of \`sockeye serve\`]
  --server PATH        the program [target/release/sockeye]
  --connections N      of each attack [1000]
  --seconds N          of each measurement, once by websocket and once by polling [5]
  --only A,B           of the attacks: heads, bodies, posts, reads`;

const { values: options, positionals: flags } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: "string", default: fileURLToPath(new URL("../../target/release/sockeye", import.meta.url)) },
    connections: { type: "string", default: "1000" },
    seconds: { type: "string", default: "5" },
    only: { type: "string", default: "heads,bodies,posts,reads" },
    help: { type: "boolean" },
  },
});
const connections = Number(options.connections);
const seconds = Number(options.seconds);
const only = options.only.split(",");
/** Attackers are 127.0.0.1. */
const CLIENT = "127.0.0.2";

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// ---- the server

async function serve() {
  const child = spawn(options.server, ["serve", "--port", "0", ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout.setEncoding("utf8"), "data");
  child.stdout.resume();
  return { child, url: line.match(/http:\/\/\S+/)[0] };
}

const rss = (pid) => Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]);

const open = (pid) => readdirSync(`/proc/${pid}/fd`).length;

// ---- the client

/** Says something to the chat over and over, one message at a time, and returns how long the acks took, in microseconds. */
async function measure(url, transport, seconds) {
  const agent = new http.Agent({ keepAlive: true, localAddress: CLIENT });
  const socket = io(url, { transports: [transport], agent, forceNew: true, reconnection: false });
  const failed = new Promise((_, reject) => {
    socket.on("connect_error", reject);
    socket.on("disconnect", (reason) => reject(new Error(reason)));
  });
  const took = [];
  const measured = async () => {
    await once(socket, "connect");
    const ask = (event, argument) => socket.timeout(10_000).emitWithAck(event, argument);
    await ask("hello", { name: `${transport} client`, key: "slowslowslowslow" });
    await ask("join", { room: "lobby" });
    const warm = performance.now() + 500;
    const end = warm + seconds * 1000;
    // A known mid: the answer costs the same each time.
    const message = { room: "lobby", mid: transport, text: "hello" };
    for (let now = 0; now < end;) {
      const before = performance.now();
      const { ok } = await ask("message", message);
      if (!ok) throw new Error("the message was refused");
      now = performance.now();
      if (before >= warm) took.push((now - before) * 1000);
    }
  };
  try {
    await Promise.race([measured(), failed]);
  } finally {
    socket.removeAllListeners();
    socket.disconnect();
    agent.destroy();
  }
  took.sort((a, b) => a - b);
  const at = (part) => Math.round(took[Math.floor(took.length * part)]);
  return { p50: at(0.5), p99: at(0.99) };
}

async function measureBoth(url, seconds) {
  return { websocket: await measure(url, "websocket", seconds), polling: await measure(url, "polling", seconds) };
}

// ---- the attacks

const POLLING = "/socket.io/?EIO=4&transport=polling";

/** Longer than the measurement takes; it is ended when that is done. */
const LENGTH = 4 * seconds + 60;

function slowhttptest(...args) {
  const all = ["-c", connections, "-r", 500, "-l", LENGTH, "-p", 3, ...args];
  const command = ["slowhttptest", ...all].join(" ");
  // Its own work must not be what the client notices.
  const child = spawn("nice", ["-n", "19", "slowhttptest", ...all.map(String)], { stdio: "ignore" });
  return { command, stop: () => stop(child) };
}

async function stop(child) {
  // slowhttptest ends well when all its connections are closed; it is missing, or does not know a flag, otherwise.
  if (child.exitCode > 0) throw new Error(`${child.spawnargs.join(" ")} has ended with status ${child.exitCode}`);
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Beside this program, not within it: what it does must not be what the client notices. */
function posts(url) {
  const script = fileURLToPath(new URL("posts.mjs", import.meta.url));
  const child = spawn("nice", ["-n", "19", process.execPath, script, url, String(connections)], { stdio: "ignore" });
  return { command: `node benches/slow/posts.mjs ${url} ${connections}`, stop: () => stop(child) };
}

const ATTACKS = {
  heads: (url) => slowhttptest("-H", "-i", 2, "-x", 24, "-u", url + POLLING),
  bodies: (url) => slowhttptest("-B", "-i", 2, "-x", 24, "-s", 100_000, "-u", url + POLLING),
  posts,
  reads: (url) =>
    slowhttptest("-X", "-k", 10, "-w", 1, "-y", 512, "-n", 2, "-z", 32, "-u", `${url}/socket.io/socket.io.js`),
};

// ---- the run

/** Keeps the processors awake at the least priority: else waking them up is most of what is measured, and an attack spares it. */
function stayAwake() {
  const children = Array.from({ length: availableParallelism() }, () =>
    spawn("nice", ["-n", "19", process.execPath, "-e", "for (;;);"], { stdio: "ignore" }));
  return () => Promise.all(children.map(stop));
}

async function run() {
  const rows = [];
  const sleep = stayAwake();
  try {
    // A server each: memory that the allocator keeps must not hide what the next attack costs.
    for (const name of only) {
      const { child, url } = await serve();
      try {
        rows.push(await endure(name, url, child.pid));
      } finally {
        child.kill("SIGINT");
        await once(child, "exit");
      }
    }
  } finally {
    await sleep();
  }
  print(rows);
}

async function endure(name, url, pid) {
  await measureBoth(url, 1); // Warms both ends up.
  const before = await measureBoth(url, seconds);
  const idle = { rss: rss(pid), open: open(pid) };
  const most = { ...idle };
  const watching = setInterval(() => {
    most.rss = Math.max(most.rss, rss(pid));
    most.open = Math.max(most.open, open(pid));
  }, 50);
  const attack = ATTACKS[name](url);
  try {
    await pause(connections * 4 + 1000);
    const from = open(pid) - idle.open;
    const during = await measureBoth(url, seconds);
    const to = open(pid) - idle.open;
    return { name, command: attack.command, before, during, idle, most, held: `${from}–${to}` };
  } finally {
    clearInterval(watching);
    await attack.stop();
  }
}

function print(rows) {
  const head = ["attack", "connections held", "websocket p50 (p99) µs", "during", "ratio", "polling p50 (p99) µs", "during",
    "ratio", "RSS KB", "at most", "KB a connection"];
  const line = (cells) => console.log(`| ${cells.join(" | ")} |`);
  line(head);
  line(head.map((_, column) => (column === 0 ? "---" : "--:")));
  const time = ({ p50, p99 }) => `${p50} (${p99})`;
  for (const { name, before, during, idle, most, held } of rows) {
    const columns = ["websocket", "polling"].flatMap((transport) => [
      time(before[transport]),
      time(during[transport]),
      (during[transport].p50 / before[transport].p50).toFixed(2),
    ]);
    const count = most.open - idle.open;
    const each = count > 50 ? ((most.rss - idle.rss) / count).toFixed(1) : "–";
    line([name, `${count} (${held})`, ...columns, idle.rss, most.rss, each]);
  }
  console.log();
  for (const { name, command } of rows) console.log(`${name}: ${command}`);
}

if (options.help) {
  console.log(HELP);
} else if (!existsSync(options.server)) {
  console.error(`error: there is no ${options.server}; build it with cargo build --release -p sockeye-cli`);
  process.exitCode = 1;
} else {
  await run();
}
