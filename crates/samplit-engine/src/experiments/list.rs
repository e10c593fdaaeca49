//! Lists of experiments, by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use samplit_domain::{Experiment, ExperimentId, Status, Violations, from_micros, to_micros};
use samplit_store::experiments::{self, Listing};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Engine, Error, Principal, Scope};

/// The longest page.
const MAX_LIMIT: usize = 100;

/// Which experiments to list.
#[derive(Clone, Debug, Default)]
pub struct ExperimentFilter {
    /// With this status only.
    pub status: Option<Status>,
    /// With this text in the name only, whatever the case.
    pub query: Option<String>,
}

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

impl Engine {
    /// Lists the experiments that `who` may see, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a limit out of range or a cursor that
    /// is none of ours.
    pub async fn experiments(
        &self,
        who: &Principal,
        filter: &ExperimentFilter,
        page: &Page,
    ) -> Result<PageOf<Experiment>, Error> {
        who.require(Scope::Read)?;
        let mut violations = Violations::default();
        if !(1..=MAX_LIMIT).contains(&page.limit) {
            violations.add("/limit", "out_of_range", "must be between 1 and 100");
        }
        if let Some(query) = &filter.query {
            violations.length("/q", query, 255);
        }
        let before = page.cursor.as_deref().and_then(decode);
        if page.cursor.is_some() && before.is_none() {
            violations.add("/cursor", "malformed", "is not a cursor of this list");
        }
        violations.into_result(())?;

        let listing = Listing {
            user_id: (who.role != crate::Role::Admin)
                .then_some(who.user_id)
                .flatten(),
            status: filter.status,
            query: filter.query.clone(),
            before,
            // One more than asked for tells whether there is a next page.
            limit: i64::try_from(page.limit + 1).unwrap_or(i64::MAX),
        };
        let list = self.core.database.run(|session| {
            let listing = listing.clone();
            Box::pin(async move { experiments::list(session, &listing).await })
        });
        let mut data = list.await?;
        let more = data.len() > page.limit;
        data.truncate(page.limit);
        let last = data.last().filter(|_| more);
        let next_cursor = last.map(|experiment| encode(experiment.created_at, experiment.id));
        Ok(PageOf { data, next_cursor })
    }
}

fn encode(at: OffsetDateTime, id: ExperimentId) -> String {
    let mut bytes = to_micros(at).to_be_bytes().to_vec();
    bytes.extend_from_slice(id.0.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(cursor: &str) -> Option<(OffsetDateTime, ExperimentId)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (at, id) = bytes.split_first_chunk::<8>()?;
    let id = Uuid::from_slice(id).ok()?;
    Some((from_micros(i64::from_be_bytes(*at)), ExperimentId(id)))
}

#[cfg(test)]
mod tests {
    use samplit_domain::{ExperimentId, from_micros};
    use uuid::Uuid;

    use super::{decode, encode};

    #[test]
    fn a_cursor_comes_back_and_nonsense_does_not() {
        let place = (
            from_micros(1_767_323_045_678_901),
            ExperimentId(Uuid::from_u128(7)),
        );
        assert_eq!(decode(&encode(place.0, place.1)), Some(place));
        for nonsense in ["", "x", "AAAA", "!!", &"A".repeat(100)] {
            assert_eq!(decode(nonsense), None, "{nonsense}");
        }
    }
}
