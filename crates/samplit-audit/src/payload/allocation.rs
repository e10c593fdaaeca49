//! Payloads that count: new weights with the counts they came from, and the final counts.

use super::{
    PerElement, TypedPayload, expect_index, read_weights, words, write_index, write_weights,
};
use crate::{
    DecisionType,
    sj1::{Error, cursor::Cursor, write},
};

words! {
    /// How the weights of a reallocation came about.
    Method {
        /// The uniform split of the warm-up.
        Uniform => "uniform",
        /// Thompson sampling.
        Thompson => "thompson",
        /// Top-two Thompson sampling.
        TopTwo => "top_two",
        /// The configured weights.
        Fixed => "fixed",
    }
}

/// What a reallocation knows of one arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmState {
    /// Whether the arm can still be drawn.
    pub active: bool,
    /// Assignments, those carried over included.
    pub n: u64,
    /// Conversions, those carried over included.
    pub s: u64,
    /// Posterior successes.
    pub alpha: f64,
    /// Posterior failures.
    pub beta: f64,
    /// Probability that this arm is the best.
    pub p_best: f64,
}

/// The arms of one draw and their new weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The arms by index.
    pub arms: Vec<ArmState>,
    /// One weight per arm in parts per billion, together exactly 10^9; 0 for an inactive arm.
    pub weights_ppb: Vec<u32>,
}

/// New weights for every draw of the experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reallocation {
    /// The last entry that was counted.
    pub upto_seq: u64,
    /// How the weights came about.
    pub method: Method,
    /// The blocks in element order.
    pub elements: PerElement<Block>,
}

impl TypedPayload for Reallocation {
    const DECISION_TYPE: DecisionType = DecisionType::Reallocation;

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match &self.elements {
            PerElement::One(block) => {
                out.extend_from_slice(b"{\"arms\":");
                write_states(out, &block.arms);
            }
            PerElement::Many(blocks) => {
                out.extend_from_slice(b"{\"elements\":");
                write::array(out, blocks, |out, index, block| {
                    out.extend_from_slice(b"{\"arms\":");
                    write_states(out, &block.arms);
                    out.extend_from_slice(b",\"element\":");
                    write_index(out, index);
                    out.extend_from_slice(b",\"weights_ppb\":");
                    write_weights(out, &block.weights_ppb);
                    out.push(b'}');
                });
            }
        }
        out.extend_from_slice(b",\"method\":");
        write::string(out, self.method.as_str());
        out.extend_from_slice(b",\"upto_seq\":");
        write::uint(out, self.upto_seq);
        if let PerElement::One(block) = &self.elements {
            out.extend_from_slice(b",\"weights_ppb\":");
            write_weights(out, &block.weights_ppb);
        }
        out.push(b'}');
    }

    fn parse(canonical: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(canonical);
        let mut only = None;
        let mut many = Vec::new();
        if cursor.take(b"{\"arms\":") {
            only = Some(read_states(&mut cursor)?);
        } else {
            cursor.expect(b"{\"elements\":")?;
            many = cursor.array(|cursor, index| {
                cursor.expect(b"{\"arms\":")?;
                let arms = read_states(cursor)?;
                cursor.expect(b",\"element\":")?;
                expect_index(cursor, index)?;
                let block = read_block(cursor, arms)?;
                cursor.expect(b"}")?;
                Ok(block)
            })?;
        }
        cursor.expect(b",\"method\":")?;
        let method = Method::read(&mut cursor)?;
        cursor.expect(b",\"upto_seq\":")?;
        let upto_seq = cursor.number()?;
        let elements = match only {
            Some(arms) => PerElement::One(read_block(&mut cursor, arms)?),
            None => PerElement::Many(many),
        };
        cursor.expect(b"}")?;
        cursor.end()?;
        Ok(Self {
            upto_seq,
            method,
            elements,
        })
    }
}

/// Reads the weights that close a block.
fn read_block(cursor: &mut Cursor<'_>, arms: Vec<ArmState>) -> Result<Block, Error> {
    cursor.expect(b",\"weights_ppb\":")?;
    let weights_ppb = read_weights(cursor, arms.len())?;
    if arms
        .iter()
        .zip(&weights_ppb)
        .any(|(arm, weight)| !arm.active && *weight > 0)
    {
        return cursor.fail("an inactive arm with a weight");
    }
    Ok(Block { arms, weights_ppb })
}

fn write_states(out: &mut Vec<u8>, arms: &[ArmState]) {
    write::array(out, arms, |out, index, arm| {
        out.push(b'{');
        if !arm.active {
            out.extend_from_slice(b"\"active\":false,");
        }
        out.extend_from_slice(b"\"alpha_f64\":");
        write::real(out, arm.alpha);
        out.extend_from_slice(b",\"arm\":");
        write_index(out, index);
        out.extend_from_slice(b",\"beta_f64\":");
        write::real(out, arm.beta);
        out.extend_from_slice(b",\"n\":");
        write::uint(out, arm.n);
        out.extend_from_slice(b",\"p_best_f64\":");
        write::real(out, arm.p_best);
        out.extend_from_slice(b",\"s\":");
        write::uint(out, arm.s);
        out.push(b'}');
    });
}

fn read_states(cursor: &mut Cursor<'_>) -> Result<Vec<ArmState>, Error> {
    cursor.array(|cursor, index| {
        cursor.expect(b"{")?;
        let active = !cursor.take(b"\"active\":false,");
        cursor.expect(b"\"alpha_f64\":")?;
        let alpha = cursor.real()?;
        cursor.expect(b",\"arm\":")?;
        expect_index(cursor, index)?;
        cursor.expect(b",\"beta_f64\":")?;
        let beta = cursor.real()?;
        cursor.expect(b",\"n\":")?;
        let n = cursor.number()?;
        cursor.expect(b",\"p_best_f64\":")?;
        let p_best = cursor.real()?;
        if !(0.0..=1.0).contains(&p_best) {
            return cursor.fail("a probability outside 0 to 1");
        }
        cursor.expect(b",\"s\":")?;
        let s = cursor.number()?;
        cursor.expect(b"}")?;
        Ok(ArmState {
            active,
            n,
            s,
            alpha,
            beta,
            p_best,
        })
    })
}

/// The final counts of one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalCount {
    /// Assignments, those carried over included.
    pub n: u64,
    /// Conversions, those carried over included.
    pub s: u64,
}

/// The experiment is over: final counts, and the draw key in the open.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal {
    /// The counts by arm, in element order.
    pub elements: PerElement<Vec<FinalCount>>,
    /// The draw key, revealed.
    pub draw_key: [u8; 32],
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal")
            .field("elements", &self.elements)
            .finish_non_exhaustive()
    }
}

impl TypedPayload for Seal {
    const DECISION_TYPE: DecisionType = DecisionType::Seal;

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        if let PerElement::One(counts) = &self.elements {
            out.extend_from_slice(b"\"arms\":");
            write_counts(out, counts);
            out.push(b',');
        }
        out.extend_from_slice(b"\"draw_key_hex\":");
        write::hex(out, &self.draw_key);
        if let PerElement::Many(elements) = &self.elements {
            out.extend_from_slice(b",\"elements\":");
            write::array(out, elements, |out, index, counts| {
                out.extend_from_slice(b"{\"arms\":");
                write_counts(out, counts);
                out.extend_from_slice(b",\"element\":");
                write_index(out, index);
                out.push(b'}');
            });
        }
        out.push(b'}');
    }

    fn parse(canonical: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(canonical);
        cursor.expect(b"{")?;
        let mut only = None;
        if cursor.take(b"\"arms\":") {
            only = Some(read_counts(&mut cursor)?);
            cursor.expect(b",")?;
        }
        cursor.expect(b"\"draw_key_hex\":")?;
        let draw_key = cursor.hex()?;
        let elements = match only {
            Some(counts) => PerElement::One(counts),
            None => {
                cursor.expect(b",\"elements\":")?;
                PerElement::Many(cursor.array(|cursor, index| {
                    cursor.expect(b"{\"arms\":")?;
                    let counts = read_counts(cursor)?;
                    cursor.expect(b",\"element\":")?;
                    expect_index(cursor, index)?;
                    cursor.expect(b"}")?;
                    Ok(counts)
                })?)
            }
        };
        cursor.expect(b"}")?;
        cursor.end()?;
        Ok(Self { elements, draw_key })
    }
}

fn write_counts(out: &mut Vec<u8>, counts: &[FinalCount]) {
    write::array(out, counts, |out, index, count| {
        out.extend_from_slice(b"{\"arm\":");
        write_index(out, index);
        out.extend_from_slice(b",\"n\":");
        write::uint(out, count.n);
        out.extend_from_slice(b",\"s\":");
        write::uint(out, count.s);
        out.push(b'}');
    });
}

fn read_counts(cursor: &mut Cursor<'_>) -> Result<Vec<FinalCount>, Error> {
    cursor.array(|cursor, index| {
        cursor.expect(b"{\"arm\":")?;
        expect_index(cursor, index)?;
        cursor.expect(b",\"n\":")?;
        let n = cursor.number()?;
        cursor.expect(b",\"s\":")?;
        let s = cursor.number()?;
        cursor.expect(b"}")?;
        Ok(FinalCount { n, s })
    })
}
