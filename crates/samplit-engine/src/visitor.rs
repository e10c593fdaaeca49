//! A visitor as the engine knows it: the digest, the traffic gate, the remembered row.

use std::sync::Arc;

use ring::digest::{Context, SHA256};
use samplit_domain::{ArmSet, AssignmentId, Experiment, ExperimentId, VariantId};
use time::OffsetDateTime;

/// SHA-256 over a version, the experiment and the visitor: the key of the cache and the number
/// that the traffic gate compares.
///
/// Not keyed on purpose: whether somebody takes part must come out the same on every replica and
/// after any restore, and says nothing about the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn new(experiment: ExperimentId, visitor: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"samplit/visitor/v1\n");
        context.update(experiment.0.as_bytes());
        context.update(visitor.as_bytes());
        Self(
            context
                .finish()
                .as_ref()
                .try_into()
                .expect("SHA-256 gives 32 bytes"),
        )
    }

    /// Whether a visitor takes part when `share` of all do. Growing the share only adds visitors.
    pub(crate) fn takes_part(&self, share: f64) -> bool {
        let (first, _) = self.0.split_first_chunk::<8>().expect("32 bytes hold 8");
        // The upper 53 bits: a uniform number in [0, 1) that an f64 holds exactly.
        let bits = u64::from_be_bytes(*first) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let place = bits as f64 / (1_u64 << 53) as f64;
        place < share
    }
}

/// What is remembered of a visitor who has a row.
#[derive(Clone, Debug)]
pub(crate) struct KnownVisitor {
    pub(crate) assignment_id: AssignmentId,
    /// One variant per element, in element order.
    pub(crate) variants: Arc<[VariantId]>,
    pub(crate) assigned_at: OffsetDateTime,
    /// In which incarnation of the trail the row was seen.
    pub(crate) incarnation: i32,
}

/// The variants of a row, one per element. Where a row older than us says nothing of an element,
/// its visitor has seen the control.
pub(crate) fn stored_variants(
    experiment: &Experiment,
    first: Option<VariantId>,
    by_element: Option<&serde_json::Value>,
) -> Vec<VariantId> {
    let variants = experiment
        .elements
        .iter()
        .enumerate()
        .filter_map(|(index, element)| {
            let named = by_element
                .and_then(|map| map.get(element.id.to_string()))
                .and_then(|id| id.as_str())
                .and_then(|id| id.parse().ok());
            let own = first.filter(|_| index == 0);
            named
                .or(own)
                .or_else(|| element.control().map(|control| control.id))
        });
    variants.collect()
}

/// The arm of each draw that shows `variants`; control where none does.
pub(crate) fn arms(sets: &[ArmSet], variants: &[VariantId]) -> Vec<u16> {
    let mut rest = variants;
    let arms = sets.iter().map(|set| {
        let width = set
            .arms
            .first()
            .map_or(0, |arm| arm.variants.len())
            .min(rest.len());
        let (shown, others) = rest.split_at(width);
        rest = others;
        let arm = set.position(shown).unwrap_or_else(|| set.control());
        u16::try_from(arm).expect("a draw has at most 64 arms")
    });
    arms.collect()
}

/// The variants that the chosen arms show, one per element.
pub(crate) fn variants(sets: &[ArmSet], arms: &[u16]) -> Arc<[VariantId]> {
    let shown = sets
        .iter()
        .zip(arms)
        .filter_map(|(set, arm)| set.arms.get(usize::from(*arm)));
    shown.flat_map(|arm| arm.variants.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use samplit_domain::ExperimentId;
    use uuid::Uuid;

    use super::Digest;

    #[test]
    fn the_gate_lets_its_share_in_and_only_ever_adds() {
        let experiment = ExperimentId(Uuid::from_u128(1));
        let digests: Vec<Digest> = (0..10_000)
            .map(|i| Digest::new(experiment, &format!("visitor-{i}")))
            .collect();
        let inside = |share: f64| digests.iter().filter(|d| d.takes_part(share)).count();
        assert_eq!(inside(0.0), 0);
        assert_eq!(inside(1.0), 10_000);
        // Four standard deviations of a binomial with n = 10,000.
        assert!((inside(0.3) as i64 - 3_000).abs() < 184, "{}", inside(0.3));
        assert!(
            digests
                .iter()
                .all(|d| !d.takes_part(0.3) || d.takes_part(0.31))
        );
    }
}
