//! Plans: what an account may have, how much of it is used, and the subscription that says which plan it is on.

use time::{OffsetDateTime, UtcOffset};

use crate::{SubscriptionId, UserId, Violations, words};

/// The plan without limits, which everybody has who has no other one.
pub const SELF_HOSTED: &str = "self_hosted";

/// The longest name of a plan, in characters (`VARCHAR(50)`).
const MAX_NAME: usize = 50;

/// The longest title and the longest id of a price, in characters (`VARCHAR(255)`).
const MAX_TEXT: usize = 255;

/// The largest limit of experiments and of seats.
const MAX_COUNT: u64 = 1_000_000;

/// The largest limit of visitors.
const MAX_VISITORS: u64 = 1_000_000_000_000;

words! {
    /// What a plan limits.
    Resource {
        /// Experiments that run at the same time.
        ActiveExperiments => "active_experiments",
        /// Visitors who began to take part in an experiment since the month began.
        MonthlyVisitors => "monthly_visitors",
        /// Accounts that can come in.
        Seats => "seats",
    }
}

words! {
    /// How a subscription stands, in the words of Stripe. None of them stops anything by itself.
    SubscriptionStatus {
        /// It is not paid for yet.
        Trialing => "trialing",
        /// It is paid.
        Active => "active",
        /// A payment failed and is tried again.
        PastDue => "past_due",
        /// Payments failed and are not tried again.
        Unpaid => "unpaid",
        /// Its first payment is awaited.
        Incomplete => "incomplete",
        /// Its first payment never came.
        IncompleteExpired => "incomplete_expired",
        /// It is over.
        Canceled => "canceled",
        /// It rests, because a trial ended without a means of payment.
        Paused => "paused",
    }
}

impl SubscriptionStatus {
    /// Whether it is over, for good: another one may begin.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

/// What an account may have; `None`: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Experiments that run at the same time.
    pub active_experiments: Option<u64>,
    /// New visitors a month.
    pub monthly_visitors: Option<u64>,
    /// Accounts that can come in.
    pub seats: Option<u64>,
}

impl Limits {
    /// The limit of one resource.
    #[must_use]
    pub const fn of(&self, resource: Resource) -> Option<u64> {
        match resource {
            Resource::ActiveExperiments => self.active_experiments,
            Resource::MonthlyVisitors => self.monthly_visitors,
            Resource::Seats => self.seats,
        }
    }

    /// Whether anything is limited.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// What `usage` comes near to, or has reached.
    #[must_use]
    pub fn warnings(&self, usage: &Usage) -> Vec<LimitWarning> {
        let warning = |&resource: &Resource| {
            let (used, limit) = (usage.of(resource), self.of(resource)?);
            // Nobody does without the first seat, and what is not used warns of nothing.
            let least = u64::from(resource == Resource::Seats);
            let level = WarningLevel::of(used, limit).filter(|_| used > least)?;
            Some(LimitWarning {
                resource,
                level,
                used,
                limit,
            })
        };
        Resource::ALL.iter().filter_map(warning).collect()
    }
}

/// How much an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Experiments that run.
    pub active_experiments: u64,
    /// New visitors since the month began.
    pub monthly_visitors: u64,
    /// Accounts that can come in.
    pub seats: u64,
}

impl Usage {
    /// How much there is of one resource.
    #[must_use]
    pub const fn of(&self, resource: Resource) -> u64 {
        match resource {
            Resource::ActiveExperiments => self.active_experiments,
            Resource::MonthlyVisitors => self.monthly_visitors,
            Resource::Seats => self.seats,
        }
    }
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarningLevel {
    /// 80 % or more.
    Near,
    /// All of it or more.
    Reached,
}

impl WarningLevel {
    /// In percent of the limit.
    #[must_use]
    pub const fn percent(self) -> u8 {
        match self {
            Self::Near => 80,
            Self::Reached => 100,
        }
    }

    /// The highest level that `used` of `limit` has come to.
    fn of(used: u64, limit: u64) -> Option<Self> {
        let has_come_to = |level: &Self| {
            u128::from(used) * 100 >= u128::from(limit) * u128::from(level.percent())
        };
        [Self::Reached, Self::Near].into_iter().find(has_come_to)
    }
}

/// Much of a limit is used, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitWarning {
    /// Of what.
    pub resource: Resource,
    /// How much.
    pub level: WarningLevel,
    /// How much there is.
    pub used: u64,
    /// How much there may be.
    pub limit: u64,
}

/// What somebody can subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What programs call it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it allows.
    pub limits: Limits,
    /// The price at Stripe that stands for it.
    pub provider_price_id: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
}

impl Plan {
    /// Checks what an admin may choose. The name stands in the path and is called `{name}`.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        violations.key("{name}", &self.name);
        if self.name.chars().count() > MAX_NAME {
            let detail = format!("has more than {MAX_NAME} characters");
            violations.add("{name}", "too_long", detail);
        }
        violations.text("/title", &self.title, MAX_TEXT);
        if let Some(price) = &self.provider_price_id {
            violations.text("/provider_price_id", price, MAX_TEXT);
        }
        for (pointer, limit, most) in [
            (
                "/max_active_experiments",
                self.limits.active_experiments,
                MAX_COUNT,
            ),
            (
                "/max_monthly_visitors",
                self.limits.monthly_visitors,
                MAX_VISITORS,
            ),
            ("/max_seats", self.limits.seats, MAX_COUNT),
        ] {
            if limit.is_some_and(|limit| limit > most) {
                violations.add(pointer, "out_of_range", format!("must be at most {most}"));
            }
            if limit.is_some() && self.name == SELF_HOSTED {
                let detail = "is not limited by the plan that everybody has who has no other one";
                violations.add(pointer, "conflict", detail);
            }
        }
        violations.into_result(())
    }
}

/// Which plan an account is on, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose.
    pub user_id: UserId,
    /// The name of the plan.
    pub plan: String,
    /// How it stands.
    pub status: SubscriptionStatus,
    /// What the plan allows.
    pub limits: Limits,
    /// The subscriber at Stripe.
    pub provider_customer_id: Option<String>,
    /// The subscription at Stripe; `None`: an admin set it by hand.
    pub provider_subscription_id: Option<String>,
    /// Start of what is paid for.
    pub current_period_start: Option<OffsetDateTime>,
    /// End of what is paid for.
    pub current_period_end: Option<OffsetDateTime>,
    /// When its owner cancelled.
    pub cancelled_at: Option<OffsetDateTime>,
    /// The time of what Stripe said last of the subscription itself.
    pub provider_updated_at: Option<OffsetDateTime>,
    /// The time of what Stripe said last of how it stands, which invoices say, too.
    pub provider_status_at: Option<OffsetDateTime>,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

impl Subscription {
    /// Whether Stripe says what becomes of it, and nobody else.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.provider_subscription_id.is_some() && !self.status.is_over()
    }

    /// Takes in that the subscription is `status` as of `told`, if nothing newer was said. What is over never
    /// comes back, so that this counts whatever was said since. That the first payment is awaited is said
    /// before all else, so that of one moment anything else counts.
    pub fn take_status(&mut self, status: SubscriptionStatus, told: Told) {
        let at = told.at;
        let is_newest = told.is_news(self.provider_status_at);
        let is_behind = status == SubscriptionStatus::Incomplete
            && self.provider_status_at.is_some_and(|known| at <= known);
        let is_news = (is_newest && !is_behind) || status.is_over();
        if is_news && !self.status.is_over() {
            self.status = status;
            self.provider_status_at = Some(at);
        }
    }

    /// Takes in what an invoice of `at` says of it. That one was paid ends what a failed payment began; a
    /// trial goes on.
    pub fn take_payment(&mut self, is_paid: bool, at: OffsetDateTime) {
        use SubscriptionStatus as S;
        let status = match (is_paid, self.status) {
            (true, S::PastDue | S::Unpaid | S::Incomplete) => S::Active,
            (false, S::Active | S::Trialing) => S::PastDue,
            (_, other) => other,
        };
        self.take_status(status, Told::at(at));
    }
}

/// When Stripe said something. Its times are whole seconds, so that several things are said at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: OffsetDateTime,
    /// Whether it is that the subscription began, which comes before all else of the same moment.
    pub is_beginning: bool,
}

impl Told {
    /// Something that is not the beginning.
    #[must_use]
    pub const fn at(at: OffsetDateTime) -> Self {
        Self {
            at,
            is_beginning: false,
        }
    }

    /// Whether it counts beside what is known since `known`: of one moment what arrives last does, but for
    /// the beginning.
    #[must_use]
    pub fn is_news(self, known: Option<OffsetDateTime>) -> bool {
        known.is_none_or(|known| self.at > known || (self.at == known && !self.is_beginning))
    }
}

/// When the month of `now` began, in UTC.
#[must_use]
pub fn month_of(now: OffsetDateTime) -> OffsetDateTime {
    let now = now.to_offset(UtcOffset::UTC);
    let first = now.date().replace_day(1);
    first.map_or(now, |first| first.midnight().assume_utc())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::{
        LimitWarning, Limits, Plan, Resource, SELF_HOSTED, Subscription, SubscriptionStatus as S,
        Told, Usage, WarningLevel, month_of,
    };
    use crate::{SubscriptionId, UserId};

    #[test]
    fn a_month_begins_at_midnight_in_utc() {
        let cases = [
            (
                datetime!(2026-02-28 23:59:59.999 UTC),
                datetime!(2026-02-01 0:00 UTC),
            ),
            (
                datetime!(2026-03-01 0:00 UTC),
                datetime!(2026-03-01 0:00 UTC),
            ),
            (
                datetime!(2026-03-01 0:30 +1),
                datetime!(2026-02-01 0:00 UTC),
            ),
        ];
        for (now, month) in cases {
            assert_eq!(month_of(now), month, "{now}");
        }
    }

    #[test]
    fn a_warning_comes_at_four_fifths_and_at_all() {
        let level = |used, limit| {
            let limits = Limits {
                monthly_visitors: Some(limit),
                ..Limits::default()
            };
            let usage = Usage {
                monthly_visitors: used,
                ..Usage::default()
            };
            let warnings = limits.warnings(&usage);
            warnings.first().map(|warning| warning.level.percent())
        };
        let cases = [
            (0, 0, None),
            (1, 0, Some(100)),
            (799, 1_000, None),
            (800, 1_000, Some(80)),
            (999, 1_000, Some(80)),
            (1_000, 1_000, Some(100)),
            (u64::MAX, u64::MAX, Some(100)),
            (4, 5, Some(80)),
        ];
        for (used, limit, expected) in cases {
            assert_eq!(level(used, limit), expected, "{used} of {limit}");
        }
    }

    #[test]
    fn the_only_seat_is_no_news() {
        let limits = Limits {
            seats: Some(1),
            active_experiments: Some(1),
            ..Limits::default()
        };
        let usage = Usage {
            seats: 1,
            active_experiments: 1,
            ..Usage::default()
        };
        let expected = LimitWarning {
            resource: Resource::ActiveExperiments,
            level: WarningLevel::Reached,
            used: 1,
            limit: 1,
        };
        assert_eq!(limits.warnings(&usage), [expected]);
        let usage = Usage { seats: 2, ..usage };
        assert_eq!(limits.warnings(&usage).len(), 2);
        assert_eq!(Limits::default().warnings(&usage), []);
    }

    #[test]
    fn a_plan_has_a_name_a_title_and_limits_that_can_be_stored() {
        let plan = |name: &str, title: &str, limit: Option<u64>| Plan {
            name: name.to_owned(),
            title: title.to_owned(),
            limits: Limits {
                active_experiments: limit,
                ..Limits::default()
            },
            provider_price_id: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        };
        let broken = |plan: Plan| {
            let violations = plan.check().err().unwrap_or_default();
            let broken = violations.0.into_iter();
            broken
                .map(|v| format!("{} {}", v.pointer, v.code))
                .collect::<Vec<_>>()
        };
        assert_eq!(broken(plan("team", "Team", Some(0))), [""; 0]);
        assert_eq!(broken(plan(SELF_HOSTED, "Ours", None)), [""; 0]);
        let limited = broken(plan(SELF_HOSTED, "Ours", Some(3)));
        assert_eq!(limited, ["/max_active_experiments conflict"]);
        let large = broken(plan("team", "", Some(u64::MAX)));
        assert_eq!(
            large,
            ["/title required", "/max_active_experiments out_of_range"]
        );
        assert_eq!(broken(plan("Team!", "Team", None)), ["{name} malformed"]);
        assert_eq!(
            broken(plan(&"a".repeat(51), "T", None)),
            ["{name} too_long"]
        );
    }

    #[test]
    fn older_news_and_news_of_the_dead_change_nothing() {
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds);
        let told = |seconds| Told::at(at(seconds));
        let begun = |seconds| Told {
            is_beginning: true,
            ..told(seconds)
        };
        let mut subscription = Subscription {
            id: SubscriptionId(Uuid::nil()),
            user_id: UserId(Uuid::nil()),
            plan: "team".to_owned(),
            status: S::Incomplete,
            limits: Limits::default(),
            provider_customer_id: None,
            provider_subscription_id: Some("sub_1".to_owned()),
            current_period_start: None,
            current_period_end: None,
            cancelled_at: None,
            provider_updated_at: None,
            provider_status_at: None,
            created_at: at(0),
            updated_at: at(0),
        };
        let mut after = |step: &dyn Fn(&mut Subscription)| {
            step(&mut subscription);
            subscription.status
        };
        assert_eq!(after(&|s| s.take_payment(true, at(5))), S::Active);
        assert_eq!(after(&|s| s.take_status(S::Incomplete, told(4))), S::Active);
        // What is said of the same second is no step back.
        assert_eq!(after(&|s| s.take_status(S::Incomplete, told(5))), S::Active);
        assert_eq!(after(&|s| s.take_status(S::Trialing, begun(5))), S::Active);
        assert_eq!(after(&|s| s.take_payment(false, at(5))), S::PastDue);
        assert_eq!(after(&|s| s.take_payment(true, at(4))), S::PastDue);
        assert_eq!(after(&|s| s.take_status(S::Trialing, told(6))), S::Trialing);
        assert_eq!(after(&|s| s.take_payment(true, at(7))), S::Trialing);
        // An invoice of after the end was faster than the end.
        assert_eq!(after(&|s| s.take_payment(false, at(9))), S::PastDue);
        assert_eq!(after(&|s| s.take_status(S::Canceled, told(8))), S::Canceled);
        assert_eq!(after(&|s| s.take_status(S::Active, told(9))), S::Canceled);
        assert_eq!(after(&|s| s.take_payment(true, at(9))), S::Canceled);
    }
}
