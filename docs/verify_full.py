#!/usr/bin/env python3
"""Verifies a bundle as verify.py does, and signatures, weights and the form of every payload as well. Needs Python 3.9,
and beside this file verify_form.py, verify_replay.py and verify_weights.py. Stops at the first thing that is wrong.
Exit codes: 0 sound, 1 integrity, 2 signature, 3 replay, 4 malformed, 64 wrong usage."""
import argparse, io, json, sys
from verify_form import HEX, LINES, canonical, count_signed, fits, in_profile, is_typed, read_key, read_note, refuse, sha
from verify_replay import Replay

INTEGRITY, SIGNATURE, REPLAY, MALFORMED, MAX_PAYLOAD, MAX_LINE = 1, 2, 3, 4, 16 * 1024, 17 * 1024

class Wrong(Exception): """Arguments: the kind, which is the exit code; the entry, or None; what is wrong."""

class Verifier:
    """One pass over the lines of a bundle."""
    def __init__(self, keys=(), known=(), draw_key=None, weights=True):
        self.keys, self.known, self.draw_key, self.weights = keys, known, draw_key, weights
        self.experiment, self.origin, self.size, self.time, self.tree = None, "", 0, -2**63, []
        self.stubs, self.given_up, self.revealed, self.replay, self.ended = set(), None, None, None, False
        self.report = dict(checkpoints=0, abandoned=0, signatures=0, signed_size=0, incarnation=1, redactions=0, sealed=False)

    def need(self, truth, kind, what, entry=None):
        if not truth: raise Wrong(kind, entry or self.size or None, what)
    def root(self):
        """The Merkle root (RFC 6962): `tree` holds the roots of complete subtrees, the largest first."""
        node = self.tree[-1] if self.tree else sha()
        for left in self.tree[-2::-1]: node = sha(b"\1", left, node)
        return node

    def line(self, raw):
        """One line with its LF. Raises ValueError where it is not of the format."""
        value = json.loads(raw[:-1].decode(), parse_float=refuse, parse_constant=refuse)
        kind = value.get("kind") if isinstance(value, dict) else None
        if canonical(value).encode() + b"\n" != raw: refuse("not the canonical spelling, too long, or without its line feed")
        if not isinstance(kind, str) or kind not in LINES or not fits(value, LINES[kind]): refuse("not a line of the format")
        if self.ended or (kind == "bundle") != (self.experiment is None): refuse("a line out of place")
        if kind == "bundle":
            self.experiment = value["experiment_id"]
            self.hash = sha("samplit-audit/genesis/v1\n", self.experiment, "\n").hex()
            if value["version"] != 1 or value["genesis"] != self.hash: refuse("not the version or the genesis hash")
        elif kind == "entry": self.entry(value, value["decision_type"], value["decision_data"])
        elif kind == "reveal":
            if self.size or self.revealed: refuse("a reveal line that is not the second line")
            self.revealed = bytes.fromhex(value["draw_key_hex"])
            self.need(self.draw_key in (None, self.revealed), REPLAY, "the revealed draw key is not the one that was handed over")
            self.draw_key = self.revealed
        elif kind == "end":
            self.ended = True
            self.need(value["count"] == self.size, INTEGRITY, "the number of entries is not that of the end line")
        else: self.note(kind, *read_note(value["note"]))

    def note(self, kind, origin, size, root, text, signatures):
        self.need(origin == self.origin, INTEGRITY, "a checkpoint of another trail")
        if kind == "checkpoint":
            if self.given_up or size < self.size: refuse("a checkpoint out of place")
            self.need(size == self.size, INTEGRITY, "entries are missing: a checkpoint of %d entries" % size)
            self.need(root == self.root(), INTEGRITY, "a checkpoint shows another history up to here")
        elif self.given_up and self.given_up[0] > size: refuse("abandoned checkpoints are not in order of size")
        if self.keys:
            held = count_signed(self.keys, text, signatures)
            self.need(held != 0, SIGNATURE, "a checkpoint here is not signed by any pinned key")
            self.need(held, SIGNATURE, "the signature of a pinned key does not hold")
            self.report["signatures"] += held
        if kind == "abandoned": self.given_up = (size, root.hex())
        elif self.keys: self.report["signed_size"] = size
        self.report["abandoned" if kind == "abandoned" else "checkpoints"] += 1

    def entry(self, entry, kind, data):
        payload = canonical(data).encode()
        stub = data["payload_sha256"] if fits(data, {"payload_sha256": HEX}) else None
        if len(payload) > MAX_PAYLOAD or not (stub or in_profile(data, 1)): refuse("a payload outside the profile")
        self.size = n = self.size + 1
        self.need(entry["sequence_number"] == n, INTEGRITY, "is missing; here stands number %d" % entry["sequence_number"])
        self.need(entry["previous_hash"] == self.hash, INTEGRITY, "does not link to the entry before it")
        columns = (self.experiment, n, self.hash, entry["id"], kind, entry["created_at_us"], stub or sha(payload).hex())
        self.hash = sha("samplit-audit/entry/v1\n", *("%s\n" % column for column in columns)).hex()
        self.need(entry["current_hash"] == self.hash, INTEGRITY, "was altered: its hash is not that of its content")
        self.need((kind == "genesis") == (n == 1), INTEGRITY, "is out of place: genesis is the first entry and only the first")
        self.need(entry["created_at_us"] >= self.time, INTEGRITY, "is earlier than the entry before it")
        self.time, node, rest = entry["created_at_us"], sha(b"\0", bytes.fromhex(self.hash)), n
        while rest % 2 == 0: node, rest = sha(b"\1", self.tree.pop(), node), rest // 2
        self.tree.append(node)
        self.account(kind, data, stub)
        for origin, size, root, *_ in self.known:
            self.need(size != n or (origin, root) == (self.origin, self.root()), INTEGRITY, "a kept checkpoint shows another history")
        self.need(stub or is_typed(kind, data), MALFORMED, "is not a %s of the format" % kind)
        try:
            if n == 1: self.replay = Replay(self.experiment, data, self.draw_key, self.weights)
            else: self.replay.entry(n, self.time, kind, data, stub)
        except ValueError as error: raise Wrong(REPLAY, n, str(error))

    def account(self, kind, data, stub):
        if stub:
            self.need(kind in ("assignment", "conversion"), INTEGRITY, "is redacted, but only assignments and conversions may be")
            self.stubs.add(self.size)
        self.need(not self.given_up or kind == "restore", INTEGRITY, "should be the restore that gives up the checkpoints before it")
        if kind in ("redaction", "restore", "seal"): self.need(is_typed(kind, data), MALFORMED, "is not a %s of the format" % kind)
        if kind == "genesis":
            self.need(fits(data.get("origin"), ".*"), MALFORMED, "names no origin")
            self.origin = data["origin"]
        elif kind == "redaction":
            self.need(data["sequence"] in self.stubs, INTEGRITY, "redacts entry %d, whose payload is there" % data["sequence"])
            self.stubs.remove(data["sequence"])
            self.report["redactions"] += 1
        elif kind == "restore":
            self.report["incarnation"] += 1
            self.need(data["incarnation"] == self.report["incarnation"], INTEGRITY, "is not the next incarnation")
            self.need(self.given_up in (None, (data["size"], data["root_hex"])), INTEGRITY, "gives up another checkpoint than the last")
            self.given_up = None
        elif kind == "seal":
            self.need(self.revealed in (None, bytes.fromhex(data["draw_key_hex"])), INTEGRITY, "seals another key than the revealed one")
            self.report["sealed"] = True

def verify(source, **options):
    """The report on a sound bundle, given as bytes or as a binary file; raises Wrong. Options as of Verifier."""
    source, v = io.BytesIO(source) if isinstance(source, bytes) else source, Verifier(**options)
    for number, raw in enumerate(iter(lambda: source.readline(MAX_LINE), b""), 1):
        try: v.line(raw)
        except (ValueError, RecursionError) as error: raise Wrong(MALFORMED, None, "line %d: %s" % (number, error))
    if not v.ended or v.report["sealed"] != bool(v.revealed):
        raise Wrong(MALFORMED, None, "the end line is missing, or one of reveal line and seal entry")
    v.need(v.size, INTEGRITY, "the trail is empty")
    v.need(all(size <= v.size for _, size, *_ in v.known), INTEGRITY, "entries are missing: a kept checkpoint has more")
    v.need(not v.stubs, INTEGRITY, "was redacted without a redaction entry", min(v.stubs, default=None))
    v.need(not v.given_up, INTEGRITY, "a checkpoint was given up without a restore entry")
    v.need(not v.keys or v.report["checkpoints"], SIGNATURE, "no checkpoint is signed by a pinned key")
    return dict(v.report, experiment_id=v.experiment, entries=v.size, head=v.hash, root=v.root().hex(), last_us=v.time,
                replay=dict(v.replay.report, totals=[[dict(n=n, s=s) for n, s in of] for of in v.replay.counts]))

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.error = lambda message: (print(message, file=sys.stderr), sys.exit(64))
    parser.add_argument("bundle")
    parser.add_argument("--key", action="append", default=[], type=read_key, metavar="VKEY", help="a pinned verifier key")
    parser.add_argument("--known", action="append", default=[], metavar="NOTEFILE", help="a checkpoint that you kept")
    parser.add_argument("--draw-key", type=bytes.fromhex, metavar="HEX", help="the draw key, before the seal reveals it")
    parser.add_argument("--no-weights", action="store_true", help="do not recompute weights from counts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args, code = parser.parse_args(), 0
    try:
        known = [read_note(open(name, encoding="utf-8", newline="").read()) for name in args.known]
        said = verify(open(args.bundle, "rb"), keys=args.key, known=known, draw_key=args.draw_key, weights=not args.no_weights)
    except (OSError, ValueError) as error: parser.error(str(error))
    except Wrong as wrong:
        code, entry, what = wrong.args
        said = dict(kind=("integrity", "signature", "replay", "malformed")[code - 1], sequence=entry, what=what)
    verdict = "NOT SOUND" if code else "sound" if args.key else "sound, but signatures were not checked: pin a key with --key"
    if args.json: print(json.dumps(dict(said, sound=not code)))
    else: print("\n".join("%-14s %s" % (name, value) for name, value in said.items()), verdict, sep="\n")
    sys.exit(code)
if __name__ == "__main__": main()
