// Reading canonical bytes (the profile SJ1) where they stand, without building a value. Canonical
// bytes are unique, so keys are read in their sorted order as literals.

const MAX_BYTES = 16 * 1024;
const MAX_DEPTH = 8;
const MAX_INT = 2 ** 53;
const U16 = 2 ** 16 - 1;
const U32 = 2 ** 32 - 1;
const U64 = MAX_INT;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const BRACKET = 0x5b;
const MINUS = 0x2d;

const utf8 = new TextEncoder();
const strictUtf8 = () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const decoder = strictUtf8();

const DIGITS = utf8.encode("0123456789abcdef");
const VALUES = new Uint8Array(256).fill(0xff);
DIGITS.forEach((digit, value) => { VALUES[digit] = value; });

/** Lower-case hexadecimal digits of `bytes`. */
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Writes `2 n` lower-case digits at `from` to `n` bytes of `out`; whether they are such digits. */
function unhex(bytes, from, n, out, to = 0) {
  let bad = 0;
  for (let i = 0; i < n; i++, from += 2) {
    const high = VALUES[bytes[from]];
    const low = VALUES[bytes[from + 1]];
    bad |= high | low;
    out[to + i] = (high << 4) | (low & 15);
  }
  return (bad & 0xf0) === 0;
}

/** What is wrong with a text, and where. */
class Fault {
  constructor(at, what) {
    this.at = at;
    this.what = what;
  }

  toString() {
    return `at byte ${this.at}: ${this.what}`;
  }
}

/** How many bytes of `bytes` are whole characters of UTF-8, up to the first that is not. */
function validUpTo(bytes) {
  const decodes = (length, stream) => {
    try {
      strictUtf8().decode(bytes.subarray(0, length), { stream });
      return true;
    } catch {
      return false;
    }
  };
  let [good, bad] = [0, bytes.length + 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decodes(middle, true)) good = middle;
    else bad = middle;
  }
  while (!decodes(good, false)) good -= 1;
  return good;
}

/** Throws a Fault unless `bytes[start..end]` is UTF-8. */
function checkUtf8(bytes, start, end) {
  let any = 0;
  for (let i = start; i < end; i++) any |= bytes[i];
  if (any < 0x80) return;
  const part = bytes.subarray(start, end);
  try {
    decoder.decode(part);
  } catch {
    throw new Fault(validUpTo(part), "not UTF-8");
  }
}

const REDACTED_KEY = utf8.encode("payload_sha256");

/** A position in `bytes[start..end]`; its offsets in faults count from `start`. */
class Cursor {
  constructor(bytes, start, end) {
    this.bytes = bytes;
    this.start = start;
    this.at = start;
    this.end = end;
  }

  fail(what, at = this.at) {
    throw new Fault(at - this.start, what);
  }

  peek() {
    return this.at < this.end ? this.bytes[this.at] : -1;
  }

  /** Steps over `literal`, which is ASCII, if it stands here. */
  take(literal) {
    const { length } = literal;
    if (this.at + length > this.end) return false;
    for (let i = 0; i < length; i++) {
      if (this.bytes[this.at + i] !== literal.charCodeAt(i)) return false;
    }
    this.at += length;
    return true;
  }

  expect(literal) {
    if (!this.take(literal)) this.fail("an unexpected key or sign");
  }

  /** Nothing may follow. */
  finish() {
    if (this.at !== this.end) this.fail("something after the value");
  }

  int() {
    const start = this.at;
    const negative = this.take("-");
    const first = this.at;
    let value = 0;
    for (;;) {
      const digit = this.peek() - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
      if (value >= MAX_INT) this.fail("an integer of 2^53 or more", start);
      this.at += 1;
    }
    const zeroFirst = this.bytes[first] === 0x30 && first < this.end;
    if (this.at === first || (zeroFirst && (negative || this.at > first + 1))) {
      this.fail("not a canonical integer");
    }
    return negative ? -value : value;
  }

  /** An integer from 0 to `max`. */
  number(max = U64) {
    const at = this.at;
    const value = this.int();
    if (value < 0 || value > max) this.fail("an integer out of range", at);
    return value;
  }

  /** An index into a list, which must be `expected`. */
  index(expected) {
    if (this.number() !== expected) this.fail("an index out of order");
  }

  string() {
    const start = this.at;
    const escaped = this.skipString();
    const raw = decoder.decode(this.bytes.subarray(start + 1, this.at - 1));
    return escaped ? JSON.parse(`"${raw}"`) : raw;
  }

  /** `n` bytes as a quoted string of hexadecimal digits, written to `out`. */
  hex(n, out) {
    const length = 2 * n + 2;
    const { bytes, at } = this;
    const quoted = this.end - at >= length && bytes[at] === QUOTE && bytes[at + length - 1] === QUOTE;
    if (!quoted || !unhex(bytes, at + 1, n, out)) this.fail("expected lower-case hexadecimal digits");
    this.at += length;
    return out;
  }

  /** A finite real as IEEE-754 bits; `negative` tells whether its sign bit is set. */
  real() {
    const view = new DataView(this.hex(8, new Uint8Array(8)).buffer);
    const value = view.getFloat64(0);
    if (!Number.isFinite(value)) this.fail("a real that is not finite");
    this.negative = view.getUint8(0) >= 0x80;
    return value;
  }

  /** Steps over a quoted UUID; the 36 characters begin at the given offset. */
  uuid() {
    const { bytes, at } = this;
    let good = this.end - at >= 38 && bytes[at] === QUOTE && bytes[at + 37] === QUOTE;
    for (let i = 1; good && i <= 36; i++) {
      const hyphen = i === 9 || i === 14 || i === 19 || i === 24;
      good = hyphen ? bytes[at + i] === MINUS : VALUES[bytes[at + i]] < 16;
    }
    if (!good) this.fail("expected a UUID in lower case");
    this.at += 38;
    return at + 1;
  }

  /** An array, each item by `item`, which is told its index. */
  array(item) {
    this.expect("[");
    const items = [];
    if (this.take("]")) return items;
    for (;;) {
      items.push(item(items.length));
      if (this.take("]")) return items;
      this.expect(",");
    }
  }

  /** Steps over a payload; whether it is the stub of a redacted one. */
  payload() {
    const start = this.at;
    const stub = this.take('{"payload_sha256":');
    if (stub) {
      this.hex(32, new Uint8Array(32));
      this.expect("}");
    } else if (this.peek() === BRACE) {
      this.skipValue(1);
    } else {
      this.fail("the top level is not an object");
    }
    if (this.at - start > MAX_BYTES) this.fail("larger than 16 KiB");
    return stub;
  }

  skipValue(depth) {
    const next = this.peek();
    if (next === BRACE || next === BRACKET) {
      if (depth > MAX_DEPTH) this.fail("nested deeper than 8");
      if (next === BRACE) this.skipObject(depth);
      else this.array(() => this.skipValue(depth + 1));
    } else if (next === QUOTE) {
      this.skipString();
    } else if (next === MINUS || (next >= 0x30 && next <= 0x39)) {
      this.int();
    } else if (!this.take("true") && !this.take("false")) {
      this.fail("expected a value");
    }
  }

  skipObject(depth) {
    this.at += 1;
    if (this.take("}")) return;
    let lastStart = 0;
    let lastEnd = 0;
    for (;;) {
      const start = this.at + 1;
      this.skipString();
      const end = this.at - 1;
      if (!this.isKey(start, end)) this.fail("a key outside ^[a-z][a-z0-9_]{0,63}$");
      if (this.compare(start, end, REDACTED_KEY, 0, REDACTED_KEY.length) === 0) {
        this.fail("payload_sha256 is a reserved key");
      }
      if (this.compare(start, end, this.bytes, lastStart, lastEnd) <= 0) this.fail("keys out of order");
      lastStart = start;
      lastEnd = end;
      this.expect(":");
      this.skipValue(depth + 1);
      if (this.take("}")) return;
      this.expect(",");
    }
  }

  isKey(start, end) {
    const { bytes } = this;
    if (end - start > 64 || end === start) return false;
    for (let i = start; i < end; i++) {
      const byte = bytes[i];
      const letter = byte >= 0x61 && byte <= 0x7a;
      if (!letter && (i === start || !((byte >= 0x30 && byte <= 0x39) || byte === 0x5f))) return false;
    }
    return true;
  }

  /** The order by byte: negative, 0 or positive. */
  compare(start, end, other, otherStart, otherEnd) {
    const length = Math.min(end - start, otherEnd - otherStart);
    for (let i = 0; i < length; i++) {
      const order = this.bytes[start + i] - other[otherStart + i];
      if (order !== 0) return order;
    }
    return (end - start) - (otherEnd - otherStart);
  }

  /** Steps over a canonical string; whether it holds an escape. */
  skipString() {
    this.expect('"');
    let escaped = false;
    for (;;) {
      const next = this.peek();
      if (next === QUOTE) {
        this.at += 1;
        return escaped;
      }
      if (next === -1) this.fail("the string does not end");
      if (next < 0x20) this.fail("a control character in a string");
      if (next === BACKSLASH) {
        escaped = true;
        this.skipEscape();
      } else {
        this.at += 1;
      }
    }
  }

  /** Steps over the one canonical spelling of a character that must be escaped. */
  skipEscape() {
    const { bytes, at, end } = this;
    const kind = at + 1 < end ? String.fromCharCode(bytes[at + 1]) : "";
    if (kind === "u") {
      const code = new Uint8Array(2);
      const digits = at + 6 <= end && unhex(bytes, at + 2, 2, code);
      const short = [8, 9, 10, 12, 13].includes(code[1]);
      if (!digits || code[0] !== 0 || code[1] === 0 || code[1] >= 0x20 || short) {
        this.fail("not a canonical escape");
      }
      this.at += 6;
    } else if (kind !== "" && '"\\btnfr'.includes(kind)) {
      this.at += 2;
    } else {
      this.fail("not a canonical escape");
    }
  }
}
