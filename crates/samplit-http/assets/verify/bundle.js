// Reading a bundle line by line, in chunks of any size, and verifying it on the way. Memory stays
// bounded but for what replay.js keeps of every visitor.

const MAX_LINE = MAX_BYTES + 1024;
const LAYOUT = 1;
const LF = 0x0a;

/** A line that is not of the format. */
const malformed = (number, what) => new Failure("lines", null, `line ${number}: ${what}`);

/** Reads lines. `line` returns a promise where a signature is checked. */
class Reader {
  constructor(options) {
    this.options = options;
    this.verifier = null;
    this.revealed = false;
    this.ended = false;
    this.lines = 0;
    this.entry = { previous: new Uint8Array(32), current: new Uint8Array(32) };
  }

  /** The line `bytes[start..end]`, without its line feed. */
  line(bytes, start, end) {
    this.lines += 1;
    try {
      checkUtf8(bytes, start, end);
      return this.read(new Cursor(bytes, start, end));
    } catch (error) {
      if (error instanceof Fault) throw malformed(this.lines, String(error));
      throw error;
    }
  }

  read(cursor) {
    const { verifier } = this;
    if (!verifier) return this.readHeader(cursor);
    if (this.ended) return cursor.fail("a line after the end");
    if (cursor.take('{"created_at_us":')) return verifier.entry(this.readEntry(cursor));
    if (cursor.take('{"kind":"checkpoint","note":')) return verifier.checkpoint(readNoteLine(cursor));
    if (cursor.take('{"kind":"abandoned","note":')) return verifier.abandoned(readNoteLine(cursor));
    if (cursor.take('{"draw_key_hex":')) return this.readReveal(cursor);
    return this.readEnd(cursor);
  }

  readHeader(cursor) {
    cursor.expect('{"alg":');
    if (cursor.string() !== ALGORITHM) cursor.fail("not the algorithm samplit-audit-v1");
    cursor.expect(',"experiment_id":');
    const at = cursor.uuid();
    const experimentId = decoder.decode(cursor.bytes.subarray(at, at + 36));
    cursor.expect(',"genesis":');
    const genesis = cursor.hex(32, new Uint8Array(32));
    if (hexOf(genesis) !== hexOf(genesisHash(experimentId))) {
      cursor.fail("not the genesis hash of the experiment");
    }
    cursor.expect(',"kind":"bundle","version":');
    if (cursor.number() !== LAYOUT) cursor.fail("an unknown version of the layout");
    cursor.expect("}");
    cursor.finish();
    this.verifier = new Verifier(experimentId, this.options);
  }

  readReveal(cursor) {
    const key = cursor.hex(32, new Uint8Array(32));
    cursor.expect(',"kind":"reveal"}');
    cursor.finish();
    if (this.revealed || this.verifier.size > 0) {
      cursor.fail("a reveal line that is not the second line");
    }
    this.revealed = true;
    this.verifier.reveal(key);
  }

  readEnd(cursor) {
    cursor.expect('{"count":');
    const count = cursor.number();
    cursor.expect(',"kind":"end"}');
    cursor.finish();
    this.ended = true;
    if (count !== this.verifier.size) {
      this.verifier.fail("chain", "the number of entries is not that of the end line");
    }
  }

  /** An entry, with the offsets of the fields whose bytes are hashed. The object is used again. */
  readEntry(cursor) {
    const { entry } = this;
    entry.bytes = cursor.bytes;
    entry.timeAt = cursor.at;
    entry.time = cursor.int();
    entry.timeEnd = cursor.at;
    cursor.expect(',"current_hash":');
    cursor.hex(32, entry.current);
    cursor.expect(',"decision_data":');
    entry.payloadAt = cursor.at;
    entry.stub = cursor.payload();
    entry.payloadEnd = cursor.at;
    cursor.expect(',"decision_type":');
    entry.typeAt = cursor.at + 1;
    entry.type = this.readType(cursor);
    cursor.expect(',"id":');
    entry.idAt = cursor.uuid();
    cursor.expect(',"kind":"entry","previous_hash":');
    entry.previousAt = cursor.at + 1;
    cursor.hex(32, entry.previous);
    cursor.expect(',"sequence_number":');
    entry.sequenceAt = cursor.at;
    entry.sequence = cursor.number();
    entry.sequenceEnd = cursor.at;
    cursor.expect("}");
    cursor.finish();
    return entry;
  }

  readType(cursor) {
    // The frequent words first, without making a string.
    if (cursor.take('"assignment"')) return "assignment";
    if (cursor.take('"conversion"')) return "conversion";
    const type = cursor.string();
    if (!TYPES.includes(type)) cursor.fail("not a decision type");
    return type;
  }

  /** What was found, once every line is read. */
  finish() {
    const missing = (what) => malformed(this.lines + 1, what);
    if (!this.ended) throw missing("the bundle ends without its end line");
    if (this.verifier.sealed !== this.revealed) {
      throw missing("a reveal line and a seal entry go together");
    }
    return this.verifier.finish();
  }
}

function readNoteLine(cursor) {
  const note = cursor.string();
  cursor.expect("}");
  cursor.finish();
  return note;
}

/**
 * Verifies a bundle that comes in chunks, an iterable of bytes. `progress` is told the number of
 * bytes and entries after every chunk. Gives `{ report }` or `{ failure }`.
 */
async function verify(chunks, options, progress = () => {}) {
  const reader = new Reader(options);
  let buffer = new Uint8Array(0);
  let kept = 0;
  let read = 0;
  const entries = () => reader.verifier?.size ?? 0;
  try {
    for await (const chunk of chunks) {
      const length = kept + chunk.length;
      if (length > buffer.length) {
        const larger = new Uint8Array(length + MAX_LINE);
        larger.set(buffer.subarray(0, kept));
        buffer = larger;
      }
      buffer.set(chunk, kept);
      let start = 0;
      for (;;) {
        const feed = buffer.subarray(0, Math.min(length, start + MAX_LINE)).indexOf(LF, start);
        if (feed < 0) break;
        const pending = reader.line(buffer, start, feed);
        if (pending) await pending;
        start = feed + 1;
      }
      kept = length - start;
      if (kept >= MAX_LINE) throw malformed(reader.lines + 1, "too long, or without its line feed");
      buffer.copyWithin(0, start, length);
      read += chunk.length;
      progress(read, entries());
    }
    if (kept > 0) throw malformed(reader.lines + 1, "too long, or without its line feed");
    return { report: { ...reader.finish(), lines: reader.lines } };
  } catch (failure) {
    if (failure instanceof Failure) return { failure: { ...failure }, entries: entries() };
    throw failure;
  }
}
