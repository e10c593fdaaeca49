// Replaying decisions: every draw, every choice, every count. Weights are taken as they are logged:
// the statistics that make them are not in this page.

const MAX_COUNT_LAG = 2 ** 20;

/** A decision that does not follow the rule; `check` is the name of the check that it fails. */
class Wrong {
  constructor(check, what) {
    this.check = check;
    this.what = what;
  }
}

const wrong = (check, what) => {
  throw new Wrong(check, what);
};

/** Twice the room, with what `array` holds. */
const doubled = (array) => {
  const larger = new array.constructor(2 * array.length);
  larger.set(array);
  return larger;
};

/** 32-bit words of a pseudonym. */
const WORDS = 8;

/**
 * What is remembered of every visitor, the one thing whose memory grows with the trail: the
 * pseudonym, the first assignment, whether there was a conversion, and the arms. Open addressing in
 * typed arrays: 50 to 100 bytes, where a Map would take 250.
 */
class Visitors {
  constructor(elements) {
    this.elements = elements;
    this.count = 0;
    this.slots = new Int32Array(1024).fill(-1);
    this.keys = new Uint32Array(WORDS * 512);
    this.first = new Float64Array(512);
    this.converted = new Uint8Array(512);
    /** 0 where no arm is known, else the arm and 1. */
    this.arms = new Uint16Array(512 * elements);
    this.key = new Uint32Array(WORDS);
  }

  /** The number of the visitor in `visitor32`, or -1. */
  find() {
    const { key } = this;
    for (let i = 0; i < WORDS; i++) {
      const at = 4 * i;
      key[i] = (visitor32[at] << 24) | (visitor32[at + 1] << 16) | (visitor32[at + 2] << 8) | visitor32[at + 3];
    }
    this.slot = this.slotOf(key, 0);
    return this.slots[this.slot];
  }

  /** The slot of a key, or the free one where it belongs. */
  slotOf(keys, at) {
    const mask = this.slots.length - 1;
    let slot = (keys[at] ^ Math.imul(keys[at + 1], 0x9e3779b1) ^ Math.imul(keys[at + 2], 0x85ebca6b) ^ keys[at + 3]) & mask;
    for (;; slot = (slot + 1) & mask) {
      const other = WORDS * this.slots[slot];
      if (other < 0) return slot;
      let i = 0;
      while (i < WORDS && this.keys[other + i] === keys[at + i]) i++;
      if (i === WORDS) return slot;
    }
  }

  /** The visitor in `visitor32`, made with `first` if it is new. */
  findOrAdd(first) {
    const found = this.find();
    if (found >= 0) return found;
    if (2 * (this.count + 1) > this.slots.length) this.grow();
    const visitor = this.count;
    this.keys.set(this.key, WORDS * visitor);
    this.first[visitor] = first;
    this.slots[this.slotOf(this.key, 0)] = visitor;
    this.count += 1;
    return visitor;
  }

  grow() {
    for (const name of ["keys", "first", "converted", "arms"]) this[name] = doubled(this[name]);
    this.slots = new Int32Array(2 * this.slots.length).fill(-1);
    for (let visitor = 0; visitor < this.count; visitor++) {
      this.slots[this.slotOf(this.keys, WORDS * visitor)] = visitor;
    }
  }

  /** The arm of a visitor, or -1. */
  arm(visitor, element) {
    return this.arms[visitor * this.elements + element] - 1;
  }

  setArm(visitor, element, arm) {
    this.arms[visitor * this.elements + element] = arm + 1;
  }
}

/** Counts up to the last entry, with the way back to the last entry that was counted. */
class Counts {
  constructor(genesis) {
    this.totals = genesis.elements.map(({ arms }) => arms.map(() => ({ n: 0, s: 0 })));
    for (const { element, arm, n, s } of genesis.carried) this.totals[element][arm] = { n, s };
    this.hidden = { n: 0, s: 0 };
    /** Steps behind `upto`: where and what was counted, from index `gone` on. */
    this.steps = [];
    this.gone = 0;
    this.upto = 1;
  }

  /** Counts `what` ("n" or "s") of an arm; without an element, of a redacted entry. */
  step(sequence, what, element = -1, arm = 0) {
    const target = element < 0 ? this.hidden : this.totals[element][arm];
    target[what] += 1;
    this.steps.push({ sequence, what, target });
    if (this.steps.length - this.gone > MAX_COUNT_LAG) this.upto = this.steps[this.gone++].sequence;
    this.tidy();
  }

  /** Compares the counts that an entry claims with those up to and including entry `upto`. */
  compare(upto, claimed) {
    if (upto < this.upto) {
      wrong("counts", `counts up to entry ${upto}, behind entry ${this.upto}`);
    }
    const later = this.steps.slice(this.firstBehind(upto));
    later.forEach(({ what, target }) => { target[what] -= 1; });
    try {
      this.compareNow(claimed);
    } finally {
      later.forEach(({ what, target }) => { target[what] += 1; });
    }
    this.gone = this.firstBehind(upto);
    this.upto = upto;
    this.tidy();
  }

  /** The index of the first step behind entry `upto`. */
  firstBehind(upto) {
    let [low, high] = [this.gone, this.steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle].sequence <= upto) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  tidy() {
    if (this.gone > 1024 && 2 * this.gone > this.steps.length) {
      this.steps = this.steps.slice(this.gone);
      this.gone = 0;
    }
  }

  /** What redacted entries hide may sit in any arm, but the sums must come out even. */
  compareNow(claimed) {
    const shape = (totals) => totals.map((arms) => arms.length).join();
    if (shape(claimed) !== shape(this.totals)) {
      wrong("counts", "has other elements or arms than the genesis");
    }
    let assignments = 0;
    claimed.forEach((arms, element) => {
      let conversions = 0;
      arms.forEach((arm, index) => {
        const counted = this.totals[element][index];
        const more = (what) => {
          if (arm[what] < counted[what]) {
            const place = `(element ${element}, arm ${index})`;
            wrong("counts", `counts ${arm[what]} where there are ${counted[what]} ${place}`);
          }
          return arm[what] - counted[what];
        };
        assignments += more("n");
        conversions += more("s");
      });
      if (conversions !== this.hidden.s) {
        wrong("counts", `counts conversions that are not there (element ${element})`);
      }
    });
    if (assignments !== this.hidden.n) wrong("counts", "counts assignments that are not there");
  }
}

/** The draw in parts per billion: floor(u64 * 10^9 / 2^64), every step exact in a double. */
function scale(bytes) {
  const view = new DataView(bytes.buffer);
  // 10^9 = 1953125 * 2^9.
  const carry = Math.floor((view.getUint32(4) * 1953125) / 2 ** 32);
  return Math.floor((view.getUint32(0) * 1953125 + carry) / 2 ** 23);
}

/** The first arm whose cumulative weight exceeds the draw. */
function choose(weights, ppb) {
  let cumulative = 0;
  return weights.findIndex((weight) => (cumulative += weight) > ppb);
}

/** Draws anew from the draw key. */
class Draws {
  constructor(experimentId, key) {
    this.key = new HmacKey(key);
    this.code = new Uint8Array(32);
    const before = utf8.encode(`samplit-audit/draw/v1\n${experimentId}\n`);
    this.text = new Uint8Array(before.length + 72);
    this.text.set(before);
    this.at = before.length;
  }

  /** Whether `draw64` is the draw of `visitor32`. */
  holds(draw) {
    const { text, code } = this;
    let at = writeHex(visitor32, text, this.at);
    text[at++] = 0x0a;
    for (const digit of String(draw)) text[at++] = digit.charCodeAt(0);
    text[at++] = 0x0a;
    this.key.sign(text, 0, at, code);
    return draw64.every((byte, index) => byte === code[index]);
  }
}

/** Writes hexadecimal digits to `out`; where they end. */
function writeHex(bytes, out, at) {
  for (let i = 0; i < bytes.length; i++) {
    out[at++] = DIGITS[bytes[i] >> 4];
    out[at++] = DIGITS[bytes[i] & 15];
  }
  return at;
}

/** The commitment to a draw key that the genesis entry carries, in hexadecimal. */
function commitmentOf(experimentId, key) {
  const text = utf8.encode(`samplit-audit/draw-key/v1\n${experimentId}\n`);
  return hexOf(hashOf(new Uint8Array([...text, ...key])));
}

/** The replay of one trail. */
class Replay {
  constructor(experimentId, drawKey) {
    this.experimentId = experimentId;
    this.drawKey = drawKey;
    this.genesis = null;
    this.hidden = new Set();
    this.sealed = false;
    this.report = { assignments: 0, draws: 0, conversions: 0, reallocations: 0 };
  }

  reveal(key) {
    if (this.drawKey && hexOf(this.drawKey) !== hexOf(key)) {
      wrong("draws", "the revealed draw key is not the one that was handed over");
    }
    this.drawKey = key;
  }

  begin(genesis) {
    const { elements, commitment } = genesis;
    if (this.drawKey && commitmentOf(this.experimentId, this.drawKey) !== hexOf(commitment)) {
      wrong("draws", "the draw key is not the one that was committed to");
    }
    this.genesis = genesis;
    this.draws = this.drawKey ? new Draws(this.experimentId, this.drawKey) : null;
    this.snapshots = [{ sequence: 1, weights: elements.map(({ weights }) => weights), since: null }];
    this.visitors = new Visitors(elements.length);
    this.counts = new Counts(genesis);
  }

  /** An entry behind the genesis: its sequence, time in microseconds and type. */
  entry(sequence, time, type, stub, cursor) {
    if (!this.genesis) return this.begin(readGenesis(cursor));
    if (this.sealed && type !== "redaction" && type !== "restore") {
      wrong("seal", "decides something after the seal");
    }
    if (stub) {
      if (type === "assignment") this.hidden.add(sequence);
      return this.counts.step(sequence, type === "assignment" ? "n" : "s");
    }
    switch (type) {
      case "assignment": return this.assignment(sequence, time, readAssignment(cursor));
      case "conversion": return this.conversion(sequence, readConversion(cursor));
      case "reallocation": return this.reallocation(sequence, time, readReallocation(cursor));
      case "seal": return this.seal(sequence, readSeal(cursor));
      default: return undefined;
    }
  }

  /** The weights of a snapshot that may still be used. */
  weights(sequence, element, time) {
    const { snapshots } = this;
    while (snapshots[0]?.since !== null && snapshots[0]?.since + this.genesis.lag < time) snapshots.shift();
    const found = snapshots.findLast((snapshot) => snapshot.sequence === sequence);
    if (!found) wrong("snapshots", `uses snapshot ${sequence}, which is no snapshot or too old`);
    return found.weights[element] ?? wrong("arms", "draws for an element that there is not");
  }

  assignment(sequence, time, { arm, draw, named, ppb, snapshot }) {
    if (this.draws) {
      if (!this.draws.holds(draw)) wrong("draws", "the draw is not that of the draw key");
      this.report.draws += 1;
    }
    if (named !== this.genesis.many) {
      wrong("arms", "names its element iff elements are drawn independently");
    }
    if (ppb !== scale(draw64)) wrong("draws", "r_ppb is not that of u64_hex");
    if (choose(this.weights(snapshot, draw, time), ppb) !== arm) {
      wrong("arms", "the arm is not the one that the draw chooses");
    }
    const visitor = this.visitors.findOrAdd(sequence);
    if (this.visitors.arm(visitor, draw) >= 0) wrong("visitors", "assigns a visitor a second time");
    this.visitors.setArm(visitor, draw, arm);
    this.counts.step(sequence, "n", draw, arm);
    this.report.assignments += 1;
  }

  conversion(sequence, { many, arms, first }) {
    const { genesis, hidden, visitors } = this;
    const { elements } = genesis;
    if (many !== genesis.many || arms.length !== elements.length
      || arms.some((arm, element) => arm >= elements[element].arms.length)) {
      wrong("conversions", "names arms that there are not");
    }
    const firstIsHidden = hidden.has(first);
    const carried = first === 0 && genesis.carried.length > 0;
    const known = visitors.find();
    if (known >= 0 && visitors.converted[known]) {
      wrong("conversions", "converts a visitor a second time");
    }
    if (known >= 0 && first !== visitors.first[known] && !(firstIsHidden && first < visitors.first[known])) {
      wrong("conversions", "names another assignment than the visitor's first");
    }
    if (known < 0 && !firstIsHidden && !carried) {
      wrong("conversions", "names no earlier assignment of its visitor");
    }
    const visitor = visitors.findOrAdd(first);
    visitors.converted[visitor] = 1;
    arms.forEach((arm, element) => {
      const assigned = visitors.arm(visitor, element);
      if (assigned >= 0 && assigned !== arm) {
        wrong("conversions", "names another arm than the one assigned");
      }
      // Unknown because its assignment is redacted or older than the trail.
      if (assigned < 0 && hidden.size === 0 && !carried) {
        wrong("conversions", "names an arm of an element that was not assigned");
      }
      visitors.setArm(visitor, element, arm);
    });
    arms.forEach((arm, element) => this.counts.step(sequence, "s", element, arm));
    this.report.conversions += 1;
  }

  reallocation(sequence, time, { many, upto, blocks }) {
    if (upto >= sequence) wrong("counts", "counts entries that come after it");
    if (many !== this.genesis.many) wrong("counts", "has other elements than the genesis");
    this.counts.compare(upto, blocks.map(({ arms }) => arms));
    for (const { arms } of blocks) for (const arm of arms) this.posterior(arm);
    this.report.reallocations += 1;
    const last = this.snapshots.at(-1);
    if (last) last.since = time;
    this.snapshots.push({ sequence, weights: blocks.map(({ weights }) => weights), since: null });
  }

  /** The posterior is the prior plus the counts. */
  posterior({ alpha, beta, n, s }) {
    const near = (value, prior, count) => Math.abs(value - (prior + count)) <= 1e-9 * (prior + count);
    if (!near(alpha, this.genesis.alpha, s) || n < s || !near(beta, this.genesis.beta, n - s)) {
      wrong("counts", "the posterior is not the prior and the counts");
    }
  }

  seal(sequence, { many, elements, key }) {
    if (commitmentOf(this.experimentId, key) !== hexOf(this.genesis.commitment)) {
      wrong("draws", "the sealed draw key is not the one that was committed to");
    }
    if (many !== this.genesis.many) wrong("counts", "has other elements than the genesis");
    this.sealed = true;
    this.counts.compare(sequence, elements);
  }
}
