"""For verify_full.py: the form of lines, payloads and notes, and the signatures of notes. Standard library only."""
import base64, hashlib, json, re, struct
PPB = 10**9

def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
def sha(*parts): return hashlib.sha256(b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)).digest()
def real(digits): return struct.unpack(">d", bytes.fromhex(digits))[0]
def refuse(what): raise ValueError(what)

# ---- Form. A shape is the bits of an integer, the pattern of a string, [the shape of items] or the shapes of keys (key? may miss).
S, HEX, U64, F64 = "[^\0]*", "[0-9a-f]{64}", "[0-9a-f]{16}", "(?![7f]ff)[0-9a-f]{16}"
UUID, METHOD = "[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "thompson|top_two|fixed"
ARMS, FINAL = [{"arm": 16, "name": S, "variant_id?": UUID, "variant_ids?": [UUID]}], [{"arm": 16, "n": 53, "s": 53}]
STATES = [{"active?": 0, "alpha_f64": F64, "arm": 16, "beta_f64": F64, "n": 53, "p_best_f64": F64, "s": 53}]
KINDS = {
    "genesis": {"alg": "samplit-audit-v1", "arms?": ARMS, "carried?": [{"element": 16, "arm": 16, "n": 53, "s": 53}], "config_sha256": HEX,
        "draw_key_commitment": HEX, "elements?": [{"arms": ARMS, "element": 16, "element_id": UUID, "weights_ppb": [32]}],
        "floor_ppb": 32, "hypothesis_sha256?": HEX, "max_snapshot_lag_us": 53, "mode": "single|independent|factorial", "origin": "[^\0\n]+",
        "policy": METHOD, "prior": {"alpha_f64": F64, "beta_f64": F64}, "strategy": "adaptive|fixed", "warm_up": 53, "weights_ppb?": [32]},
    "assignment": {"arm": 16, "draw": 16, "element?": 16, "r_ppb": 32, "snapshot_seq": 53, "u64_hex": U64, "visitor": HEX},
    "conversion": {"arm?": 16, "arms?": [16], "assignment_seq": 53, "goal": S, "value_f64": "(?=[0-7])" + F64, "visitor": HEX},
    "reallocation": {"arms?": STATES, "elements?": [{"arms": STATES, "element": 16, "weights_ppb": [32]}], "method": METHOD + "|uniform",
        "upto_seq": 53, "weights_ppb?": [32]},
    "seal": {"arms?": FINAL, "draw_key_hex": HEX, "elements?": [{"arms": FINAL, "element": 16}]},
    "redaction": {"reason": S, "sequence": 53}, "restore": {"incarnation": 32, "reason": S, "root_hex": HEX, "size": 53}}
LINES = {"bundle": {"alg": "samplit-audit-v1", "experiment_id": UUID, "genesis": HEX, "kind": S, "version": 1}, "end": {"count": 53, "kind": S},
    "reveal": {"draw_key_hex": HEX, "kind": S}, "checkpoint": {"kind": S, "note": S}, "abandoned": {"kind": S, "note": S},
    "entry": {"created_at_us": -53, "current_hash": HEX, "decision_data": {}, "decision_type": "|".join(KINDS), "id": UUID, "kind": S,
        "previous_hash": HEX, "sequence_number": 53}}

def fits(value, shape):
    if isinstance(shape, str): return isinstance(value, str) and re.fullmatch(shape, value, re.S) is not None
    if isinstance(shape, list): return isinstance(value, list) and all(fits(v, shape[0]) for v in value)
    if isinstance(shape, dict): return isinstance(value, dict) and (not shape or value.keys() <= {k.rstrip("?") for k in shape} and all(
        fits(value[k.rstrip("?")], of) if k.rstrip("?") in value else k.endswith("?") for k, of in shape.items()))
    return value is False if shape == 0 else type(value) is int and (value >= 0 or shape < 0) and abs(value) < 2**abs(shape)

def in_profile(value, depth):
    if isinstance(value, str): return "\0" not in value
    if not isinstance(value, (dict, list)): return value is not None and abs(value) < 2**53
    keys, items = (value, value.values()) if isinstance(value, dict) else ((), value)
    good = all(re.fullmatch("[a-z][a-z0-9_]{0,63}", key) and key != "payload_sha256" for key in keys)
    return good and depth <= 8 and all(in_profile(item, depth + 1) for item in items)

def blocks(data): return data.get("elements", [data])

def is_typed(kind, data):
    """Whether a payload is of its kind, by its shape and by what shapes cannot say."""
    if not fits(data, KINDS[kind]) or kind in ("redaction", "restore"): return fits(data, KINDS[kind])
    if kind == "assignment": return data["draw"] == data.get("element", 0)
    if kind == "conversion": return ("arm" in data) != ("arms" in data)
    one, arms = "arms" in data, [arm for block in blocks(data) for arm in block.get("arms", [])]
    if one == ("elements" in data) or ("weights_ppb" in data) != (one and kind != "seal"): return False
    for i, block in enumerate(blocks(data)):
        weights = block.get("weights_ppb", [PPB] + [0] * (len(block["arms"]) - 1))
        if block.get("element", i) != i or [arm["arm"] for arm in block["arms"]] != list(range(len(block["arms"]))): return False
        if kind != "seal" and (len(weights) != len(block["arms"]) or sum(weights) != PPB): return False
        if kind != "seal" and any(weight and "active" in arm for weight, arm in zip(weights, block["arms"])): return False
    if kind != "genesis": return all(0 <= real(arm.get("p_best_f64", "0" * 16)) <= 1 for arm in arms)
    at = [(c["element"], c["arm"]) for c in data.get("carried", [{"element": 0, "arm": 0}])]
    return (one != (data["mode"] == "independent") and min(real(v) for v in data["prior"].values()) > 0 and blocks(data) != []
        and all(("variant_ids" if data["mode"] == "factorial" else "variant_id") in arm and len(arm) == 3 for arm in arms)
        and [] != at == sorted(set(at)) and all(c["s"] <= c["n"] for c in data.get("carried", []))
        and all(e < len(blocks(data)) and a < len(blocks(data)[e]["arms"]) for e, a in at))

def unbase64(text):
    decoded = base64.b64decode(text, validate=True)
    return decoded if base64.b64encode(decoded).decode() == text else refuse("base64")

def read_note(text):
    """A signed checkpoint: origin, size, root, the text that is signed, and the signatures as (name, key id + signature)."""
    head, _, tail = text.rpartition("\n\n")
    lines = re.fullmatch("(.+)\n(0|[1-9][0-9]*)\n(.{43}=)", head)
    signed = [re.fullmatch(r"\u2014 ([^\s+]+) (.{8,})", line) for line in tail[:-1].split("\n")]
    if re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", text) or not lines or tail[-1:] != "\n" or not all(signed) or len(signed) > 100 \
            or int(lines[2]) >> 64: refuse("not a signed checkpoint")
    return lines[1], int(lines[2]), unbase64(lines[3]), (head + "\n").encode(), [(m[1], unbase64(m[2])) for m in signed]

# ---- Ed25519 (RFC 8032), and keys of signed notes (c2sp.org/signed-note).
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

def add(p, q):
    """The sum of two points in extended coordinates."""
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0]), 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(n, p):
    q = (0, 1, 1, 0)
    for bit in bin(n)[2:]:
        q = add(add(q, q), p) if bit == "1" else add(q, q)
    return q

def point(encoded):
    """The point that 256 bits encode, or None."""
    y, sign = encoded % 2**255 % P, encoded >> 255
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx: x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != xx: return None
    if x % 2 != sign: x = P - x
    return x, y, 1, x * y % P

BASE = point(4 * pow(5, -1, P) % P)

def holds(public, message, signature):
    """Whether a signature is one of the key: s B - h A = R, compared as bytes, and s is below the group's order."""
    a, s = point(int.from_bytes(public, "little")), int.from_bytes(signature[32:], "little")
    if a is None or len(signature) != 64 or s >= L: return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    x, y, z, _ = add(times(s, BASE), times(h, (-a[0], a[1], 1, -a[3])))
    x, y = x * pow(z, -1, P) % P, y * pow(z, -1, P) % P
    return (y | x % 2 << 255).to_bytes(32, "little") == signature[:32]

def read_key(text):
    """Name, key id and public key of a verifier key; ValueError if it is none."""
    parts = re.fullmatch(r"([^\s+\0-\x1f\x7f-\x9f]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})", text)
    key = base64.b64decode(parts[3]) if parts else b""
    if not parts or key[0] != 1 or sha(parts[1], "\n", key)[:4].hex() != parts[2]:
        raise ValueError("not a verifier key of Ed25519: " + text)
    return parts[1], bytes.fromhex(parts[2]), key[1:]

def count_signed(keys, message, signatures):
    """How many of the keys have signed, or None if a signature of one of them does not hold."""
    held = 0
    for name, key_id, public in dict.fromkeys(keys):
        own = [signed[4:] for by, signed in signatures if by == name and signed[:4] == key_id]
        if not all(holds(public, message, signature) for signature in own): return None
        held += bool(own)
    return held

