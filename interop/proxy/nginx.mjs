// nginx as a child: everything it writes is in a directory of its own.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../lib/process.mjs";

const PATIENCE = 30_000;

/** What the documentation of Socket.IO says for nginx. */
const UPGRADE_HEADERS = `
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";`;

const configuration = ({ directory, port, upstream, upgrade }) => `
daemon off;
master_process off;
pid ${directory}/pid;
events {}
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;${upgrade ? UPGRADE_HEADERS : ""}
    }
  }
}
`;

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const accepts = (port) => new Promise((resolve) => {
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  socket.once("connect", () => socket.destroy());
});

/**
 * nginx before the server on the port `upstream`, with the headers for the upgrade or without. `NGINX` overrides where it is.
 * Returns `{ url, stop() }`.
 */
export async function startNginx(upstream, { upgrade }) {
  const directory = await mkdtemp(join(tmpdir(), "sockeye-nginx-"));
  const port = await freePort();
  await writeFile(join(directory, "nginx.conf"), configuration({ directory, port, upstream, upgrade }));
  // Without -e it begins by opening a log where only root may.
  const nginx = run(process.env.NGINX || "/usr/sbin/nginx", ["-e", "stderr", "-p", directory, "-c", join(directory, "nginx.conf")]);
  const stop = async () => {
    await nginx.stop();
    await rm(directory, { recursive: true, force: true });
  };
  let end;
  nginx.ended.then((code) => (end = code ?? "a signal"));
  const deadline = Date.now() + PATIENCE;
  while (!(await accepts(port))) {
    if (end !== undefined || Date.now() > deadline) {
      await stop();
      throw new Error(`nginx does not listen (${end ?? "still running"})\n${nginx.errors()}`);
    }
    await sleep(10);
  }
  return { url: `http://127.0.0.1:${port}`, stop };
}
