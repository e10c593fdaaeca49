//! The first entry of a trail: what is tested, by which rule, and the commitment to the draw key.

use uuid::Uuid;

use super::{
    PerElement, TypedPayload, expect_index, read_weights, words, write_index, write_weights,
};
use crate::{
    DecisionType, Hash,
    sj1::{Error, cursor::Cursor, write},
};

/// The name of this format, the value of `alg`.
pub const ALGORITHM: &str = "samplit-audit-v1";

words! {
    /// How weights come about.
    Strategy {
        /// Weights follow the conversions.
        Adaptive => "adaptive",
        /// Weights stay as configured.
        Fixed => "fixed",
    }
}

words! {
    /// The rule that turns counts into weights.
    Policy {
        /// Thompson sampling.
        Thompson => "thompson",
        /// Top-two Thompson sampling.
        TopTwo => "top_two",
        /// The configured weights.
        Fixed => "fixed",
    }
}

words! {
    /// What one draw chooses among.
    Mode {
        /// The variants of the only element.
        Single => "single",
        /// The variants of one element; each element draws for itself.
        Independent => "independent",
        /// The combinations of all elements.
        Factorial => "factorial",
    }
}

/// The Beta prior of every arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Prior successes, > 0.
    pub alpha: f64,
    /// Prior failures, > 0.
    pub beta: f64,
}

/// One arm: a variant, or in mode `factorial` one variant of each element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisArm {
    /// Its name.
    pub name: String,
    /// Its variant; in mode `factorial` one per element, in element order.
    pub variants: Vec<Uuid>,
}

/// The arms of one draw and the weights before the first reallocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisElement {
    /// The element; present iff the mode is `independent`.
    pub element_id: Option<Uuid>,
    /// The arms by index.
    pub arms: Vec<GenesisArm>,
    /// One weight per arm in parts per billion, together exactly 10^9.
    pub weights_ppb: Vec<u32>,
}

/// Counts that a database had before its trail began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Index of the element.
    pub element: u16,
    /// Index of the arm.
    pub arm: u16,
    /// Assignments.
    pub n: u64,
    /// Conversions, at most `n`.
    pub s: u64,
}

/// The payload of sequence 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Genesis {
    /// The line that checkpoints of this trail open with.
    pub origin: String,
    /// How weights come about.
    pub strategy: Strategy,
    /// The rule that turns counts into weights.
    pub policy: Policy,
    /// The prior of every arm.
    pub prior: Prior,
    /// The least weight of an active arm, in parts per billion.
    pub floor_ppb: u32,
    /// Assignments of every arm before weights leave the uniform split.
    pub warm_up: u64,
    /// Commitment to the draw key.
    pub draw_key_commitment: Hash,
    /// How long an assignment may still use a superseded snapshot, in microseconds.
    pub max_snapshot_lag_us: u64,
    /// Hash of the configuration of the experiment.
    pub config_sha256: Hash,
    /// Hash of the registered hypothesis, where one was registered.
    pub hypothesis_sha256: Option<Hash>,
    /// What one draw chooses among; `independent` iff `elements` is `Many`.
    pub mode: Mode,
    /// Arms and weights of every draw.
    pub elements: PerElement<GenesisElement>,
    /// Counts from before the trail, in order of element and arm; empty unless adopted.
    pub carried: Vec<Carried>,
}

impl TypedPayload for Genesis {
    const DECISION_TYPE: DecisionType = DecisionType::Genesis;

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"alg\":");
        write::string(out, ALGORITHM);
        if let PerElement::One(only) = &self.elements {
            out.extend_from_slice(b",\"arms\":");
            write_arms(out, &only.arms, self.mode);
        }
        if !self.carried.is_empty() {
            out.extend_from_slice(b",\"carried\":");
            write::array(out, &self.carried, |out, _, carried| {
                write_carried(out, carried)
            });
        }
        out.extend_from_slice(b",\"config_sha256\":");
        write::hex(out, &self.config_sha256.0);
        out.extend_from_slice(b",\"draw_key_commitment\":");
        write::hex(out, &self.draw_key_commitment.0);
        if let PerElement::Many(elements) = &self.elements {
            out.extend_from_slice(b",\"elements\":");
            write::array(out, elements, |out, index, element| {
                out.extend_from_slice(b"{\"arms\":");
                write_arms(out, &element.arms, self.mode);
                out.extend_from_slice(b",\"element\":");
                write_index(out, index);
                out.extend_from_slice(b",\"element_id\":");
                write::uuid(out, element.element_id.unwrap_or_default());
                out.extend_from_slice(b",\"weights_ppb\":");
                write_weights(out, &element.weights_ppb);
                out.push(b'}');
            });
        }
        out.extend_from_slice(b",\"floor_ppb\":");
        write::uint(out, u64::from(self.floor_ppb));
        if let Some(hypothesis) = self.hypothesis_sha256 {
            out.extend_from_slice(b",\"hypothesis_sha256\":");
            write::hex(out, &hypothesis.0);
        }
        out.extend_from_slice(b",\"max_snapshot_lag_us\":");
        write::uint(out, self.max_snapshot_lag_us);
        out.extend_from_slice(b",\"mode\":");
        write::string(out, self.mode.as_str());
        out.extend_from_slice(b",\"origin\":");
        write::string(out, &self.origin);
        out.extend_from_slice(b",\"policy\":");
        write::string(out, self.policy.as_str());
        out.extend_from_slice(b",\"prior\":{\"alpha_f64\":");
        write::real(out, self.prior.alpha);
        out.extend_from_slice(b",\"beta_f64\":");
        write::real(out, self.prior.beta);
        out.extend_from_slice(b"},\"strategy\":");
        write::string(out, self.strategy.as_str());
        out.extend_from_slice(b",\"warm_up\":");
        write::uint(out, self.warm_up);
        if let PerElement::One(only) = &self.elements {
            out.extend_from_slice(b",\"weights_ppb\":");
            write_weights(out, &only.weights_ppb);
        }
        out.push(b'}');
    }

    fn parse(canonical: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(canonical);
        cursor.expect(b"{\"alg\":")?;
        if cursor.string()? != ALGORITHM {
            return cursor.fail("not the algorithm samplit-audit-v1");
        }
        let only = if cursor.take(b",\"arms\":") {
            Some(read_arms(&mut cursor)?)
        } else {
            None
        };
        let carried = if cursor.take(b",\"carried\":") {
            cursor.array(|cursor, _| read_carried(cursor))?
        } else {
            Vec::new()
        };
        cursor.expect(b",\"config_sha256\":")?;
        let config_sha256 = Hash(cursor.hex()?);
        cursor.expect(b",\"draw_key_commitment\":")?;
        let draw_key_commitment = Hash(cursor.hex()?);
        let many = if only.is_none() {
            cursor.expect(b",\"elements\":")?;
            cursor.array(read_element)?
        } else {
            Vec::new()
        };
        cursor.expect(b",\"floor_ppb\":")?;
        let floor_ppb = cursor.number()?;
        let hypothesis_sha256 = if cursor.take(b",\"hypothesis_sha256\":") {
            Some(Hash(cursor.hex()?))
        } else {
            None
        };
        cursor.expect(b",\"max_snapshot_lag_us\":")?;
        let max_snapshot_lag_us = cursor.number()?;
        cursor.expect(b",\"mode\":")?;
        let mode = Mode::read(&mut cursor)?;
        cursor.expect(b",\"origin\":")?;
        let origin = cursor.string()?.into_owned();
        cursor.expect(b",\"policy\":")?;
        let policy = Policy::read(&mut cursor)?;
        cursor.expect(b",\"prior\":{\"alpha_f64\":")?;
        let alpha = cursor.real()?;
        cursor.expect(b",\"beta_f64\":")?;
        let prior = Prior {
            alpha,
            beta: cursor.real()?,
        };
        cursor.expect(b"},\"strategy\":")?;
        let strategy = Strategy::read(&mut cursor)?;
        cursor.expect(b",\"warm_up\":")?;
        let warm_up = cursor.number()?;
        let elements = match only {
            Some(arms) => {
                cursor.expect(b",\"weights_ppb\":")?;
                let weights_ppb = read_weights(&mut cursor, arms.len())?;
                PerElement::One(GenesisElement {
                    element_id: None,
                    arms,
                    weights_ppb,
                })
            }
            None => PerElement::Many(many),
        };
        cursor.expect(b"}")?;
        cursor.end()?;
        let genesis = Self {
            origin,
            strategy,
            policy,
            prior,
            floor_ppb,
            warm_up,
            draw_key_commitment,
            max_snapshot_lag_us,
            config_sha256,
            hypothesis_sha256,
            mode,
            elements,
            carried,
        };
        genesis.check().map_err(|what| Error { at: 0, what })?;
        // An empty `carried` or a `variant_id` in mode factorial would be a second spelling.
        let mut again = Vec::with_capacity(canonical.len());
        genesis.write_canonical(&mut again);
        if again != canonical {
            return cursor.fail("keys that do not fit the mode");
        }
        Ok(genesis)
    }
}

impl Genesis {
    /// The rules that concern more than one key.
    fn check(&self) -> Result<(), &'static str> {
        let independent = matches!(self.elements, PerElement::Many(_));
        if independent != (self.mode == Mode::Independent) {
            return Err("elements that do not fit the mode");
        }
        let elements = self.elements.as_slice();
        if elements.is_empty() || elements.iter().any(|element| element.arms.is_empty()) {
            return Err("no arms");
        }
        let arms = || elements.iter().flat_map(|element| &element.arms);
        if self.mode != Mode::Factorial && arms().any(|arm| arm.variants.len() != 1) {
            return Err("an arm that is not one variant");
        }
        if self.origin.is_empty() || self.origin.contains('\n') {
            return Err("an origin that is not one line");
        }
        if self.prior.alpha <= 0.0 || self.prior.beta <= 0.0 {
            return Err("a prior that is not positive");
        }
        if !self.carried.is_sorted_by_key(|c| (c.element, c.arm))
            || self
                .carried
                .windows(2)
                .any(|w| (w[0].element, w[0].arm) == (w[1].element, w[1].arm))
        {
            return Err("carried counts out of order");
        }
        let fits = |carried: &Carried| {
            elements
                .get(usize::from(carried.element))
                .is_some_and(|element| usize::from(carried.arm) < element.arms.len())
                && carried.s <= carried.n
        };
        if !self.carried.iter().all(fits) {
            return Err("carried counts of no arm, or more conversions than assignments");
        }
        Ok(())
    }
}

fn write_arms(out: &mut Vec<u8>, arms: &[GenesisArm], mode: Mode) {
    write::array(out, arms, |out, index, arm| {
        out.extend_from_slice(b"{\"arm\":");
        write_index(out, index);
        out.extend_from_slice(b",\"name\":");
        write::string(out, &arm.name);
        if mode == Mode::Factorial {
            out.extend_from_slice(b",\"variant_ids\":");
            write::array(out, &arm.variants, |out, _, id| write::uuid(out, *id));
        } else {
            out.extend_from_slice(b",\"variant_id\":");
            write::uuid(out, arm.variants.first().copied().unwrap_or_default());
        }
        out.push(b'}');
    });
}

fn read_arms(cursor: &mut Cursor<'_>) -> Result<Vec<GenesisArm>, Error> {
    cursor.array(|cursor, index| {
        cursor.expect(b"{\"arm\":")?;
        expect_index(cursor, index)?;
        cursor.expect(b",\"name\":")?;
        let name = cursor.string()?.into_owned();
        let variants = if cursor.take(b",\"variant_ids\":") {
            cursor.array(|cursor, _| cursor.uuid())?
        } else {
            cursor.expect(b",\"variant_id\":")?;
            vec![cursor.uuid()?]
        };
        cursor.expect(b"}")?;
        Ok(GenesisArm { name, variants })
    })
}

fn read_element(cursor: &mut Cursor<'_>, index: usize) -> Result<GenesisElement, Error> {
    cursor.expect(b"{\"arms\":")?;
    let arms = read_arms(cursor)?;
    cursor.expect(b",\"element\":")?;
    expect_index(cursor, index)?;
    cursor.expect(b",\"element_id\":")?;
    let element_id = Some(cursor.uuid()?);
    cursor.expect(b",\"weights_ppb\":")?;
    let weights_ppb = read_weights(cursor, arms.len())?;
    cursor.expect(b"}")?;
    Ok(GenesisElement {
        element_id,
        arms,
        weights_ppb,
    })
}

fn write_carried(out: &mut Vec<u8>, carried: &Carried) {
    out.extend_from_slice(b"{\"arm\":");
    write_index(out, usize::from(carried.arm));
    out.extend_from_slice(b",\"element\":");
    write_index(out, usize::from(carried.element));
    out.extend_from_slice(b",\"n\":");
    write::uint(out, carried.n);
    out.extend_from_slice(b",\"s\":");
    write::uint(out, carried.s);
    out.push(b'}');
}

fn read_carried(cursor: &mut Cursor<'_>) -> Result<Carried, Error> {
    cursor.expect(b"{\"arm\":")?;
    let arm = cursor.number()?;
    cursor.expect(b",\"element\":")?;
    let element = cursor.number()?;
    cursor.expect(b",\"n\":")?;
    let n = cursor.number()?;
    cursor.expect(b",\"s\":")?;
    let s = cursor.number()?;
    cursor.expect(b"}")?;
    Ok(Carried { element, arm, n, s })
}
