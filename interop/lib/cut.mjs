// A network that can be cut: bytes pass both ways until it is.

import { connect, createServer } from "node:net";

/**
 * `{ url, cut(), mend(), close() }` before a server on this machine; `cut` breaks every connection, without a word to either
 * end, and lets none come to be until `mend`.
 */
export async function cuttable(port) {
  const pairs = new Set();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) return near.resetAndDestroy();
    const far = connect(port, "127.0.0.1");
    const pair = [near, far];
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
    near.pipe(far).pipe(near);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    isCut = true;
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut,
    mend: () => (isCut = false),
    close() {
      server.close();
      cut();
    },
  };
}
