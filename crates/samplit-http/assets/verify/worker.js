// What the worker does: it reads the file in chunks and tells the page how far it is and what it found.

const CHUNK = 4 * 1024 * 1024;

async function* chunksOf(file) {
  for (let at = 0; at < file.size; at += CHUNK) {
    yield new Uint8Array(await file.slice(at, at + CHUNK).arrayBuffer());
  }
}

/** The verifier keys of a text with one on each line. Throws a Fault whose `at` is the line. */
function readKeys(text) {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.flatMap((line, index) => {
    if (line === "") return [];
    return readKey(line) ?? (() => { throw new Fault(index + 1, "not a verifier key of Ed25519"); })();
  });
}

/** The draw key of a text, null if there is none. Throws a Fault. */
function readDrawKey(text) {
  const digits = text.trim();
  if (digits === "") return null;
  const key = new Uint8Array(32);
  if (digits.length === 64 && unhex(utf8.encode(digits), 0, 32, key)) return key;
  throw new Fault(1, "not 64 lower-case hexadecimal digits");
}

/** Asked by the page: `{ file, keys, drawKey }`. */
async function answer({ file, keys, drawKey }) {
  const options = {};
  for (const [field, read] of [["keys", () => readKeys(keys)], ["drawKey", () => readDrawKey(drawKey)]]) {
    try {
      options[field] = read();
    } catch (error) {
      if (error instanceof Fault) return { refused: { field, line: error.at, what: error.what } };
      throw error;
    }
  }
  const subtle = globalThis.crypto?.subtle;
  await selfCheck(subtle);
  options.ed25519 = await ed25519(subtle);
  const progress = (read, entries) => postMessage({ progress: { read, entries } });
  const outcome = await verify(chunksOf(file), options, progress);
  return { outcome, keys: options.keys.length, ed25519: options.ed25519 !== null };
}

globalThis.onmessage = async ({ data }) => {
  try {
    postMessage(await answer(data));
  } catch (error) {
    postMessage({ broken: String(error.message ?? error) });
  }
};
