#!/usr/bin/env python3
"""Verifies the audit trail of an experiment from its bundle: python3 verify.py BUNDLE [DRAW_KEY_HEX]
One file, Python 3.9, nothing else; AUDIT_FORMAT.md describes what it reads. Checks canonical lines, hash chain, gaps,
time, the Merkle root at every checkpoint, redactions and restores, and replays draws, arms, counts and conversions.
verify_full.py also checks signatures, posteriors, weights, and every key and range inside payloads.
Stops at the first thing that is wrong. Exit codes: 0 sound, 1 integrity, 3 replay, 4 malformed, 64 wrong usage."""
import base64, hashlib, hmac, json, sys

PPB, KINDS = 10**9, "genesis assignment conversion reallocation seal redaction restore".split()
def sha(*parts): return hashlib.sha256(b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)).digest()
def canonical(v): return json.dumps(v, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def blocks(data): return data["elements"] if "elements" in data else [data]
class Wrong(Exception): pass
def need(truth, kind, entry, what):
    if not truth: raise Wrong(kind, entry, what)

class Verifier:
    def __init__(self, draw_key=None):
        self.key, self.n, self.time, self.tree, self.ended, self.sealed = draw_key, 0, -2**63, [], False, False
        self.id, self.given_up, self.revealed, self.incarnation, self.checked = None, None, None, 1, 0
        self.stubs, self.hidden, self.visitors, self.unseen = set(), set(), {}, [0, 0]
    def line(self, raw):
        v = json.loads(raw, parse_float=str, parse_constant=str)  # so that neither is canonical
        need(canonical(v) + b"\n" == raw and not self.ended, 4, None, "not canonical, or behind the end")
        if self.id is None:
            need((v["kind"], v["alg"], v["version"]) == ("bundle", "samplit-audit-v1", 1), 4, None, "not a bundle")
            self.id, self.hash = v["experiment_id"], v["genesis"]
            need(self.hash == sha("samplit-audit/genesis/v1\n", self.id, "\n").hex(), 4, None, "not the genesis hash")
        elif v["kind"] == "reveal":
            need(self.n == 0 and self.revealed is None, 4, None, "a reveal line out of place")
            self.key = self.revealed = bytes.fromhex(v["draw_key_hex"])
        elif v["kind"] == "end":
            self.ended = True
            need(v["count"] == self.n, 1, self.n, "not the number of entries of the end line")
        elif v["kind"] in ("checkpoint", "abandoned"): self.note(v["kind"], v["note"])
        else: self.entry(v, v["decision_type"], v["decision_data"])
    def root(self):
        node = self.tree[-1]
        for left in self.tree[-2::-1]: node = sha(b"\1", left, node)
        return node
    def note(self, kind, note):
        origin, size, root = note.rpartition("\n\n")[0].split("\n")
        need(origin == self.origin, 1, self.n, "a checkpoint of another trail")
        claimed = (int(size), base64.b64decode(root, validate=True))
        right = not self.given_up and claimed == (self.n, self.root())
        need(kind == "abandoned" or right, 1, self.n, "a checkpoint out of place, or of another history")
        if kind == "abandoned": self.given_up = (claimed[0], claimed[1].hex())
        else: self.checked = self.n
    def entry(self, v, kind, data):
        need(v["kind"] == "entry" and kind in KINDS, 4, None, "not a line or decision of the format")
        self.n = n = self.n + 1
        stub = data["payload_sha256"] if set(data) == {"payload_sha256"} else None
        columns = (self.id, n, self.hash, v["id"], kind, v["created_at_us"], stub or sha(canonical(data)).hex())
        need((v["sequence_number"], v["previous_hash"]) == (n, self.hash), 1, n, "is missing, or does not link back")
        self.hash = sha("samplit-audit/entry/v1\n", *("%s\n" % column for column in columns)).hex()
        need(v["current_hash"] == self.hash, 1, n, "was altered: its hash is not that of its content")
        need((kind == "genesis") == (n == 1) and v["created_at_us"] >= self.time, 1, n, "is out of place or time")
        self.time, node, rest = v["created_at_us"], sha(b"\0", bytes.fromhex(self.hash)), n
        while rest % 2 == 0: node, rest = sha(b"\1", self.tree.pop(), node), rest // 2
        self.tree.append(node)
        need(not stub or kind in ("assignment", "conversion"), 1, n, "is redacted, but may not be")
        need(not self.given_up or kind == "restore", 1, n, "should be the restore of what was given up")
        need(not self.sealed or kind in ("redaction", "restore"), 3, n, "decides something after the seal")
        if stub: self.stubs.add(n); self.hidden.add(n); self.count(n, self.unseen, int(kind != "assignment"))
        else: getattr(self, kind)(n, data)
    def genesis(self, n, g):
        self.origin, self.rules, self.weights, self.steps, self.upto = g["origin"], g, {}, [], 1
        self.counts = [[[0, 0] for _ in b["arms"]] for b in blocks(g)]
        for c in g.get("carried", []): self.counts[c["element"]][c["arm"]] = [c["n"], c["s"]]
        self.take_weights(n, g)
        if self.key: self.check_key(self.key)
    def check_key(self, key):
        committed = sha("samplit-audit/draw-key/v1\n", self.id, "\n", key).hex() == self.rules["draw_key_commitment"]
        need(committed, 3, self.n, "not the draw key that was committed to")
    def take_weights(self, n, data): self.newest = self.weights[n] = [[b["weights_ppb"] for b in blocks(data)], None]
    def count(self, n, counter, place):
        counter[place] += 1
        self.steps.append((n, counter, place))
    def assignment(self, n, a):
        draw = a["draw"]
        if self.key:
            text = "samplit-audit/draw/v1\n%s\n%s\n%d\n" % (self.id, a["visitor"], draw)
            mac = hmac.new(self.key, text.encode(), "sha256").hexdigest()
            need(mac[:16] == a["u64_hex"], 3, n, "the draw is not that of the key")
        weights, superseded = self.weights.get(a["snapshot_seq"], (None, None))
        fresh = weights and (superseded is None or self.time <= superseded + self.rules["max_snapshot_lag_us"])
        need(fresh and a["r_ppb"] == int(a["u64_hex"], 16) * PPB >> 64, 3, n, "a snapshot too old, or another r_ppb")
        arm = next(i for i in range(len(weights[draw])) if a["r_ppb"] < sum(weights[draw][:i + 1]))
        need(arm == a["arm"], 3, n, "the arm is not the one that the draw chooses")
        visitor = self.visitors.setdefault(a["visitor"], [n, False, {}])
        named = a.get("element") == (draw if "elements" in self.rules else None)
        need(named and draw not in visitor[2], 3, n, "assigns a visitor a second time, or names another element")
        visitor[2][draw] = arm
        self.count(n, self.counts[draw][arm], 0)
    def conversion(self, n, c):
        first = c["assignment_seq"]
        unseen = first in self.hidden or first == 0 and "carried" in self.rules
        need(c["visitor"] in self.visitors or unseen, 3, n, "names no earlier assignment of its visitor")
        visitor = self.visitors.setdefault(c["visitor"], [first, False, {}])
        same = first == visitor[0] or first in self.hidden and first < visitor[0]
        need(same and not visitor[1], 3, n, "a second conversion, or another assignment")
        visitor[1], arms = True, c["arms"] if "arms" in c else [c["arm"]]
        for element, arm in enumerate(arms):
            assigned = visitor[2].setdefault(element, arm if unseen or self.hidden else None) == arm
            need(assigned and len(arms) == len(self.counts), 3, n, "names another arm than the one assigned")
            self.count(n, self.counts[element][arm], 1)
    def reallocation(self, n, r):
        self.compare(n, r["upto_seq"] if self.upto <= r["upto_seq"] < n else n + 1, r)
        self.newest[1] = self.time  # the moment from which the weights before are superseded
        self.take_weights(n, r)
    def compare(self, n, upto, data):
        later = [step for step in self.steps if step[0] > upto]
        for _, counter, place in later: counter[place] -= 1
        claimed = [[(arm["n"], arm["s"]) for arm in b["arms"]] for b in blocks(data)]
        need(list(map(len, claimed)) == list(map(len, self.counts)) and upto <= n, 3, n, "has other arms")
        more = [[(n - c[0], s - c[1]) for (n, s), c in zip(*both)] for both in zip(claimed, self.counts)]  # or redacted
        need(min(m for of in more for pair in of for m in pair) >= 0, 3, n, "counts fewer than there are")
        need(sum(m[0] for of in more for m in of) == self.unseen[0], 3, n, "counts assignments that are not there")
        need(all(sum(m[1] for m in of) == self.unseen[1] for of in more), 3, n, "counts conversions that are not there")
        for _, counter, place in later: counter[place] += 1
        self.steps, self.upto = later, upto
    def seal(self, n, s):
        self.sealed = True
        need(self.revealed in (None, bytes.fromhex(s["draw_key_hex"])), 1, n, "seals another key than the revealed one")
        self.check_key(bytes.fromhex(s["draw_key_hex"]))
        self.compare(n, n, s)
    def redaction(self, n, r):
        need(r["sequence"] in self.stubs, 1, n, "redacts what is not redacted"); self.stubs.remove(r["sequence"])
    def restore(self, n, r):
        self.incarnation += 1
        told = self.given_up in (None, (r["size"], r["root_hex"])) and r["incarnation"] == self.incarnation
        need(told, 1, n, "gives up another checkpoint, or is not the next incarnation"); self.given_up = None

def verify(lines, draw_key=None):
    v = Verifier(draw_key)
    for number, raw in enumerate(lines, 1):
        try: v.line(raw)
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError) as error:
            raise Wrong(4, None, "line %d is not of the format: %r" % (number, error)) from None
    need(v.ended and v.n and v.sealed == bool(v.revealed), 4, None, "the end line, a reveal or a seal is missing")
    need(not v.stubs and not v.given_up, 1, min(v.stubs, default=v.n), "is redacted or gives up what no entry tells")
    return v

if __name__ == "__main__":
    if len(sys.argv) not in (2, 3): print(__doc__); sys.exit(64)
    try: v = verify(open(sys.argv[1], "rb"), bytes.fromhex("".join(sys.argv[2:])) or None)
    except Wrong as wrong: print("NOT SOUND: entry %s: %s" % wrong.args[1:]); sys.exit(wrong.args[0])
    except (OSError, ValueError) as error: print(error); sys.exit(64)  # no such file, or not a key
    said = "sound: %d entries, root %s\ncompared with checkpoints up to entry %d (signatures NOT checked); draws %s"
    print(said % (v.n, v.root().hex(), v.checked, "recomputed" if v.key else "NOT recomputed: no draw key"))
