// SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104). They are synchronous: to ask WebCrypto for every
// entry costs more than the hashing. `selfCheck` compares them with WebCrypto before any use.
"use strict";

const ROUND = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const INITIAL = new Int32Array([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);
const BLOCK = 64;
const schedule = new Int32Array(64);
const state = new Int32Array(8);
const tail = new Uint8Array(2 * BLOCK);

/** Hashes the block of 64 bytes at `at` into `into`. */
function compress(into, bytes, at) {
  const w = schedule;
  for (let i = 0; i < 16; i++, at += 4) {
    w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15];
    const y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let a = into[0], b = into[1], c = into[2], d = into[3];
  let e = into[4], f = into[5], g = into[6], h = into[7];
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  into[0] += a;
  into[1] += b;
  into[2] += c;
  into[3] += d;
  into[4] += e;
  into[5] += f;
  into[6] += g;
  into[7] += h;
}

/**
 * Writes SHA-256 of `bytes[start..end]` to `out[to..to + 32]`. `from` is the state after `before`
 * bytes that were hashed already, a multiple of 64.
 */
function sha256(bytes, start, end, out, to = 0, from = INITIAL, before = 0) {
  state.set(from);
  let at = start;
  for (; at + BLOCK <= end; at += BLOCK) compress(state, bytes, at);
  tail.fill(0);
  const rest = end - at;
  for (let i = 0; i < rest; i++) tail[i] = bytes[at + i];
  tail[rest] = 0x80;
  const length = rest < 56 ? BLOCK : 2 * BLOCK;
  const total = before + end - start;
  for (let i = 0, n = total * 8; i < 8; i++, n = Math.floor(n / 256)) tail[length - 1 - i] = n % 256;
  for (let i = 0; i < length; i += BLOCK) compress(state, tail, i);
  for (let i = 0; i < 8; i++, to += 4) {
    out[to] = state[i] >>> 24;
    out[to + 1] = state[i] >>> 16;
    out[to + 2] = state[i] >>> 8;
    out[to + 3] = state[i];
  }
}

/** SHA-256 of all of `bytes`. */
function hashOf(bytes) {
  const out = new Uint8Array(32);
  sha256(bytes, 0, bytes.length, out);
  return out;
}

/** A key of HMAC-SHA-256 of at most 64 bytes, with its two first blocks hashed once. */
class HmacKey {
  constructor(key) {
    const padded = (pad) => {
      const block = new Uint8Array(BLOCK).fill(pad);
      key.forEach((byte, index) => { block[index] ^= byte; });
      const hashed = new Int32Array(INITIAL);
      compress(hashed, block, 0);
      return hashed;
    };
    this.inner = padded(0x36);
    this.outer = padded(0x5c);
  }

  /** Writes the code of `bytes[start..end]` to `out[0..32]`. */
  sign(bytes, start, end, out) {
    sha256(bytes, start, end, out, 0, this.inner, BLOCK);
    sha256(out, 0, 32, out, 0, this.outer, BLOCK);
  }
}

/** Throws unless this file hashes as the standard and, where it is present, as WebCrypto does. */
async function selfCheck(subtle) {
  const same = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index]);
  const abc = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];
  let good = same(hashOf(new Uint8Array([97, 98, 99])).subarray(0, 8), abc);
  const text = Uint8Array.from({ length: 200 }, (_, index) => (index * 151 + 7) & 0xff);
  if (subtle) {
    for (let length = 0; length < text.length; length++) {
      const bytes = text.subarray(0, length);
      good &&= same(hashOf(bytes), new Uint8Array(await subtle.digest("SHA-256", bytes)));
    }
    const raw = text.subarray(0, 32);
    const key = await subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const code = new Uint8Array(32);
    new HmacKey(raw).sign(text, 0, text.length, code);
    good &&= same(code, new Uint8Array(await subtle.sign("HMAC", key, text)));
  }
  if (!good) throw new Error("the SHA-256 of this page is not that of this browser");
}
