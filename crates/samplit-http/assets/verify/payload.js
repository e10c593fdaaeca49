// The payloads of the trail, read from their canonical bytes. Each function reads exactly what
// samplit-audit-v1 defines and throws a Fault at the first byte that deviates.

const ALGORITHM = "samplit-audit-v1";
const PPB = 1e9;

const word = (cursor, words) => {
  const found = cursor.string();
  if (!words.includes(found)) cursor.fail(`not one of the words: ${words.join(" ")}`);
  return found;
};

const MODES = ["single", "independent", "factorial"];
const POLICIES = ["thompson", "top_two", "fixed"];
const STRATEGIES = ["adaptive", "fixed"];
const METHODS = ["uniform", "thompson", "top_two", "fixed"];

/** Weights: as many as arms, together exactly 10^9. */
function readWeights(cursor, arms) {
  const weights = cursor.array(() => cursor.number(U32));
  if (weights.length !== arms) cursor.fail("not one weight per arm");
  if (weights.reduce((sum, weight) => sum + weight, 0) !== PPB) {
    cursor.fail("weights that do not sum to 10^9");
  }
  return weights;
}

const draw64 = new Uint8Array(8);
const visitor32 = new Uint8Array(32);

/** An assignment; its draw and visitor are left in `draw64` and `visitor32`. */
function readAssignment(cursor) {
  cursor.expect('{"arm":');
  const arm = cursor.number(U16);
  cursor.expect(',"draw":');
  const draw = cursor.number(U16);
  const named = cursor.take(',"element":');
  if (named) cursor.index(draw);
  else if (draw !== 0) cursor.fail("a draw other than 0 without its element");
  cursor.expect(',"r_ppb":');
  const ppb = cursor.number(U32);
  cursor.expect(',"snapshot_seq":');
  const snapshot = cursor.number();
  cursor.expect(',"u64_hex":');
  cursor.hex(8, draw64);
  cursor.expect(',"visitor":');
  cursor.hex(32, visitor32);
  cursor.expect('}');
  cursor.finish();
  return { arm, draw, named, ppb, snapshot };
}

/** A conversion; its visitor is left in `visitor32`. */
function readConversion(cursor) {
  const many = !cursor.take('{"arm":');
  let arms;
  if (many) {
    cursor.expect('{"arms":');
    arms = cursor.array(() => cursor.number(U16));
  } else {
    arms = [cursor.number(U16)];
  }
  cursor.expect(',"assignment_seq":');
  const first = cursor.number();
  cursor.expect(',"goal":');
  cursor.string();
  cursor.expect(',"value_f64":');
  cursor.real();
  if (cursor.negative) cursor.fail("a negative value");
  cursor.expect(',"visitor":');
  cursor.hex(32, visitor32);
  cursor.expect('}');
  cursor.finish();
  return { many, arms, first };
}

function readStates(cursor) {
  return cursor.array((index) => {
    cursor.expect('{');
    const active = !cursor.take('"active":false,');
    cursor.expect('"alpha_f64":');
    const alpha = cursor.real();
    cursor.expect(',"arm":');
    cursor.index(index);
    cursor.expect(',"beta_f64":');
    const beta = cursor.real();
    cursor.expect(',"n":');
    const n = cursor.number();
    cursor.expect(',"p_best_f64":');
    const best = cursor.real();
    if (!(best >= 0 && best <= 1)) cursor.fail("a probability outside 0 to 1");
    cursor.expect(',"s":');
    const s = cursor.number();
    cursor.expect('}');
    return { active, alpha, beta, n, s };
  });
}

function readBlock(cursor, arms) {
  cursor.expect(',"weights_ppb":');
  const weights = readWeights(cursor, arms.length);
  if (arms.some((arm, index) => !arm.active && weights[index] > 0)) {
    cursor.fail("an inactive arm with a weight");
  }
  return { arms, weights };
}

function readReallocation(cursor) {
  const many = !cursor.take('{"arms":');
  let blocks = [];
  let only = [];
  if (many) {
    cursor.expect('{"elements":');
    blocks = cursor.array((index) => {
      cursor.expect('{"arms":');
      const arms = readStates(cursor);
      cursor.expect(',"element":');
      cursor.index(index);
      const block = readBlock(cursor, arms);
      cursor.expect('}');
      return block;
    });
  } else {
    only = readStates(cursor);
  }
  cursor.expect(',"method":');
  word(cursor, METHODS);
  cursor.expect(',"upto_seq":');
  const upto = cursor.number();
  if (!many) blocks = [readBlock(cursor, only)];
  cursor.expect('}');
  cursor.finish();
  return { many, upto, blocks };
}

function readCounts(cursor) {
  return cursor.array((index) => {
    cursor.expect('{"arm":');
    cursor.index(index);
    cursor.expect(',"n":');
    const n = cursor.number();
    cursor.expect(',"s":');
    const s = cursor.number();
    cursor.expect('}');
    return { n, s };
  });
}

function readSeal(cursor) {
  cursor.expect('{');
  const many = !cursor.take('"arms":');
  let elements;
  if (!many) {
    elements = [readCounts(cursor)];
    cursor.expect(',');
  }
  cursor.expect('"draw_key_hex":');
  const key = cursor.hex(32, new Uint8Array(32));
  if (many) {
    cursor.expect(',"elements":');
    elements = cursor.array((index) => {
      cursor.expect('{"arms":');
      const counts = readCounts(cursor);
      cursor.expect(',"element":');
      cursor.index(index);
      cursor.expect('}');
      return counts;
    });
  }
  cursor.expect('}');
  cursor.finish();
  return { many, elements, key };
}

/** The sequence of the redacted entry. */
function readRedaction(cursor) {
  cursor.expect('{"reason":');
  cursor.string();
  cursor.expect(',"sequence":');
  const sequence = cursor.number();
  cursor.expect('}');
  cursor.finish();
  return sequence;
}

function readRestore(cursor) {
  cursor.expect('{"incarnation":');
  const incarnation = cursor.number(U32);
  cursor.expect(',"reason":');
  cursor.string();
  cursor.expect(',"root_hex":');
  const root = hexOf(cursor.hex(32, new Uint8Array(32)));
  cursor.expect(',"size":');
  const size = cursor.number();
  cursor.expect('}');
  cursor.finish();
  return { incarnation, root, size };
}

/** Arms of a genesis: how many variants each is, and whether they stand in a list. */
function readArms(cursor) {
  return cursor.array((index) => {
    cursor.expect('{"arm":');
    cursor.index(index);
    cursor.expect(',"name":');
    const name = cursor.string();
    const listed = cursor.take(',"variant_ids":');
    let variants = 1;
    if (listed) {
      variants = cursor.array(() => cursor.uuid()).length;
    } else {
      cursor.expect(',"variant_id":');
      cursor.uuid();
    }
    cursor.expect('}');
    return { name, listed, variants };
  });
}

function readElement(cursor, index) {
  cursor.expect('{"arms":');
  const arms = readArms(cursor);
  cursor.expect(',"element":');
  cursor.index(index);
  cursor.expect(',"element_id":');
  cursor.uuid();
  cursor.expect(',"weights_ppb":');
  const weights = readWeights(cursor, arms.length);
  cursor.expect('}');
  return { arms, weights };
}

function readCarried(cursor) {
  cursor.expect('{"arm":');
  const arm = cursor.number(U16);
  cursor.expect(',"element":');
  const element = cursor.number(U16);
  cursor.expect(',"n":');
  const n = cursor.number();
  cursor.expect(',"s":');
  const s = cursor.number();
  cursor.expect('}');
  return { element, arm, n, s };
}

function readGenesis(cursor) {
  cursor.expect('{"alg":');
  if (cursor.string() !== ALGORITHM) cursor.fail("not the algorithm samplit-audit-v1");
  const only = cursor.take(',"arms":') ? readArms(cursor) : null;
  const carried = cursor.take(',"carried":') ? cursor.array(() => readCarried(cursor)) : null;
  const hash = () => cursor.hex(32, new Uint8Array(32));
  cursor.expect(',"config_sha256":');
  hash();
  cursor.expect(',"draw_key_commitment":');
  const commitment = hash();
  let elements = [];
  if (!only) {
    cursor.expect(',"elements":');
    elements = cursor.array((index) => readElement(cursor, index));
  }
  cursor.expect(',"floor_ppb":');
  cursor.number(U32);
  if (cursor.take(',"hypothesis_sha256":')) hash();
  cursor.expect(',"max_snapshot_lag_us":');
  const lag = cursor.number();
  cursor.expect(',"mode":');
  const mode = word(cursor, MODES);
  cursor.expect(',"origin":');
  const origin = cursor.string();
  cursor.expect(',"policy":');
  word(cursor, POLICIES);
  cursor.expect(',"prior":{"alpha_f64":');
  const alpha = cursor.real();
  cursor.expect(',"beta_f64":');
  const beta = cursor.real();
  cursor.expect('},"strategy":');
  word(cursor, STRATEGIES);
  cursor.expect(',"warm_up":');
  cursor.number();
  if (only) {
    cursor.expect(',"weights_ppb":');
    elements = [{ arms: only, weights: readWeights(cursor, only.length) }];
  }
  cursor.expect('}');
  cursor.finish();
  const genesis = { many: !only, mode, elements, carried: carried ?? [], commitment, lag, origin, alpha, beta };
  const wrong = wrongGenesis(genesis);
  if (wrong) throw new Fault(0, wrong);
  const arms = elements.flatMap((element) => element.arms);
  if (carried?.length === 0 || arms.some((arm) => arm.listed !== (mode === "factorial"))) {
    cursor.fail("keys that do not fit the mode");
  }
  return genesis;
}

/** The rules that concern more than one key. */
function wrongGenesis({ many, mode, elements, carried, origin, alpha, beta }) {
  if (many !== (mode === "independent")) return "elements that do not fit the mode";
  if (elements.length === 0 || elements.some((element) => element.arms.length === 0)) return "no arms";
  const arms = elements.flatMap((element) => element.arms);
  if (mode !== "factorial" && arms.some((arm) => arm.variants !== 1)) return "an arm that is not one variant";
  if (origin === "" || origin.includes("\n")) return "an origin that is not one line";
  if (alpha <= 0 || beta <= 0) return "a prior that is not positive";
  const behind = (a, b) => a.element > b.element || (a.element === b.element && a.arm > b.arm);
  if (carried.some((count, index) => index > 0 && !behind(count, carried[index - 1]))) {
    return "carried counts out of order";
  }
  if (carried.some(({ element, arm, n, s }) => !(arm < elements[element]?.arms.length) || s > n)) {
    return "carried counts of no arm, or more conversions than assignments";
  }
  return null;
}
