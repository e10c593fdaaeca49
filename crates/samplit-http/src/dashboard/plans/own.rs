//! `/plan`: one's own plan, and what is used of it.

use askama::Template;
use hyper::StatusCode;
use samplit_domain::{Resource, Role, WarningLevel};
use samplit_engine::PlanUse;

use super::{Warnings, noun, plan_of, state};
use crate::{
    call::Call,
    dashboard::{
        format,
        layout::{Frame, Section, html},
    },
    problem::Problem,
    response::Reply,
};

#[derive(Template)]
#[template(path = "dashboard/plans/own.html")]
struct PlanPage {
    frame: Frame,
    of: PlanUse,
    warnings: Warnings,
    bars: Vec<Bar>,
}

/// How much of one thing is used.
struct Bar {
    resource: Resource,
    used: u64,
    limit: Option<u64>,
    /// What colour it is shown in.
    tone: &'static str,
}

impl Bar {
    /// The filled part of 1,000.
    fn filled(&self) -> u64 {
        let of = |limit: u64| u128::from(self.used.min(limit)) * 1_000 / u128::from(limit.max(1));
        let filled = self.limit.map(of).unwrap_or_default();
        u64::try_from(filled).unwrap_or(1_000)
    }

    fn label(&self) -> String {
        let noun = noun(self.resource);
        let (first, rest) = noun.split_at(1);
        first.to_uppercase() + rest
    }
}

/// `GET /plan`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let of = call.app.engine.plan_use(&who.principal).await?;
    let limits = of.limits();
    let bar = |&resource: &Resource| {
        let mut warned = of.warnings.iter();
        let warning = warned.find(|warning| warning.resource == resource);
        Bar {
            resource,
            used: of.usage.of(resource),
            limit: limits.of(resource),
            tone: match warning.map(|warning| warning.level) {
                None => "good",
                Some(WarningLevel::Near) => "warn",
                Some(WarningLevel::Reached) => "bad",
            },
        }
    };
    // A client has the one seat that it sits on.
    let counts_seats = who.user.role == Role::Admin;
    let shown = Resource::ALL.iter();
    let shown = shown.filter(|resource| **resource != Resource::Seats || counts_seats);
    let page = PlanPage {
        frame: Frame::new(&call, &who, Section::Plan, "Plan"),
        warnings: Warnings::new(of.warnings.clone(), false),
        bars: shown.map(bar).collect(),
        of,
    };
    Ok(html(StatusCode::OK, &page))
}

#[cfg(test)]
mod tests {
    use samplit_domain::Resource;

    use super::Bar;

    #[test]
    fn a_bar_is_never_longer_than_its_frame() {
        let filled = |used, limit| {
            let bar = Bar {
                resource: Resource::Seats,
                used,
                limit,
                tone: "good",
            };
            bar.filled()
        };
        assert_eq!(filled(1, Some(4)), 250);
        assert_eq!(filled(9, Some(4)), 1_000);
        assert_eq!(filled(u64::MAX, Some(u64::MAX)), 1_000);
        assert_eq!((filled(3, Some(0)), filled(3, None)), (0, 0));
    }
}
