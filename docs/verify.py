#!/usr/bin/env python3
"""Verifies the audit trail of an experiment from its bundle. Python 3.9, nothing else. The format: AUDIT_FORMAT.md.
Exit codes: 0 sound, 1 integrity, 2 signature, 3 replay, 4 malformed, 64 usage. Stops at the first thing that is wrong."""
import argparse, base64, hashlib, hmac, io, json, re, struct, sys
try: from verify_weights import weights as rule  # beside this file; without it weights are taken as they are
except ImportError: rule = None
INTEGRITY, SIGNATURE, REPLAY, MALFORMED, PPB, LINE, LOOK_BACK = 1, 2, 3, 4, 10**9, 17408, 2**20
class Wrong(Exception): """Arguments: the kind, which is the exit code; the entry, or None; what is wrong."""
def sha(*parts): return hashlib.sha256(b"".join(p if isinstance(p, bytes) else str(p).encode() for p in parts)).digest()
def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
def real(digits): return struct.unpack(">d", bytes.fromhex(digits))[0]
def refuse(number): raise ValueError(number + " is not an integer")

# ---- Form. Canonical JSON spells everything in one way, so a pattern can say what a line or a payload may be.
WORD = {"INT": "[0-9]+", "STR": r'"(?:[^"\\]|\\.)*"', "HEX": '"[0-9a-f]{64}"', "U64": '"[0-9a-f]{16}"',
        "F64": '"(?![7f]ff)[0-9a-f]{16}"', "UUID": '"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"'}
def form(text):
    words = "|".join(sorted(WORD, key=len, reverse=True))
    return re.sub(words, lambda m: WORD[m[0]], text.replace("{", r"\{").replace("}", r"\}"))
for name, item in {"INTS": "INT", "UUIDS": "UUID", "FINAL": '{"arm":INT,"n":INT,"s":INT}', "FINALS": '{"arms":FINAL,"element":INT}',
        "CARRIED": '{"arm":INT,"element":INT,"n":INT,"s":INT}',
        "ARMS": '{"arm":INT,"name":STR,(?:"variant_id":UUID|"variant_ids":UUIDS)}',
        "DRAWS": '{"arms":ARMS,"element":INT,"element_id":UUID,"weights_ppb":INTS}',
        "STATES": '{(?:"active":false,)?"alpha_f64":F64,"arm":INT,"beta_f64":F64,"n":INT,"p_best_f64":F64,"s":INT}',
        "BLOCKS": '{"arms":STATES,"element":INT,"weights_ppb":INTS}'}.items():
    WORD[name] = r"\[(?:%s(?:,%s)*)?\]" % (form(item), form(item))
KINDS = {kind: re.compile(form(pattern)) for kind, pattern in {
    "genesis": '{"alg":"samplit-audit-v1",(?:"arms":ARMS,)?(?:"carried":CARRIED,)?"config_sha256":HEX,"draw_key_commitment":HEX,'
        '(?:"elements":DRAWS,)?"floor_ppb":INT,(?:"hypothesis_sha256":HEX,)?"max_snapshot_lag_us":INT,'
        '"mode":"(?:single|independent|factorial)","origin":STR,"policy":"(?:thompson|top_two|fixed)",'
        '"prior":{"alpha_f64":F64,"beta_f64":F64},"strategy":"(?:adaptive|fixed)","warm_up":INT(?:,"weights_ppb":INTS)?}',
    "assignment": '{"arm":INT,"draw":INT(?:,"element":INT)?,"r_ppb":INT,"snapshot_seq":INT,"u64_hex":U64,"visitor":HEX}',
    "conversion": '{(?:"arm":INT|"arms":INTS),"assignment_seq":INT,"goal":STR,"value_f64":(?="[0-7])F64,"visitor":HEX}',
    "reallocation": '{(?:"arms":STATES|"elements":BLOCKS),"method":"(?:uniform|thompson|top_two|fixed)","upto_seq":INT'
        '(?:,"weights_ppb":INTS)?}',
    "seal": '{(?:"arms":FINAL,)?"draw_key_hex":HEX(?:,"elements":FINALS)?}',
    "redaction": '{"reason":STR,"sequence":INT}',
    "restore": '{"incarnation":INT,"reason":STR,"root_hex":HEX,"size":INT}'}.items()}
LINES = re.compile(form('{"kind":"(?:checkpoint|abandoned)","note":STR}|{"draw_key_hex":HEX,"kind":"reveal"}|{"count":INT,"kind":"end"}|'
    '{"created_at_us":-?INT,"current_hash":HEX,"decision_data":{.*},"decision_type":"(?:%s)","id":UUID,"kind":"entry",'
    '"previous_hash":HEX,"sequence_number":INT}' % "|".join(KINDS)))
HEADER = re.compile(form('{"alg":"samplit-audit-v1","experiment_id":UUID,"genesis":HEX,"kind":"bundle","version":1}'))
STUB, KEY = re.compile(form('{"payload_sha256":HEX}')), re.compile("[a-z][a-z0-9_]{0,63}")
def in_profile(value, depth):
    if isinstance(value, (dict, list)) and depth > 8: return False
    if isinstance(value, list): return all(in_profile(v, depth + 1) for v in value)
    if isinstance(value, dict): return all(
        KEY.fullmatch(k) and k != "payload_sha256" and in_profile(v, depth + 1) for k, v in value.items())
    return "\0" not in value if isinstance(value, str) else value is not None and abs(value) < 2**53
def blocks(data): return data.get("elements", [data])
def is_typed(kind, payload, data):
    """Whether a payload is one of its kind: pattern, ranges, lists in order, weights that sum to a billion."""
    small = {"arm": 16, "draw": 16, "r_ppb": 32, "floor_ppb": 32, "incarnation": 32}
    if not KINDS[kind].fullmatch(payload) or any(data.get(key, 0) >> bits for key, bits in small.items()): return False
    if kind == "assignment": return data["draw"] == data.get("element", 0)
    if kind == "conversion": return not any(arm >> 16 for arm in data.get("arms", []))
    if kind in ("redaction", "restore"): return True
    if ("arms" in data) == ("elements" in data) or "arms" in data and ("weights_ppb" in data) == (kind == "seal"): return False
    for i, block in enumerate(blocks(data)):
        arms, weights = block["arms"], block.get("weights_ppb")
        if block.get("element", i) != i or [arm["arm"] for arm in arms] != list(range(len(arms))): return False
        if weights and (len(weights) != len(arms) or any(w and "active" in arm for w, arm in zip(weights, arms))): return False
        if kind != "seal" and sum(weights) != PPB or not all(0 <= real(a.get("p_best_f64", "0" * 16)) <= 1 for a in arms): return False
    if kind != "genesis": return "elements" not in data or "weights_ppb" not in data
    carried = data.get("carried", [{"element": 0, "arm": 0, "n": 0, "s": 0}])
    places = [(c["element"], c["arm"]) for c in carried]
    return (("elements" in data) == (data["mode"] == "independent") and ("weights_ppb" in data) == ("arms" in data)
        and all(("variant_ids" in arm) == (data["mode"] == "factorial") for block in blocks(data) for arm in block["arms"])
        and data["origin"] != "" and "\n" not in data["origin"] and min(real(v) for v in data["prior"].values()) > 0
        and [] != places == sorted(set(places)) and all(c["s"] <= c["n"] for c in carried) and blocks(data) != []
        and all(e < len(blocks(data)) and a < len(blocks(data)[e]["arms"]) for e, a in places))

# ---- Signatures: Ed25519 (RFC 8032), and notes and their keys (c2sp.org/signed-note).
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
def add(p, q):
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0]), 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P
def times(n, p):
    q = (0, 1, 1, 0)
    for bit in bin(n)[2:]: q = add(add(q, q), p) if bit == "1" else add(q, q)
    return q
def point(encoded):
    y, sign = encoded % 2**255 % P, encoded >> 255
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x if x * x % P == xx else x * pow(2, (P - 1) // 4, P) % P
    return ((x, y, 1, x * y % P) if x % 2 == sign else (P - x, y, 1, -x * y % P)) if x * x % P == xx else None
def holds(public, message, signature):
    a, s = point(int.from_bytes(public, "little")), int.from_bytes(signature[32:], "little")
    if a is None or len(signature) != 64 or s >= L: return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    x, y, z, _ = add(times(s, point(4 * pow(5, -1, P) % P)), times(h, (-a[0], a[1], 1, -a[3])))
    return (y * pow(z, -1, P) % P | x * pow(z, -1, P) % P % 2 << 255).to_bytes(32, "little") == signature[:32]
def unbase64(text):
    decoded = base64.b64decode(text, validate=True)
    return decoded if base64.b64encode(decoded).decode() == text else refuse(text)
def read_key(text):
    name, key_id, key = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(.{44})", text).groups()
    if not (key := unbase64(key)).startswith(b"\1") or sha(name, "\n", key).hex()[:8] != key_id: raise ValueError(text)
    return name, bytes.fromhex(key_id), key[1:]
def read_note(text):
    head, _, tail = text.rpartition("\n\n")
    lines = re.fullmatch("(.+)\n(0|[1-9][0-9]*)\n(.{44})", head)
    signed = [re.fullmatch(r"\u2014 ([^\s+]+) (.{8,})", line) for line in tail[:-1].split("\n")]
    if re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", text) or not lines or tail[-1:] != "\n" or not all(signed) or len(signed) > 100 \
            or int(lines[2]) >> 64: raise ValueError("not a signed checkpoint")
    return lines[1], int(lines[2]), unbase64(lines[3]), (head + "\n").encode(), [(m[1], unbase64(m[2])) for m in signed]

# ---- The trail: one pass, line by line.
class Verifier:
    def __init__(self, keys=(), known=(), draw_key=None, rule=rule):
        self.keys, self.known, self.key, self.rule, self.revealed, self.ended = keys, [k for k in known if k[1]], draw_key, rule, None, False
        self.experiment, self.size, self.time, self.tree, self.origin, self.given_up, self.stubs = None, 0, -2**63, [], "", None, set()
        self.genesis, self.snapshots, self.visitors, self.hidden, self.totals, self.steps, self.upto = None, {}, {}, set(), [], [], 1
        self.report = {**dict.fromkeys("entries redactions checkpoints abandoned signatures signed_size".split(), 0), "incarnation": 1,
            "sealed": False, "replay": dict.fromkeys("assignments draws conversions reallocations weights".split(), 0)}
    def need(self, truth, kind, what, entry=None):
        if not truth: raise Wrong(kind, entry or self.size or None, what)
    def root(self):
        node = self.tree[-1]
        for left in self.tree[-2::-1]: node = sha(b"\1", left, node)
        return node
    def line(self, raw):
        try:
            text = raw.decode()
            value = json.loads(text, parse_float=refuse, parse_constant=refuse)
            data = value.get("decision_data", {})
            payload = canonical(data)
            spelled = canonical({**value, **({} if "decision_data" not in value else {})}) == text
        except (ValueError, RecursionError, AttributeError): spelled = False
