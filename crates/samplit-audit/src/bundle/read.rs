//! Reading a bundle line by line and verifying it on the way.

use std::{
    borrow::Cow,
    io::{BufRead, Read as _},
};

use uuid::Uuid;

use super::{ENTRY, MAX_LINE, VERSION};
use crate::{
    DrawKey, Hash, envelope, genesis_hash,
    payload::ALGORITHM,
    sj1::{Error, cursor::Cursor},
    verify::{Failure, FailureKind, Options, Report, Verifier},
};

/// Verifies a bundle in one pass.
///
/// Memory stays bounded but for a few dozen bytes per visitor, and only if decisions are replayed.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(mut input: impl BufRead, options: Options) -> Result<Report, Failure> {
    let mut buffer = Vec::with_capacity(MAX_LINE);
    let mut number = 0_u64;
    let mut reader = Reader {
        options: Some(options),
        verifier: None,
        revealed: false,
        ended: false,
    };
    loop {
        number += 1;
        buffer.clear();
        let read = input
            .by_ref()
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut buffer);
        let located = |what: &str| Failure {
            kind: FailureKind::Malformed,
            sequence: None,
            what: format!("line {number}: {what}"),
        };
        match read {
            Err(error) => {
                return Err(Failure {
                    kind: FailureKind::Unread,
                    ..located(&format!("cannot be read: {error}"))
                });
            }
            Ok(0) => break,
            Ok(_) => {}
        }
        let Some(line) = buffer.strip_suffix(b"\n") else {
            return Err(located("too long, or without its line feed"));
        };
        reader.line(line).map_err(|wrong| match wrong {
            Wrong::Line(error) => located(&error.to_string()),
            Wrong::Trail(failure) => failure,
        })?;
    }
    let missing = |what: &str| Failure {
        kind: FailureKind::Malformed,
        sequence: None,
        what: format!("line {number}: {what}"),
    };
    let Some(verifier) = reader.verifier.filter(|_| reader.ended) else {
        return Err(missing("the bundle ends without its end line"));
    };
    if verifier.is_sealed() != reader.revealed {
        return Err(missing("a reveal line and a seal entry go together"));
    }
    verifier.finish()
}

/// What can be wrong with a line: its form, or what it says about the trail.
enum Wrong {
    Line(Error),
    Trail(Failure),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Line(error)
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Trail(failure)
    }
}

struct Reader {
    /// Until the header is read.
    options: Option<Options>,
    verifier: Option<Verifier>,
    revealed: bool,
    ended: bool,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), Wrong> {
        if let Err(error) = std::str::from_utf8(line) {
            return Err(Error {
                at: error.valid_up_to(),
                what: "not UTF-8",
            }
            .into());
        }
        let mut cursor = Cursor::new(line);
        let Some(verifier) = self.verifier.as_mut() else {
            let experiment_id = read_header(&mut cursor)?;
            self.verifier = self
                .options
                .take()
                .map(|options| Verifier::new(experiment_id, options));
            return Ok(());
        };
        if self.ended {
            return Ok(cursor.fail("a line after the end")?);
        }
        if cursor.take(envelope::FIRST_KEY) {
            let id = verifier.experiment_id();
            let (entry, ()) = envelope::read(&mut cursor, id, ENTRY, |_| Ok(()))?;
            cursor.end()?;
            return Ok(verifier.push_checked(&entry)?);
        }
        if cursor.take(b"{\"kind\":\"checkpoint\",\"note\":") {
            return Ok(verifier.push_checkpoint(&read_note(&mut cursor)?)?);
        }
        if cursor.take(b"{\"kind\":\"abandoned\",\"note\":") {
            return Ok(verifier.push_abandoned(&read_note(&mut cursor)?)?);
        }
        if cursor.take(b"{\"draw_key_hex\":") {
            let key = cursor.hex()?;
            cursor.expect(b",\"kind\":\"reveal\"}")?;
            cursor.end()?;
            if self.revealed || verifier.size() > 0 {
                return Ok(cursor.fail("a reveal line that is not the second line")?);
            }
            self.revealed = true;
            return Ok(verifier.reveal(&DrawKey::from_bytes(key))?);
        }
        cursor.expect(b"{\"count\":")?;
        let count: u64 = cursor.number()?;
        cursor.expect(b",\"kind\":\"end\"}")?;
        cursor.end()?;
        self.ended = true;
        if count == verifier.size() {
            Ok(())
        } else {
            Err(verifier
                .fail(
                    FailureKind::Integrity,
                    "the number of entries is not that of the end line",
                )
                .into())
        }
    }
}

fn read_header(cursor: &mut Cursor<'_>) -> Result<Uuid, Error> {
    cursor.expect(b"{\"alg\":")?;
    if cursor.string()? != ALGORITHM {
        return cursor.fail("not the algorithm samplit-audit-v1");
    }
    cursor.expect(b",\"experiment_id\":")?;
    let experiment_id = cursor.uuid()?;
    cursor.expect(b",\"genesis\":")?;
    if Hash(cursor.hex()?) != genesis_hash(experiment_id) {
        return cursor.fail("not the genesis hash of the experiment");
    }
    cursor.expect(b",\"kind\":\"bundle\",\"version\":")?;
    if cursor.number::<u64>()? != VERSION {
        return cursor.fail("an unknown version of the layout");
    }
    cursor.expect(b"}")?;
    cursor.end()?;
    Ok(experiment_id)
}

fn read_note<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Error> {
    let note = cursor.string()?;
    cursor.expect(b"}")?;
    cursor.end()?;
    Ok(note)
}
