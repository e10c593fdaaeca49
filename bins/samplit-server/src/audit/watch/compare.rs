//! Whether what is shown may follow what was kept.

use samplit_audit::{Checkpoint, Hash, merkle};

/// From the checkpoint that was kept to the one that is shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// There is none to compare with.
    First,
    /// It is the same.
    Unchanged,
    /// It is larger, and a proof has to show that it begins with the other.
    Grown { from: &'a Checkpoint },
    /// It cannot follow.
    Alarm(&'static str),
}

/// `experiment` is the id that was asked for; the last part of the origin of its trail.
pub(super) fn step<'a>(
    kept: Option<&'a Checkpoint>,
    shown: &Checkpoint,
    experiment: &str,
) -> Step<'a> {
    if shown.origin.rsplit('/').next() != Some(experiment) {
        return Step::Alarm("the checkpoint of another experiment is shown");
    }
    let Some(kept) = kept else {
        return Step::First;
    };
    if kept.origin != shown.origin {
        Step::Alarm("FORK: the checkpoint of another trail is shown")
    } else if shown.size < kept.size {
        Step::Alarm("SHRUNK: entries are missing that were there")
    } else if shown.size > kept.size {
        Step::Grown { from: kept }
    } else if shown.root == kept.root {
        Step::Unchanged
    } else {
        Step::Alarm("FORK: another history of the same length is shown")
    }
}

/// Whether `proof` shows that `shown` begins with `kept`.
pub(super) fn proves(kept: &Checkpoint, shown: &Checkpoint, proof: &[Hash]) -> bool {
    merkle::verify_consistency(kept.size, kept.root, shown.size, shown.root, proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0197f0a0-0000-7000-8000-000000000001";

    fn leaves(size: u64, salt: u8) -> Vec<Hash> {
        let leaf = |index: u64| {
            let salt = if index < 3 { 0 } else { salt };
            Hash::of(&[&index.to_be_bytes()[..], &[salt]].concat())
        };
        (0..size).map(leaf).collect()
    }

    fn checkpoint(size: u64, salt: u8) -> Checkpoint {
        Checkpoint {
            origin: format!("example.org/exp/{ID}"),
            size,
            root: merkle::root(leaves(size, salt)),
        }
    }

    #[test]
    fn only_the_same_or_more_may_follow() {
        let kept = checkpoint(5, 0);
        let check = |shown: &Checkpoint| match step(Some(&kept), shown, ID) {
            Step::First => "first",
            Step::Unchanged => "unchanged",
            Step::Grown { from } => {
                assert_eq!(from, &kept);
                "grown"
            }
            Step::Alarm(what) => what.split([':', ' ']).next().unwrap(),
        };
        assert_eq!(check(&kept), "unchanged");
        assert_eq!(check(&checkpoint(6, 0)), "grown");
        assert_eq!(check(&checkpoint(4, 0)), "SHRUNK");
        assert_eq!(check(&checkpoint(5, 1)), "FORK");
        let origin = format!("other.org/exp/{ID}");
        assert_eq!(
            check(&Checkpoint {
                origin,
                ..kept.clone()
            }),
            "FORK"
        );
        let origin = "example.org/exp/0197f0a0-0000-7000-8000-000000000002".to_owned();
        let other = Checkpoint {
            origin,
            ..kept.clone()
        };
        assert_eq!(check(&other), "the");
        assert_eq!(step(None, &kept, ID), Step::First);
        assert!(matches!(step(None, &other, ID), Step::Alarm(_)));
    }

    #[test]
    fn a_proof_holds_for_the_history_that_was_kept_only() {
        let proof = merkle::consistency_proof(5, 9, leaves(9, 0)).unwrap();
        assert!(proves(&checkpoint(5, 0), &checkpoint(9, 0), &proof));
        assert!(!proves(&checkpoint(5, 1), &checkpoint(9, 0), &proof));
        assert!(!proves(&checkpoint(5, 0), &checkpoint(9, 1), &proof));
        assert!(!proves(&checkpoint(5, 0), &checkpoint(9, 0), &proof[1..]));
    }
}
