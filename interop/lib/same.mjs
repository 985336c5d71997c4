// Transcripts, line by line.

/** Fails with the lines that differ only. */
export function assertSame(actual, expected) {
  const [has, wants] = [new Set(actual), new Set(expected)];
  const report = [
    ...expected.filter((line) => !has.has(line)).map((line) => `  missing: ${line}`),
    ...actual.filter((line) => !wants.has(line)).map((line) => `  instead: ${line}`),
  ];
  if (report.length > 0) throw new Error(`the transcript differs\n${report.join("\n")}`);
  const at = actual.findIndex((line, index) => line !== expected[index]);
  if (at >= 0 || actual.length !== expected.length) {
    throw new Error(`the transcript is in another order from line ${at + 1}: ${actual[at]}, expected ${expected[at]}`);
  }
}
