"""For verify_full.py: replays decisions, every draw, every choice, every count, every weight. Standard library only."""
import hmac
from collections import deque
from verify_form import PPB, blocks, real, sha
from verify_weights import weights

LOOK_BACK = 2**20  # counted events that a reallocation may lag behind

class Replay:
    """What the decisions before the next entry come to. Every method raises ValueError at a wrong decision."""
    def __init__(self, experiment, genesis, draw_key, weights):
        self.experiment, self.genesis, self.draw_key, self.weights = experiment, genesis, draw_key, weights
        self.many, self.snapshots, self.visitors, self.hidden = "elements" in genesis, {}, {}, set()
        self.counts = [[[0, 0] for _ in block["arms"]] for block in blocks(genesis)]
        for c in genesis.get("carried", []): self.counts[c["element"]][c["arm"]] = [c["n"], c["s"]]
        self.unseen, self.steps, self.upto, self.sealed = [0, 0], deque(), 1, False
        self.report = dict(assignments=0, draws=0, conversions=0, reallocations=0, weights=0)
        self.take_weights(1, genesis)
        self.check_key(draw_key)

    def check_key(self, key):
        committed = (sha("samplit-audit/draw-key/v1\n", self.experiment, "\n", key).hex() if key
                     else self.genesis["draw_key_commitment"])
        need(committed == self.genesis["draw_key_commitment"], "the draw key is not the one that was committed to")

    def take_weights(self, sequence, data):
        """Puts the weights of a genesis or reallocation in force: [weights by element, when they were superseded]."""
        self.newest = self.snapshots[sequence] = [[block["weights_ppb"] for block in blocks(data)], None]

    def entry(self, sequence, time, kind, data, is_stub):
        need(not self.sealed or kind in ("redaction", "restore"), "decides something after the seal")
        if is_stub:
            if kind == "assignment": self.hidden.add(sequence)
            self.count(sequence, self.unseen, 0 if kind == "assignment" else 1)
        elif kind in ("assignment", "conversion", "reallocation", "seal"): getattr(self, kind)(sequence, time, data)

    def count(self, sequence, counter, place):
        counter[place] += 1
        self.steps.append((sequence, counter, place))
        if len(self.steps) > LOOK_BACK: self.upto = self.steps.popleft()[0]

    def assignment(self, sequence, time, a):
        draw, number = a["draw"], int(a["u64_hex"], 16)
        need(("element" in a) == self.many, "names its element iff elements are drawn independently")
        if self.draw_key:
            text = "samplit-audit/draw/v1\n%s\n%s\n%d\n" % (self.experiment, a["visitor"], draw)
            mac = hmac.new(self.draw_key, text.encode(), "sha256").hexdigest()
            need(mac[:16] == a["u64_hex"], "the draw is not that of the draw key")
            self.report["draws"] += 1
        need(a["r_ppb"] == number * PPB >> 64, "r_ppb is not that of u64_hex")
        weights, superseded = self.snapshots.get(a["snapshot_seq"], (None, None))
        lag = self.genesis["max_snapshot_lag_us"]
        need(weights and (superseded is None or time <= superseded + lag), "uses a snapshot that is none or too old")
        need(draw < len(weights), "draws for an element that there is not")
        below = [sum(weights[draw][:arm + 1]) for arm in range(len(weights[draw]))]
        chosen = [a["r_ppb"] < end for end in below].index(True)
        need(chosen == a["arm"], "the arm is not the one that the draw chooses")
        visitor = self.visitors.setdefault(a["visitor"], {"first": sequence, "converted": False, "arms": {}})
        need(draw not in visitor["arms"], "assigns a visitor a second time")
        visitor["arms"][draw] = a["arm"]
        self.count(sequence, self.counts[draw][a["arm"]], 0)
        self.report["assignments"] += 1

    def conversion(self, sequence, _, c):
        arms, first = c["arms"] if "arms" in c else [c["arm"]], c["assignment_seq"]
        need(("arms" in c) == self.many and len(arms) == len(self.counts) and all(
            arm < len(of) for arm, of in zip(arms, self.counts)), "names arms that there are not")
        carried = first == 0 and "carried" in self.genesis
        visitor = self.visitors.get(c["visitor"])
        if visitor is None:
            need(first in self.hidden or carried, "names no earlier assignment of its visitor")
            visitor = self.visitors[c["visitor"]] = {"first": first, "converted": False, "arms": {}}
        need(not visitor["converted"], "converts a visitor a second time")
        need(first == visitor["first"] or first in self.hidden and first < visitor["first"],
             "names another assignment than the first")
        visitor["converted"] = True
        for element, arm in enumerate(arms):
            known = visitor["arms"].get(element)
            need(known == arm or known is None and (self.hidden or carried), "names another arm than the one assigned")
            visitor["arms"][element] = arm
            self.count(sequence, self.counts[element][arm], 1)
        self.report["conversions"] += 1

    def compare(self, upto, data):
        """Counts as claimed against those up to entry `upto`. What is redacted may be in any arm, but sums must fit."""
        need(upto >= self.upto and ("elements" in data) == self.many, "counts up to an entry that it cannot")
        later = [step for step in self.steps if step[0] > upto]
        for _, counter, place in later: counter[place] -= 1
        need([len(b["arms"]) for b in blocks(data)] == [len(of) for of in self.counts],
             "has other elements or arms than the genesis")
        more = [[(arm["n"] - n, arm["s"] - s) for arm, (n, s) in zip(b["arms"], of)]
                for b, of in zip(blocks(data), self.counts)]
        need(all(n >= 0 and s >= 0 for of in more for n, s in of), "counts fewer than there are")
        need(sum(n for of in more for n, _ in of) == self.unseen[0], "counts assignments that are not there")
        need(all(sum(s for _, s in of) == self.unseen[1] for of in more), "counts conversions that are not there")
        for _, counter, place in later: counter[place] += 1
        self.steps, self.upto = deque(later), upto

    def reallocation(self, sequence, time, r):
        need(r["upto_seq"] < sequence, "counts entries that come after it")
        self.compare(r["upto_seq"], r)
        prior = [real(self.genesis["prior"][key]) for key in ("alpha_f64", "beta_f64")]
        for block, configured in zip(blocks(r), blocks(self.genesis)):
            for arm in block["arms"]:
                for key, expected in (("alpha_f64", prior[0] + arm["s"]), ("beta_f64", prior[1] + arm["n"] - arm["s"])):
                    need(arm["s"] <= arm["n"] and abs(real(arm[key]) - expected) <= 1e-9 * expected,
                         "the posterior is not prior and counts")
            if self.weights:
                arms = [(a.get("active", True), a["n"], real(a["alpha_f64"]), real(a["beta_f64"]))
                        for a in block["arms"]]
                due = weights(self.genesis, configured["weights_ppb"], arms)
                need(due and all(abs(w - v) <= 1000 for w, v in zip(block["weights_ppb"], due)),
                     "the weights do not follow from the counts")
        self.newest[1] = time
        self.take_weights(sequence, r)
        self.report["reallocations"] += 1
        self.report["weights"] += self.weights

    def seal(self, sequence, _, s):
        self.check_key(bytes.fromhex(s["draw_key_hex"]))
        self.sealed = True
        self.compare(sequence, s)

def need(truth, what):
    if not truth: raise ValueError(what)
