//! Payloads by which an operator owns up: something was redacted, something was restored.

use super::TypedPayload;
use crate::{
    DecisionType, Hash,
    sj1::{Error, cursor::Cursor, write},
};

/// The payload of an earlier entry was replaced by its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// The entry whose payload was replaced.
    pub sequence: u64,
    /// Why.
    pub reason: String,
}

impl TypedPayload for Redaction {
    const DECISION_TYPE: DecisionType = DecisionType::Redaction;

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"reason\":");
        write::string(out, &self.reason);
        out.extend_from_slice(b",\"sequence\":");
        write::uint(out, self.sequence);
        out.push(b'}');
    }

    fn parse(canonical: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(canonical);
        cursor.expect(b"{\"reason\":")?;
        let reason = cursor.string()?.into_owned();
        cursor.expect(b",\"sequence\":")?;
        let sequence = cursor.number()?;
        cursor.expect(b"}")?;
        cursor.end()?;
        Ok(Self { sequence, reason })
    }
}

/// The database was restored from a backup; what an exported checkpoint showed is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The incarnation that begins with this entry, counted from 1 at genesis.
    pub incarnation: u32,
    /// Why.
    pub reason: String,
    /// Size of the largest checkpoint that is given up.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

impl TypedPayload for Restore {
    const DECISION_TYPE: DecisionType = DecisionType::Restore;

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"incarnation\":");
        write::uint(out, u64::from(self.incarnation));
        out.extend_from_slice(b",\"reason\":");
        write::string(out, &self.reason);
        out.extend_from_slice(b",\"root_hex\":");
        write::hex(out, &self.root.0);
        out.extend_from_slice(b",\"size\":");
        write::uint(out, self.size);
        out.push(b'}');
    }

    fn parse(canonical: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(canonical);
        cursor.expect(b"{\"incarnation\":")?;
        let incarnation = cursor.number()?;
        cursor.expect(b",\"reason\":")?;
        let reason = cursor.string()?.into_owned();
        cursor.expect(b",\"root_hex\":")?;
        let root = Hash(cursor.hex()?);
        cursor.expect(b",\"size\":")?;
        let size = cursor.number()?;
        cursor.expect(b"}")?;
        cursor.end()?;
        Ok(Self {
            incarnation,
            reason,
            size,
            root,
        })
    }
}
