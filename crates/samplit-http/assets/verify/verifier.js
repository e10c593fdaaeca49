// Verifying a trail in one pass: chain, time, redactions, restores, Merkle root and signatures, and
// through replay.js every decision. The first thing that is wrong ends the pass. Kinds, order and
// words are those of `samplit-server audit verify`.

/** Every check by name, with the kind of failure that it ends in. */
const KINDS = {
  lines: "malformed",
  chain: "integrity",
  roots: "integrity",
  signatures: "signature",
  redactions: "integrity",
  restores: "integrity",
  seal: "replay",
  draws: "replay",
  arms: "replay",
  snapshots: "replay",
  counts: "replay",
  visitors: "replay",
  conversions: "replay",
};
const EXIT_CODES = { integrity: 1, signature: 2, replay: 3, malformed: 4 };
const TYPES = ["genesis", "assignment", "conversion", "reallocation", "seal", "redaction", "restore"];

/** The first thing that is wrong with a trail; `sequence` is null where it is not about an entry. */
class Failure {
  constructor(check, sequence, what, kind = KINDS[check]) {
    Object.assign(this, { check, kind, exitCode: EXIT_CODES[kind], sequence, what });
  }
}

/** The roots of the complete subtrees of an RFC 6962 tree, largest first. */
class Frontier {
  constructor() {
    this.size = 0;
    this.count = 0;
    this.roots = new Uint8Array(54 * 32);
    this.leaf = new Uint8Array(33);
    this.pair = new Uint8Array(65).fill(1, 0, 1);
  }

  push(hash) {
    this.leaf.set(hash, 1);
    sha256(this.leaf, 0, 33, this.roots, 32 * this.count);
    this.count += 1;
    for (let odd = this.size; odd % 2 === 1; odd = (odd - 1) / 2) {
      this.count -= 1;
      const left = 32 * (this.count - 1);
      this.pair.set(this.roots.subarray(left, left + 64), 1);
      sha256(this.pair, 0, 65, this.roots, left);
    }
    this.size += 1;
  }

  /** The root in hexadecimal. */
  root() {
    if (this.count === 0) return hexOf(hashOf(new Uint8Array()));
    const last = 32 * (this.count - 1);
    const right = this.roots.slice(last, last + 32);
    for (let at = last - 32; at >= 0; at -= 32) {
      this.pair.set(this.roots.subarray(at, at + 32), 1);
      this.pair.set(right, 33);
      sha256(this.pair, 0, 65, right);
    }
    return hexOf(right);
  }
}

const genesisHash = (experimentId) => hashOf(utf8.encode(`samplit-audit/genesis/v1\n${experimentId}\n`));

/** A verification under way. `options`: `keys` (see readKey), `drawKey` or null, `ed25519` or null. */
class Verifier {
  constructor(experimentId, options) {
    this.experimentId = experimentId;
    this.options = options;
    this.replay = new Replay(experimentId, options.drawKey);
    this.hash = genesisHash(experimentId);
    this.time = -Infinity;
    this.frontier = new Frontier();
    this.origin = "";
    this.incarnation = 1;
    /** Stubs whose redaction entry has not come yet. */
    this.unexplained = new Set();
    this.givenUp = null;
    this.revealed = null;
    this.sealed = false;
    this.tally = { redactions: 0, checkpoints: 0, abandoned: 0, signatures: 0, signedSize: 0 };
    const before = utf8.encode(`samplit-audit/entry/v1\n${experimentId}\n`);
    this.preimage = new Uint8Array(320);
    this.preimage.set(before);
    this.preimageAt = before.length;
    this.scratch = new Uint8Array(32);
  }

  get size() {
    return this.frontier.size;
  }

  /** A failure at the last entry seen. */
  fail(check, what, kind) {
    throw new Failure(check, this.size > 0 ? this.size : null, what, kind);
  }

  reveal(key) {
    this.revealed = key;
    this.decide(() => this.replay.reveal(key));
  }

  /** Runs a step of the replay. */
  decide(step) {
    try {
      step();
    } catch (error) {
      if (error instanceof Wrong) this.fail(error.check, error.what);
      throw error;
    }
  }

  /** The next entry, as bundle.js read it. */
  entry(entry) {
    const expected = this.size + 1;
    const chain = (what) => {
      throw new Failure("chain", expected, what);
    };
    if (entry.sequence !== expected) {
      chain(`is missing; the entry found here has number ${entry.sequence}`);
    }
    const { hash } = this;
    if (entry.previous.some((byte, index) => byte !== hash[index])) {
      chain("does not link to the entry before it");
    }
    this.hashEntry(entry);
    if (entry.current.some((byte, index) => byte !== hash[index])) {
      chain("was altered: its hash is not that of its content");
    }
    if ((entry.type === "genesis") !== (expected === 1)) {
      chain("is out of place: genesis is the first entry and only the first");
    }
    if (entry.time < this.time) chain("is earlier than the entry before it");
    this.time = entry.time;
    this.frontier.push(hash);
    const payload = () => new Cursor(entry.bytes, entry.payloadAt, entry.payloadEnd);
    this.typed(entry, () => this.account(entry, payload()));
    this.decide(() => this.typed(entry, () => {
      this.replay.entry(entry.sequence, entry.time, entry.type, entry.stub, payload());
    }));
  }

  /** Runs what reads a payload by its type. */
  typed(entry, read) {
    try {
      read();
    } catch (error) {
      if (error instanceof Fault) this.fail("lines", `is not a ${entry.type} of the format, ${error}`);
      throw error;
    }
  }

  /** Replaces `this.hash` by the hash that the entry must have. */
  hashEntry(entry) {
    const { preimage, scratch, hash } = this;
    const { bytes } = entry;
    let at = this.preimageAt;
    // The canonical line spells these fields as the preimage does.
    const copy = (from, to) => {
      for (let i = from; i < to; i++) preimage[at++] = bytes[i];
      preimage[at++] = 0x0a;
    };
    copy(entry.sequenceAt, entry.sequenceEnd);
    copy(entry.previousAt, entry.previousAt + 64);
    copy(entry.idAt, entry.idAt + 36);
    copy(entry.typeAt, entry.typeAt + entry.type.length);
    copy(entry.timeAt, entry.timeEnd);
    if (entry.stub) {
      unhex(bytes, entry.payloadAt + '{"payload_sha256":"'.length, 32, scratch);
    } else {
      sha256(bytes, entry.payloadAt, entry.payloadEnd, scratch);
    }
    at = writeHex(scratch, preimage, at);
    preimage[at++] = 0x0a;
    sha256(preimage, 0, at, hash);
  }

  /** Genesis, seal, redactions and restores: what concerns the trail and not the decisions. */
  account(entry, payload) {
    if (entry.stub) {
      if (entry.type !== "assignment" && entry.type !== "conversion") {
        this.fail("redactions", "is redacted, but only assignments and conversions may be");
      }
      this.unexplained.add(entry.sequence);
      this.tally.redactions += 1;
    }
    if (this.givenUp && entry.type !== "restore") {
      this.fail("restores", "should be the restore that gives up the checkpoints before it");
    }
    if (entry.type === "genesis") this.originOf(payload);
    else if (entry.type === "redaction") this.redaction(readRedaction(payload));
    else if (entry.type === "restore") this.restore(readRestore(payload));
    else if (entry.type === "seal") this.seal(readSeal(payload));
  }

  originOf(payload) {
    const value = JSON.parse(decoder.decode(payload.bytes.subarray(payload.start, payload.end)));
    if (typeof value.origin !== "string") this.fail("lines", "names no origin");
    this.origin = value.origin;
  }

  redaction(sequence) {
    if (!this.unexplained.delete(sequence)) {
      this.fail("redactions", `redacts entry ${sequence}, whose payload is there`);
    }
  }

  restore({ incarnation, size, root }) {
    if (incarnation !== this.incarnation + 1) this.fail("restores", "is not the next incarnation");
    this.incarnation = incarnation;
    const last = this.givenUp;
    this.givenUp = null;
    if (last && (last.size !== size || last.root !== root)) {
      this.fail("restores", "gives up another checkpoint than the last one before it");
    }
  }

  seal({ key }) {
    if (this.revealed && hexOf(this.revealed) !== hexOf(key)) {
      this.fail("seal", "seals another draw key than the revealed one", "integrity");
    }
    this.sealed = true;
  }

  readNote(text) {
    let note;
    try {
      note = readNote(text);
    } catch (error) {
      if (error instanceof Fault) this.fail("lines", `not a signed checkpoint: ${error.what}`);
      throw error;
    }
    if (note.origin !== this.origin) this.fail("roots", "a checkpoint of another trail");
    return note;
  }

  /** A checkpoint of exactly the entries seen so far; a promise where signatures are checked. */
  checkpoint(text) {
    const note = this.readNote(text);
    if (this.givenUp) {
      this.fail("lines", "an abandoned checkpoint does not stand right before its restore");
    }
    if (note.size < this.size) this.fail("lines", "a checkpoint stands behind the entry of its size");
    if (note.size > this.size) {
      this.fail("roots", `entries are missing: a checkpoint of ${note.size} entries`);
    }
    if (note.root !== this.frontier.root()) {
      this.fail("roots", "a checkpoint shows another history up to here");
    }
    this.tally.checkpoints += 1;
    return this.checkSignatures(note, () => { this.tally.signedSize = this.size; });
  }

  /** A checkpoint that the next entry, a restore, gives up. */
  abandoned(text) {
    const note = this.readNote(text);
    if (this.givenUp && this.givenUp.size > note.size) {
      this.fail("lines", "abandoned checkpoints are not in order of size");
    }
    return this.checkSignatures(note, () => {}, () => {
      this.tally.abandoned += 1;
      this.givenUp = note;
    });
  }

  /** Calls `held` if the signatures of pinned keys hold, and `then` also where none is checked. */
  checkSignatures(note, held, then = () => {}) {
    const { keys, ed25519 } = this.options;
    if (keys.length === 0) return then();
    const signed = keys
      .map((key) => [key, note.signatures.filter(({ name, id }) => name === key.name && id === key.id)])
      .filter(([, signatures]) => signatures.length > 0);
    const none = () => this.fail("signatures", "a checkpoint here is not signed by any of the trusted keys");
    if (!ed25519) return signed.length === 0 ? none() : then();
    return (async () => {
      const bytes = utf8.encode(note.text);
      for (const [key, signatures] of signed) {
        for (const signature of signatures) {
          if (!(await ed25519(key.public, bytes, signature.bytes))) {
            this.fail("signatures", "the signature of a trusted key does not hold");
          }
        }
      }
      if (signed.length === 0) none();
      this.tally.signatures += signed.length;
      held();
      then();
    })();
  }

  /** Ends the verification: what was found, in numbers. */
  finish() {
    if (this.size === 0) this.fail("chain", "the trail is empty");
    if (this.unexplained.size > 0) {
      const first = [...this.unexplained].reduce((a, b) => Math.min(a, b));
      throw new Failure("redactions", first, "was redacted without a redaction entry");
    }
    if (this.givenUp) this.fail("restores", "a checkpoint was given up without a restore entry");
    if (this.options.keys.length > 0 && this.tally.checkpoints === 0) {
      this.fail("signatures", "no checkpoint is signed by a pinned key");
    }
    const { genesis, counts, report } = this.replay;
    return {
      experimentId: this.experimentId,
      entries: this.size,
      head: hexOf(this.hash),
      root: this.frontier.root(),
      lastUs: this.time,
      sealed: this.sealed,
      incarnation: this.incarnation,
      ...this.tally,
      replay: { ...report, totals: counts.totals },
      arms: genesis.elements.map(({ arms }) => arms.map(({ name }) => name)),
    };
  }
}
