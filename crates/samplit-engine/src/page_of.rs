//! Lists by page, newest first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use samplit_domain::{Violations, from_micros, to_micros};
use time::OffsetDateTime;
use uuid::Uuid;

/// The longest page.
const MAX_LIMIT: usize = 100;

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the page before ended: its `next_cursor`; `None`: from the start.
    pub cursor: Option<String>,
    /// How many, 1 to 100.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct PageOf<T> {
    /// The items.
    pub data: Vec<T>,
    /// Where the next page starts; `None`: this was the last.
    pub next_cursor: Option<String>,
}

/// When an item was made, and its id: what the list is ordered by.
type Place = (OffsetDateTime, Uuid);

impl Page {
    /// Where the page before ended, unless a rule is broken: one of the page, or one of `violations`,
    /// which the caller noted already.
    pub(crate) fn before(&self, mut violations: Violations) -> Result<Option<Place>, Violations> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            violations.add("/limit", "out_of_range", "must be between 1 and 100");
        }
        let before = self.cursor.as_deref().and_then(decode);
        if self.cursor.is_some() && before.is_none() {
            violations.add("/cursor", "malformed", "is not a cursor of this list");
        }
        violations.into_result(before)
    }

    /// One more than asked for tells whether there is a next page.
    pub(crate) fn limit_and_one(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// The page, of at most [`Self::limit_and_one`] items.
    pub(crate) fn of<T>(&self, mut data: Vec<T>, place: impl Fn(&T) -> Place) -> PageOf<T> {
        let more = data.len() > self.limit;
        data.truncate(self.limit);
        let last = data.last().filter(|_| more);
        let next_cursor = last.map(|item| encode(place(item)));
        PageOf { data, next_cursor }
    }
}

fn encode((at, id): Place) -> String {
    let mut bytes = to_micros(at).to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(cursor: &str) -> Option<Place> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (at, id) = bytes.split_first_chunk::<8>()?;
    let id = Uuid::from_slice(id).ok()?;
    Some((from_micros(i64::from_be_bytes(*at)), id))
}

#[cfg(test)]
mod tests {
    use samplit_domain::from_micros;
    use uuid::Uuid;

    use super::{decode, encode};

    #[test]
    fn a_cursor_comes_back_and_nonsense_does_not() {
        let place = (from_micros(1_767_323_045_678_901), Uuid::from_u128(7));
        assert_eq!(decode(&encode(place)), Some(place));
        for nonsense in ["", "x", "AAAA", "!!", &"A".repeat(100)] {
            assert_eq!(decode(nonsense), None, "{nonsense}");
        }
    }
}
