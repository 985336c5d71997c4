// The servers whose transcripts are compared, for the length of a file of tests.

import { after, before } from "node:test";

/** Starts npm's server and those that are compared with it; `names` are the latter's. Without any, npm's runs a second time. */
export function comparedServers({ npm, ...others }) {
  const compared = Object.keys(others).length > 0 ? others : { "npm, a second time": npm };
  const servers = {};
  before(async () => {
    servers.npm = await npm(0);
    for (const [name, start] of Object.entries(compared)) servers[name] = await start(0);
  });
  after(async () => {
    for (const server of Object.values(servers)) await server.stop();
  });
  return { servers, names: Object.keys(compared) };
}
