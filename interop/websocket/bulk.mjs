// A hundred megabytes of text, and as much of binary, in messages of which each is another one.

const MEGABYTE = 1_000_000;
const PATTERN = "0123456789 snow ";

/** Calls `echo(message)`, which resolves with what came back, with each message; resolves with those that differ. */
export async function echoed(echo) {
  const different = [];
  for (let number = 0; number < 100; number++) {
    const head = `${number}: 雪 😀 `;
    const bytes = Buffer.alloc(MEGABYTE, PATTERN);
    bytes.write(head);
    const text = bytes.toString();
    if ((await echo(text)) !== text) different.push(`text ${number}`);
    if (!bytes.equals(await echo(bytes))) different.push(`binary ${number}`);
  }
  return different;
}
