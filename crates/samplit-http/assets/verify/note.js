// Signed checkpoints and verifier keys: C2SP signed notes (c2sp.org/signed-note, tlog-checkpoint).

const MAX_SIGNATURES = 100;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/u;
const isName = (name) => name !== "" && !/[+\p{White_Space}]/u.test(name) && !CONTROL.test(name);

/** The bytes of standard base64 with its padding, spelled in the one right way; else nothing. */
function unbase64(text) {
  try {
    const binary = atob(text);
    return btoa(binary) === text ? Uint8Array.from(binary, (char) => char.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

/** A verifier key from `<name>+<key id>+<base64 of 0x01 || public key>`; nothing if it is none. */
function readKey(text) {
  const [, name, id, encoded] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/su.exec(text) ?? [];
  const typed = encoded === undefined ? null : unbase64(encoded);
  if (!typed || typed.length !== 33 || typed[0] !== 1 || !isName(name)) return null;
  const hashed = hashOf(new Uint8Array([...utf8.encode(`${name}\n`), ...typed]));
  return hexOf(hashed.subarray(0, 4)) === id ? { name, id, public: typed.subarray(1) } : null;
}

/** A note. Throws a Fault if it is none; the signatures are not checked yet. */
function readNote(note) {
  if (CONTROL.test(note.replaceAll("\n", ""))) throw new Fault(0, "a control character");
  const gap = note.lastIndexOf("\n\n");
  if (gap < 0) throw new Fault(0, "no signatures");
  const text = note.slice(0, gap + 1);
  const [, origin, digits, encoded] = /^([^\n]+)\n(0|[1-9][0-9]{0,19})\n([^\n]+)\n$/u.exec(text) ?? [];
  const root = encoded === undefined ? null : unbase64(encoded);
  if (root?.length !== 32 || BigInt(digits) >= 2n ** 64n) throw new Fault(0, "not the lines origin, size and root");
  const rest = note.slice(gap + 2);
  if (!rest.endsWith("\n")) throw new Fault(0, "the last line does not end");
  const signatures = rest.slice(0, -1).split("\n").map(readSignature);
  if (signatures.length > MAX_SIGNATURES) throw new Fault(0, "too many signatures");
  // Sizes that a number cannot tell apart are kept as they are written; none equals a real size.
  const size = Number(digits) < MAX_INT ? Number(digits) : BigInt(digits);
  return { text, origin, size, root: hexOf(root), signatures };
}

function readSignature(line) {
  const [, name, encoded] = /^\u2014 ([^ ]*) (.*)$/u.exec(line) ?? [];
  const decoded = encoded === undefined ? null : unbase64(encoded);
  if (!decoded || decoded.length < 5 || !isName(name)) throw new Fault(0, "a signature line");
  return { name, id: hexOf(decoded.subarray(0, 4)), bytes: decoded.subarray(4) };
}

/** How this browser checks Ed25519: (public key, text, signature) to a promise; null if it cannot. */
async function ed25519(subtle) {
  const check = async (publicKey, text, signature) => {
    const key = await subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return subtle.verify("Ed25519", key, signature, text);
  };
  // RFC 8032, section 7.1, test 1, and the same with one bit changed.
  const hex = (text) => Uint8Array.from(text.match(/../g), (two) => parseInt(two, 16));
  const publicKey = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const signature = hex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
      + "d25bf5f0595bbe24655141438e7a100b",
  );
  try {
    const right = await check(publicKey, new Uint8Array(), signature);
    const wrong = await check(publicKey, new Uint8Array(1), signature);
    // A key that is no point of the curve has no signature that holds.
    return right && !wrong ? (...all) => check(...all).catch(() => false) : null;
  } catch {
    return null;
  }
}
