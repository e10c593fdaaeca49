//! Places for answers that last: so many at once, and so many of them for one account, so that nobody
//! takes all of them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use samplit_engine::Principal;
use uuid::Uuid;

use crate::problem::Problem;

/// Places for one kind of answer.
#[derive(Debug)]
pub(crate) struct Slots {
    all: usize,
    each: usize,
    /// Whoever belongs to no account is one more.
    taken: Mutex<HashMap<Option<Uuid>, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    of: Option<Uuid>,
}

impl Slots {
    /// `all` places, of which one account may have `each`.
    pub(crate) fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            each,
            taken: Mutex::default(),
        })
    }

    /// A place for `who`.
    ///
    /// # Errors
    /// 503 `code`, where all are taken, or those of the account; `what` says of what.
    pub(crate) fn take(
        self: &Arc<Self>,
        who: &Principal,
        (code, what): (&'static str, &str),
    ) -> Result<Slot, Problem> {
        let of = who.user_id.map(|id| id.0);
        let mut taken = self.taken.lock();
        let whose = if taken.get(&of).is_some_and(|taken| *taken >= self.each) {
            "one account"
        } else if taken.values().sum::<usize>() >= self.all {
            "this server"
        } else {
            *taken.entry(of).or_default() += 1;
            return Ok(Slot {
                slots: Arc::clone(self),
                of,
            });
        };
        let detail = format!("as many {what} as {whose} may have at once are open");
        Err(Problem::unavailable(code, &detail, 5))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        if let Some(left) = taken.get_mut(&self.of) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use samplit_domain::UserId;
    use samplit_engine::Principal;
    use uuid::Uuid;

    use super::Slots;

    #[test]
    fn one_account_leaves_room_for_others_and_what_ends_makes_room() {
        let slots = Slots::new(5, 2);
        let who = |n| Principal {
            user_id: Some(UserId(Uuid::from_u128(n))),
            ..Principal::system()
        };
        let take = |n| slots.take(&who(n), ("full", "places"));
        let detail = |n| take(n).unwrap_err().detail;
        let mut held = vec![take(1).unwrap(), take(1).unwrap()];
        assert!(detail(1).contains("one account"), "{}", detail(1));
        held.extend([take(2).unwrap(), take(2).unwrap(), take(3).unwrap()]);
        assert!(detail(4).contains("this server"), "{}", detail(4));
        drop(held.remove(0));
        held.push(take(1).unwrap());
        assert!(take(1).is_err());
        drop(held);
        assert!(slots.taken.lock().is_empty());
    }
}
