//! The two payloads of the hot path: a visitor was assigned, a visitor converted.

use super::{PerElement, TypedPayload, expect_index, write_index};
use crate::{
    DecisionType, Pseudonym,
    sj1::{Error, cursor::Cursor, write},
};

/// A visitor was given an arm. One entry per element for a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Who.
    pub visitor: Pseudonym,
    /// The element, in mode `independent`; absent in the modes that draw once.
    pub element: Option<u16>,
    /// The uniform 64 bits of the draw.
    pub u64: u64,
    /// The draw in parts per billion, `floor(u64 * 10^9 / 2^64)`.
    pub r_ppb: u32,
    /// The arm that the draw chose.
    pub arm: u16,
    /// The genesis or reallocation entry whose weights were used.
    pub snapshot_seq: u64,
}

impl Assignment {
    /// The index of the draw: the element, 0 where there is one draw only.
    #[must_use]
    pub fn draw(&self) -> u16 {
        self.element.unwrap_or(0)
    }
}

impl TypedPayload for Assignment {
    const DECISION_TYPE: DecisionType = DecisionType::Assignment;

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"arm\":");
        write::uint(out, u64::from(self.arm));
        out.extend_from_slice(b",\"draw\":");
        write::uint(out, u64::from(self.draw()));
        if let Some(element) = self.element {
            out.extend_from_slice(b",\"element\":");
            write::uint(out, u64::from(element));
        }
        out.extend_from_slice(b",\"r_ppb\":");
        write::uint(out, u64::from(self.r_ppb));
        out.extend_from_slice(b",\"snapshot_seq\":");
        write::uint(out, self.snapshot_seq);
        out.extend_from_slice(b",\"u64_hex\":");
        write::hex(out, &self.u64.to_be_bytes());
        out.extend_from_slice(b",\"visitor\":");
        write::hex(out, &self.visitor.0);
        out.push(b'}');
    }

    fn parse(canonical: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(canonical);
        cursor.expect(b"{\"arm\":")?;
        let arm = cursor.number()?;
        cursor.expect(b",\"draw\":")?;
        let draw: u16 = cursor.number()?;
        let element = if cursor.take(b",\"element\":") {
            expect_index(&mut cursor, usize::from(draw))?;
            Some(draw)
        } else if draw == 0 {
            None
        } else {
            return cursor.fail("a draw other than 0 without its element");
        };
        cursor.expect(b",\"r_ppb\":")?;
        let r_ppb = cursor.number()?;
        cursor.expect(b",\"snapshot_seq\":")?;
        let snapshot_seq = cursor.number()?;
        cursor.expect(b",\"u64_hex\":")?;
        let u64 = u64::from_be_bytes(cursor.hex()?);
        cursor.expect(b",\"visitor\":")?;
        let visitor = Pseudonym(cursor.hex()?);
        cursor.expect(b"}")?;
        cursor.end()?;
        Ok(Self {
            visitor,
            element,
            u64,
            r_ppb,
            arm,
            snapshot_seq,
        })
    }
}

/// A visitor converted. At most one entry per visitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// Who.
    pub visitor: Pseudonym,
    /// The visitor's first assignment entry; 0 = assigned before the trail began.
    pub assignment_seq: u64,
    /// The arm that the visitor has, of each element where each draws for itself.
    pub arms: PerElement<u16>,
    /// The goal, by name.
    pub goal: String,
    /// The value of the conversion, finite and not negative.
    pub value: f64,
}

impl TypedPayload for Conversion {
    const DECISION_TYPE: DecisionType = DecisionType::Conversion;

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match &self.arms {
            PerElement::One(arm) => {
                out.extend_from_slice(b"{\"arm\":");
                write_index(out, usize::from(*arm));
            }
            PerElement::Many(arms) => {
                out.extend_from_slice(b"{\"arms\":");
                write::array(out, arms, |out, _, arm| write_index(out, usize::from(*arm)));
            }
        }
        out.extend_from_slice(b",\"assignment_seq\":");
        write::uint(out, self.assignment_seq);
        out.extend_from_slice(b",\"goal\":");
        write::string(out, &self.goal);
        out.extend_from_slice(b",\"value_f64\":");
        write::real(out, self.value);
        out.extend_from_slice(b",\"visitor\":");
        write::hex(out, &self.visitor.0);
        out.push(b'}');
    }

    fn parse(canonical: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(canonical);
        let arms = if cursor.take(b"{\"arm\":") {
            PerElement::One(cursor.number()?)
        } else {
            cursor.expect(b"{\"arms\":")?;
            PerElement::Many(cursor.array(|cursor, _| cursor.number())?)
        };
        cursor.expect(b",\"assignment_seq\":")?;
        let assignment_seq = cursor.number()?;
        cursor.expect(b",\"goal\":")?;
        let goal = cursor.string()?.into_owned();
        cursor.expect(b",\"value_f64\":")?;
        let value = cursor.real()?;
        if value.is_sign_negative() {
            return cursor.fail("a negative value");
        }
        cursor.expect(b",\"visitor\":")?;
        let visitor = Pseudonym(cursor.hex()?);
        cursor.expect(b"}")?;
        cursor.end()?;
        Ok(Self {
            visitor,
            assignment_seq,
            arms,
            goal,
            value,
        })
    }
}
