//! Cursors: behind what the next row of an export stands.

use uuid::Uuid;

use super::Export;

/// Behind what the next row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The visitors older than the trail, from this id on.
    Older(Uuid),
    /// The visitors of the trail behind this entry.
    Trail(i64),
    /// The conversions behind this entry and row.
    Conversion(i64, Uuid),
    /// This arm of this element under this snapshot.
    Arm(i64, usize, usize),
}

impl Place {
    /// Before the first row.
    pub(super) const fn start(export: Export) -> Self {
        match export {
            Export::Assignments => Self::Older(Uuid::nil()),
            Export::Conversions => Self::Conversion(-1, Uuid::nil()),
            Export::Results | Export::Timeline => Self::behind_snapshot(0),
        }
    }

    /// Behind every arm of a snapshot.
    pub(super) const fn behind_snapshot(sequence: i64) -> Self {
        Self::Arm(sequence, usize::MAX, usize::MAX)
    }

    /// Reads what [`Self::cursor`] wrote.
    pub(super) fn parse(export: Export, cursor: &str) -> Option<Self> {
        let sequence = |text: &str| text.parse().ok().filter(|n: &i64| *n >= 0);
        match export {
            Export::Assignments => match cursor.strip_prefix("old-") {
                Some(id) => id.parse().ok().map(behind),
                None => sequence(cursor).map(Self::Trail),
            },
            Export::Conversions => {
                let (entry, id) = cursor.split_once('-')?;
                Some(Self::Conversion(sequence(entry)?, id.parse().ok()?))
            }
            Export::Results | Export::Timeline => {
                let mut parts = cursor.split('-');
                let place = Self::Arm(
                    sequence(parts.next()?)?,
                    parts.next()?.parse().ok()?,
                    parts.next()?.parse().ok()?,
                );
                parts.next().is_none().then_some(place)
            }
        }
    }
}

/// Behind which snapshot one has to read on, when the rows up to this one were read.
pub(super) fn snapshot_before(sequence: i64, element: usize) -> i64 {
    if element == usize::MAX {
        sequence
    } else {
        (sequence - 1).max(0)
    }
}

/// The place behind an older visitor.
pub(super) fn behind(id: Uuid) -> Place {
    id.as_u128()
        .checked_add(1)
        .map_or(Place::Trail(0), |next| Place::Older(Uuid::from_u128(next)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Export, Place, behind};

    #[test]
    fn a_cursor_comes_back_and_nonsense_does_not() {
        let id = Uuid::from_u128(7);
        let old = format!("old-{id}");
        let conversion = format!("12-{id}");
        for (export, cursor, place) in [
            (Export::Assignments, "12", Place::Trail(12)),
            (Export::Assignments, &old, Place::Older(Uuid::from_u128(8))),
            (Export::Conversions, &conversion, Place::Conversion(12, id)),
            (Export::Timeline, "12-0-3", Place::Arm(12, 0, 3)),
            (Export::Results, "12-1-0", Place::Arm(12, 1, 0)),
        ] {
            assert_eq!(Place::parse(export, cursor), Some(place), "{cursor}");
        }
        for export in [
            Export::Assignments,
            Export::Conversions,
            Export::Timeline,
            Export::Results,
        ] {
            for cursor in [
                "", "x", "-1", "old-", "1-", "1-2", "1-2-3-4", "1-x-3", "1--",
            ] {
                assert_eq!(Place::parse(export, cursor), None, "{export:?} {cursor}");
            }
        }
        assert_eq!(behind(Uuid::max()), Place::Trail(0));
    }
}
