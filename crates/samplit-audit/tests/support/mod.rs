//! A small world that keeps a trail the way an engine would, or forges one.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

pub(crate) mod complete;
pub(crate) mod tamper;

use samplit_audit::{
    ArmCount, Checkpoint, DrawKey, Entry, Failure, Hash, Head, Options, Payload, PerElement,
    PidKey, Pseudonym, Report, Signer, TypedPayload, VerifyingKey, bundle, checkpoint, choose,
    merkle,
    payload::{
        ArmState, Assignment, Block, Carried, Conversion, FinalCount, Genesis, GenesisArm,
        GenesisElement, Method, Mode, PPB, Policy, Prior, Reallocation, Redaction, Restore, Seal,
        Strategy,
    },
    receipt, scale,
};
use uuid::Uuid;

pub(crate) const EXPERIMENT: Uuid = Uuid::from_u128(0x6f1e_2d3c_4b5a_4978_8a9b_0c1d_2e3f_4a5b);
pub(crate) const LAG_US: u64 = 1_000;
const START_US: i64 = 1_767_323_045_000_000;

/// What the world remembers of a visitor.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) pseudonym: Pseudonym,
    pub(crate) first_seq: u64,
    pub(crate) arms: Vec<u16>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) head: Head,
    pub(crate) entries: Vec<Entry>,
    /// By the number of entries before the line.
    pub(crate) notes: Vec<(u64, Note)>,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) counts: Vec<Vec<FinalCount>>,
    pub(crate) active: Vec<Vec<bool>>,
    pub(crate) weights: Vec<Vec<u32>>,
    pub(crate) snapshot_seq: u64,
    pub(crate) now_us: i64,
    pub(crate) sealed: bool,
    incarnation: u32,
    signers: usize,
    rule: Rule,
}

/// How a world allocates.
pub(crate) type Rule = fn(&Genesis, usize, &[ArmCount]) -> Result<Vec<u32>, String>;

#[derive(Clone, Debug)]
pub(crate) enum Note {
    Checkpoint(String),
    Abandoned(String),
}

pub(crate) fn draw_key() -> DrawKey {
    DrawKey::from_bytes([7; 32])
}

pub(crate) fn signer() -> Signer {
    Signer::from_seed("o.example", &[9; 32]).unwrap()
}

/// Every key that can sign: the one above, and the one that is to follow it.
pub(crate) fn signers() -> [Signer; 2] {
    [
        signer(),
        Signer::from_seed("o.example/next", &[10; 32]).unwrap(),
    ]
}

pub(crate) fn verifying_key() -> VerifyingKey {
    signer().verifying_key().clone()
}

/// A rule of integers only: uniform until every arm is warm, then by the smoothed rate.
pub(crate) fn rule(genesis: &Genesis, _: usize, counts: &[ArmCount]) -> Result<Vec<u32>, String> {
    let active = || counts.iter().filter(|count| count.active);
    let warm = active().all(|count| count.n >= genesis.warm_up);
    let score = |count: &ArmCount| match (count.active, warm) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => (count.s + 1) * 1_000_000 / (count.n + 2) + 1,
    };
    let sum: u64 = counts.iter().map(score).sum();
    let share = |count: &ArmCount| u32::try_from(score(count) * u64::from(PPB) / sum).unwrap();
    let mut weights: Vec<u32> = counts.iter().map(share).collect();
    let first = counts
        .iter()
        .position(|count| count.active)
        .ok_or("no active arm")?;
    weights[first] += PPB - weights.iter().sum::<u32>();
    Ok(weights)
}

/// Everything an auditor can ask for.
pub(crate) fn strict() -> Options {
    Options {
        keys: vec![verifying_key()],
        known: Vec::new(),
        replay: true,
        draw_key: Some(draw_key()),
        rule: Some(Box::new(rule)),
    }
}

impl World {
    /// A world of two elements with two and three arms; in mode factorial six combinations.
    pub(crate) fn new(mode: Mode) -> Self {
        Self::with(mode, Vec::new())
    }

    pub(crate) fn with(mode: Mode, carried: Vec<Carried>) -> Self {
        Self::begin(Self::genesis_of(mode, carried), 1, rule)
    }

    fn genesis_of(mode: Mode, carried: Vec<Carried>) -> Genesis {
        let arms = |names: &[&str], width: usize| -> Vec<GenesisArm> {
            let arm = |name: &&str| GenesisArm {
                name: (*name).to_owned(),
                variants: vec![Uuid::from_u128(0xa); width],
            };
            names.iter().map(arm).collect()
        };
        let element = |element_id: Option<u128>, arms: Vec<GenesisArm>| {
            let mut weights_ppb = vec![PPB / u32::try_from(arms.len()).unwrap(); arms.len()];
            weights_ppb[0] += PPB - weights_ppb.iter().sum::<u32>();
            GenesisElement {
                element_id: element_id.map(Uuid::from_u128),
                arms,
                weights_ppb,
            }
        };
        let elements = match mode {
            Mode::Single => PerElement::One(element(None, arms(&["control", "variante-ñ"], 1))),
            Mode::Independent => PerElement::Many(vec![
                element(Some(1), arms(&["control", "b"], 1)),
                element(Some(2), arms(&["control", "b", "c"], 1)),
            ]),
            Mode::Factorial => {
                PerElement::One(element(None, arms(&["a a", "a b", "b a", "b b"], 2)))
            }
        };
        Genesis {
            origin: format!("o.example/exp/{EXPERIMENT}"),
            strategy: Strategy::Adaptive,
            policy: Policy::Thompson,
            prior: Prior {
                alpha: 1.0,
                beta: 1.0,
            },
            floor_ppb: 10_000_000,
            warm_up: 3,
            draw_key_commitment: draw_key().commitment(EXPERIMENT),
            max_snapshot_lag_us: LAG_US,
            config_sha256: Hash::of(b"configuration"),
            hypothesis_sha256: None,
            mode,
            elements,
            carried,
        }
    }

    /// A trail with nothing but its genesis, whose checkpoints are signed by so many keys.
    pub(crate) fn begin(genesis: Genesis, signers: usize, rule: Rule) -> Self {
        let shape = genesis.elements.as_slice();
        let mut counts: Vec<Vec<FinalCount>> = shape
            .iter()
            .map(|e| vec![FinalCount { n: 0, s: 0 }; e.arms.len()])
            .collect();
        for c in &genesis.carried {
            counts[usize::from(c.element)][usize::from(c.arm)] = FinalCount { n: c.n, s: c.s };
        }
        let mut world = Self {
            head: Head::new(EXPERIMENT),
            entries: Vec::new(),
            notes: Vec::new(),
            visitors: Vec::new(),
            counts,
            active: shape.iter().map(|e| vec![true; e.arms.len()]).collect(),
            weights: shape.iter().map(|e| e.weights_ppb.clone()).collect(),
            snapshot_seq: 1,
            now_us: START_US,
            sealed: false,
            incarnation: 1,
            signers,
            rule,
            genesis,
        };
        let genesis = world.genesis.clone();
        world.append(&genesis);
        world
    }

    pub(crate) fn independent(&self) -> bool {
        self.genesis.mode == Mode::Independent
    }

    /// Appends whatever it is told, true or not.
    pub(crate) fn append<T: TypedPayload>(&mut self, typed: &T) -> u64 {
        let payload = typed.to_payload().unwrap();
        let id = Uuid::from_u128(u128::from(self.head.size()) + 1);
        self.now_us += 1;
        self.entries
            .push(self.head.append(id, T::DECISION_TYPE, self.now_us, payload));
        self.head.size()
    }

    /// The assignment that the rule demands, of one element.
    pub(crate) fn decide(&self, name: &str, element: u16) -> Assignment {
        let visitor = PidKey::from_bytes([8; 32]).pseudonym(EXPERIMENT, name);
        let u64 = draw_key().draw(EXPERIMENT, visitor, element);
        let arm = choose(&self.weights[usize::from(element)], scale(u64)).unwrap();
        Assignment {
            visitor,
            element: self.independent().then_some(element),
            u64,
            r_ppb: scale(u64),
            arm: u16::try_from(arm).unwrap(),
            snapshot_seq: self.snapshot_seq,
        }
    }

    pub(crate) fn assign(&mut self, name: &str) {
        let mut arms = Vec::new();
        let mut first_seq = 0;
        let mut pseudonym = Pseudonym([0; 32]);
        for element in 0..u16::try_from(self.weights.len()).unwrap() {
            let assignment = self.decide(name, element);
            let sequence = self.append(&assignment);
            if element == 0 {
                first_seq = sequence;
            }
            pseudonym = assignment.visitor;
            arms.push(assignment.arm);
            self.counts[usize::from(element)][usize::from(assignment.arm)].n += 1;
        }
        self.visitors.push(Visitor {
            pseudonym,
            first_seq,
            arms,
        });
    }

    /// The conversion of a visitor by number.
    pub(crate) fn conversion(&self, index: usize) -> Conversion {
        let visitor = &self.visitors[index];
        Conversion {
            visitor: visitor.pseudonym,
            assignment_seq: visitor.first_seq,
            arms: if self.independent() {
                PerElement::Many(visitor.arms.clone())
            } else {
                PerElement::One(visitor.arms[0])
            },
            goal: "checkout \"€\"".to_owned(),
            value: 12.5,
        }
    }

    pub(crate) fn convert(&mut self, index: usize) {
        let conversion = self.conversion(index);
        self.append(&conversion);
        for (counts, arm) in self.counts.iter_mut().zip(conversion.arms.as_slice()) {
            counts[usize::from(*arm)].s += 1;
        }
    }

    /// The reallocation that the rule demands.
    pub(crate) fn reallocation(&self) -> Reallocation {
        let block = |element: usize| {
            let active = &self.active[element];
            let counts = self.counts[element].iter().zip(active);
            let arms: Vec<ArmState> = counts
                .clone()
                .map(|(count, active)| ArmState {
                    active: *active,
                    n: count.n,
                    s: count.s,
                    alpha: 1.0 + f64::from(u32::try_from(count.s).unwrap()),
                    beta: 1.0 + f64::from(u32::try_from(count.n - count.s).unwrap()),
                    p_best: 0.5,
                })
                .collect();
            let counts: Vec<ArmCount> = counts
                .map(|(count, active)| ArmCount {
                    n: count.n,
                    s: count.s,
                    active: *active,
                })
                .collect();
            Block {
                arms,
                weights_ppb: (self.rule)(&self.genesis, element, &counts).unwrap(),
            }
        };
        Reallocation {
            upto_seq: self.head.size(),
            method: Method::Thompson,
            elements: if self.independent() {
                PerElement::Many((0..self.weights.len()).map(block).collect())
            } else {
                PerElement::One(block(0))
            },
        }
    }

    pub(crate) fn reallocate(&mut self) {
        let reallocation = self.reallocation();
        self.snapshot_seq = self.append(&reallocation);
        self.weights = reallocation
            .elements
            .as_slice()
            .iter()
            .map(|b| b.weights_ppb.clone())
            .collect();
    }

    pub(crate) fn checkpoint_now(&self) -> Checkpoint {
        Checkpoint {
            origin: self.genesis.origin.clone(),
            size: self.head.size(),
            root: self.head.root(),
        }
    }

    fn sign(&self, checkpoint: &Checkpoint) -> String {
        checkpoint::sign(checkpoint, &signers()[..self.signers]).unwrap()
    }

    pub(crate) fn checkpoint(&mut self) {
        let note = self.sign(&self.checkpoint_now());
        self.notes.push((self.head.size(), Note::Checkpoint(note)));
    }

    /// Replaces a payload by its stub; the redaction entry is appended too.
    pub(crate) fn redact(&mut self, sequence: u64) {
        self.stub(sequence);
        self.append(&Redaction {
            sequence,
            reason: "asked for by the visitor".into(),
        });
    }

    pub(crate) fn stub(&mut self, sequence: u64) {
        let entry = &mut self.entries[usize::try_from(sequence).unwrap() - 1];
        entry.payload = entry.payload.redacted();
    }

    /// A restore that gives up a checkpoint of `lost` entries that nobody has any more.
    pub(crate) fn restore(&mut self, lost: u64) {
        let checkpoint = Checkpoint {
            origin: self.genesis.origin.clone(),
            size: self.head.size() + lost,
            root: Hash::of(b"lost"),
        };
        let note = self.sign(&checkpoint);
        self.notes.push((self.head.size(), Note::Abandoned(note)));
        self.incarnation += 1;
        self.append(&Restore {
            incarnation: self.incarnation,
            reason: "disk failure".into(),
            size: checkpoint.size,
            root: checkpoint.root,
        });
    }

    pub(crate) fn seal_payload(&self) -> Seal {
        Seal {
            elements: if self.independent() {
                PerElement::Many(self.counts.clone())
            } else {
                PerElement::One(self.counts[0].clone())
            },
            draw_key: *draw_key().expose(),
        }
    }

    pub(crate) fn seal(&mut self) {
        let seal = self.seal_payload();
        self.append(&seal);
        self.sealed = true;
    }

    pub(crate) fn bundle(&self) -> Vec<u8> {
        let mut out = Vec::new();
        bundle::header(&mut out, EXPERIMENT);
        if self.sealed {
            bundle::reveal(&mut out, &draw_key());
        }
        for (before, entry) in (0..).zip(&self.entries) {
            self.write_notes(&mut out, before);
            bundle::entry(&mut out, &entry.as_ref());
        }
        let size = u64::try_from(self.entries.len()).unwrap();
        self.write_notes(&mut out, size);
        bundle::end(&mut out, size);
        out
    }

    fn write_notes(&self, out: &mut Vec<u8>, size: u64) {
        for (_, note) in self.notes.iter().filter(|(at, _)| *at == size) {
            match note {
                Note::Checkpoint(note) => bundle::checkpoint(out, note),
                Note::Abandoned(note) => bundle::abandoned(out, note),
            }
        }
    }

    /// The sequences of all entries that name a visitor, by number.
    pub(crate) fn entries_of(&self, visitor: usize) -> Vec<u64> {
        let pseudonym = self.visitors[visitor].pseudonym.to_string();
        let about = self
            .entries
            .iter()
            .filter(|entry| entry.payload.as_str().contains(&pseudonym));
        about.map(|entry| entry.sequence_number).collect()
    }

    /// The last note that was signed.
    pub(crate) fn note(&self) -> String {
        match &self.notes.last().expect("a note").1 {
            Note::Checkpoint(note) | Note::Abandoned(note) => note.clone(),
        }
    }

    /// The inclusion proof of an entry in the tree of all entries.
    pub(crate) fn inclusion(&self, sequence: u64) -> Vec<Hash> {
        let leaves = self.entries.iter().map(|entry| entry.current_hash);
        merkle::inclusion_proof(sequence - 1, self.head.size(), leaves).unwrap()
    }

    /// The receipt of these entries under the last note, which must be of all entries.
    pub(crate) fn receipt(&self, sequences: &[u64]) -> Vec<u8> {
        let prove = |sequence: &u64| receipt::ProvedEntry {
            entry: self.entries[usize::try_from(*sequence).unwrap() - 1].as_ref(),
            proof: self.inclusion(*sequence),
        };
        let proved: Vec<_> = sequences.iter().map(prove).collect();
        receipt::write(EXPERIMENT, &proved, &self.note())
    }

    pub(crate) fn verify(&self) -> Result<Report, Failure> {
        bundle::verify(self.bundle().as_slice(), strict())
    }

    /// Makes the chain right again behind altered entries, as whoever writes the database could.
    pub(crate) fn rechain(&mut self) {
        self.head = Head::new(EXPERIMENT);
        for entry in &mut self.entries {
            let Entry {
                id,
                decision_type,
                created_at_us,
                payload,
                ..
            } = entry.clone();
            *entry = self.head.append(id, decision_type, created_at_us, payload);
        }
    }

    /// Replaces the payload of an entry.
    pub(crate) fn put(&mut self, sequence: usize, payload: Payload) {
        self.entries[sequence - 1].payload = payload;
    }

    /// A trail with some of everything: sealed, with a redaction, a restore and checkpoints.
    pub(crate) fn full(mode: Mode) -> Self {
        let mut world = Self::new(mode);
        world.checkpoint();
        for number in 0..12 {
            world.assign(&format!("visitor-{number}"));
        }
        for index in [1, 4, 5] {
            world.convert(index);
        }
        world.reallocate();
        world.checkpoint();
        world.restore(3);
        for number in 12..20 {
            world.assign(&format!("visitor-{number}"));
        }
        world.convert(13);
        let last = world.active.len() - 1;
        world.active[last][1] = false;
        world.reallocate();
        world.assign("ビジター-7");
        world.convert(20);
        world.redact(3);
        let conversion = world
            .entries
            .iter()
            .rfind(|e| e.decision_type.as_str() == "conversion");
        let conversion = conversion.unwrap().sequence_number;
        world.redact(conversion);
        world.reallocate();
        world.seal();
        world.checkpoint();
        world
    }
}
