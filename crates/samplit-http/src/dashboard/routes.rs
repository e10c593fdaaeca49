//! The routes of the dashboard. A refusal of theirs is a page as well.

use hyper::Method;
use samplit_domain::{FunnelTransition, Transition};

use super::{
    activity, backtest, door, exclusions, experiment, experiments, funnels, installations, join,
    keys, leads, onboarding, overview, planner, plans, settings, users, visitors, webhooks,
};
use crate::router::{Handler, Route};

/// A page.
fn shown(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        pattern,
        handler,
        timed: true,
        page: true,
    }
}

/// A form that is sent.
fn sent(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::POST,
        ..shown(pattern, handler)
    }
}

/// It takes as long as it takes.
fn long(route: Route) -> Route {
    Route {
        timed: false,
        ..route
    }
}

pub(crate) fn table() -> Vec<Route> {
    vec![
        shown("/", |call| Box::pin(overview::show(call))),
        shown("/login", |call| Box::pin(door::login(call))),
        sent("/login", |call| Box::pin(door::sign_in(call))),
        sent("/logout", |call| Box::pin(door::sign_out(call))),
        shown("/forgot", |call| Box::pin(door::forgot(call))),
        sent("/forgot", |call| Box::pin(door::send_link(call))),
        shown("/join/{token}", |call| Box::pin(join::show(call))),
        sent("/join/{token}", |call| Box::pin(join::join(call))),
        shown("/settings", |call| Box::pin(settings::show(call))),
        sent("/settings/account", |call| {
            Box::pin(settings::save_account(call))
        }),
        sent("/settings/password", |call| {
            Box::pin(settings::change_password(call))
        }),
        sent("/settings/sessions/{session_id}/end", |call| {
            Box::pin(settings::end_session(call))
        }),
        shown("/keys", |call| Box::pin(keys::list(call))),
        shown("/keys/new", |call| Box::pin(keys::new(call))),
        sent("/keys/new", |call| Box::pin(keys::create(call))),
        shown("/keys/{key_id}", |call| Box::pin(keys::show(call))),
        sent("/keys/{key_id}/rotate", |call| Box::pin(keys::rotate(call))),
        sent("/keys/{key_id}/revoke", |call| Box::pin(keys::revoke(call))),
        shown("/webhooks", |call| Box::pin(webhooks::list(call))),
        shown("/webhooks/new", |call| Box::pin(webhooks::new(call))),
        sent("/webhooks/new", |call| Box::pin(webhooks::create(call))),
        shown("/webhooks/{webhook_id}", |call| {
            Box::pin(webhooks::show(call))
        }),
        sent("/webhooks/{webhook_id}", |call| {
            Box::pin(webhooks::change(call))
        }),
        shown("/users", |call| Box::pin(users::list(call))),
        shown("/users/new", |call| Box::pin(users::new(call))),
        sent("/users/new", |call| Box::pin(users::invite(call))),
        shown("/users/{user_id}", |call| Box::pin(users::show(call))),
        sent("/users/{user_id}", |call| Box::pin(users::save(call))),
        sent("/users/{user_id}/link", |call| {
            Box::pin(users::make_link(call))
        }),
        sent("/users/{user_id}/disable", |call| {
            Box::pin(users::disable(call))
        }),
        sent("/users/{user_id}/enable", |call| {
            Box::pin(users::enable(call))
        }),
        shown("/experiments/{id}", |call| Box::pin(experiment::show(call))),
        Route {
            timed: false,
            ..shown("/experiments/{id}/stream", |call| {
                Box::pin(experiment::stream(call))
            })
        },
        Route {
            timed: false,
            ..shown("/experiments/{id}/trail", |call| {
                Box::pin(experiment::show_trail(call))
            })
        },
        sent("/experiments/{id}/start", |call| {
            Box::pin(experiment::change(call, Transition::Start))
        }),
        sent("/experiments/{id}/pause", |call| {
            Box::pin(experiment::change(call, Transition::Pause))
        }),
        sent("/experiments/{id}/resume", |call| {
            Box::pin(experiment::change(call, Transition::Resume))
        }),
        sent("/experiments/{id}/complete", |call| {
            Box::pin(experiment::change(call, Transition::Complete))
        }),
        sent("/experiments/{id}/archive", |call| {
            Box::pin(experiment::change(call, Transition::Archive))
        }),
        shown("/plan", |call| Box::pin(plans::show(call))),
        shown("/plans", |call| Box::pin(plans::list(call))),
        sent("/plans", |call| Box::pin(plans::save(call))),
        sent("/users/{user_id}/plan", |call| Box::pin(plans::put(call))),
        sent("/onboarding", |call| Box::pin(onboarding::change(call))),
        shown("/activity", |call| Box::pin(activity::list(call))),
        shown("/experiments", |call| Box::pin(experiments::list(call))),
        shown("/experiments/new", |call| Box::pin(experiments::new(call))),
        sent("/experiments/new", |call| {
            Box::pin(experiments::create(call))
        }),
        shown("/experiments/{id}/edit", |call| {
            Box::pin(experiments::edit(call))
        }),
        sent("/experiments/{id}/edit", |call| {
            Box::pin(experiments::save(call))
        }),
        shown("/funnels", |call| Box::pin(funnels::list(call))),
        shown("/funnels/new", |call| Box::pin(funnels::new(call))),
        sent("/funnels/new", |call| Box::pin(funnels::create(call))),
        shown("/funnels/{funnel_id}", |call| Box::pin(funnels::show(call))),
        shown("/funnels/{funnel_id}/edit", |call| {
            Box::pin(funnels::edit(call))
        }),
        sent("/funnels/{funnel_id}/edit", |call| {
            Box::pin(funnels::save(call))
        }),
        sent("/funnels/{funnel_id}/activate", |call| {
            Box::pin(funnels::change(call, FunnelTransition::Activate))
        }),
        sent("/funnels/{funnel_id}/pause", |call| {
            Box::pin(funnels::change(call, FunnelTransition::Pause))
        }),
        sent("/funnels/{funnel_id}/resume", |call| {
            Box::pin(funnels::change(call, FunnelTransition::Resume))
        }),
        sent("/funnels/{funnel_id}/archive", |call| {
            Box::pin(funnels::change(call, FunnelTransition::Archive))
        }),
        sent("/funnels/{funnel_id}/duplicate", |call| {
            Box::pin(funnels::duplicate(call))
        }),
        shown("/installations", |call| Box::pin(installations::list(call))),
        sent("/installations", |call| {
            Box::pin(installations::create(call))
        }),
        shown("/installations/{installation_id}", |call| {
            Box::pin(installations::show(call))
        }),
        sent("/installations/{installation_id}", |call| {
            Box::pin(installations::change(call))
        }),
        shown("/exclusions", |call| Box::pin(exclusions::show(call))),
        sent("/exclusions", |call| Box::pin(exclusions::change(call))),
        shown("/leads", |call| Box::pin(leads::list(call))),
        shown("/leads/{lead_id}", |call| Box::pin(leads::show(call))),
        sent("/leads/{lead_id}", |call| Box::pin(leads::change(call))),
        shown("/visitors", |call| Box::pin(visitors::show(call))),
        long(sent("/visitors", |call| Box::pin(visitors::erase(call)))),
        shown("/forecast", |call| Box::pin(planner::show(call))),
        shown("/backtest", |call| Box::pin(backtest::show(call))),
        long(sent("/backtest", |call| Box::pin(backtest::run(call)))),
    ]
}
