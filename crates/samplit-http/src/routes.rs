//! The table of all public routes.

use hyper::Method;
use samplit_domain::{FunnelTransition, Transition};
use samplit_engine::Export;

use crate::{
    api::{
        account, activity, audit, custody, editor, exclusions, experiments, exports, forecast,
        funnel_results, funnels, installations, keys, lead_capture, leads, ofrep, onboarding,
        pages, plans, preview, proofs, registration, results, segments, selector_misses, session,
        shops, timeline, users, visits, webhooks, what_if,
    },
    cors,
    dashboard::{self, assets},
    openapi, page, picker,
    router::{Handler, Route, Router},
    snippet, verify_page,
};

pub(crate) fn router() -> Router {
    Router::new(table())
}

/// Method and pattern of every public route but those of the dashboard, for whoever wants to be sure of
/// all of them.
#[must_use]
pub fn routes() -> Vec<(Method, &'static str)> {
    named(api_table())
}

/// Method and pattern of every page and form of the dashboard.
#[must_use]
pub fn pages() -> Vec<(Method, &'static str)> {
    named(dashboard::routes::table())
}

fn named(routes: Vec<Route>) -> Vec<(Method, &'static str)> {
    let routes = routes.into_iter();
    routes.map(|route| (route.method, route.pattern)).collect()
}

/// Every route: those of the API and what belongs to it, then the pages of the dashboard.
fn table() -> Vec<Route> {
    let mut table = api_table();
    table.extend(dashboard::routes::table());
    table
}

fn get(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        pattern,
        handler,
        timed: true,
        page: false,
    }
}

fn post(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::POST,
        ..get(pattern, handler)
    }
}

fn put(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::PUT,
        ..get(pattern, handler)
    }
}

fn patch(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::PATCH,
        ..get(pattern, handler)
    }
}

fn delete(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::DELETE,
        ..get(pattern, handler)
    }
}

/// What a browser asks before a page may ask.
fn options(pattern: &'static str) -> Route {
    Route {
        method: Method::OPTIONS,
        ..get(pattern, |call| {
            Box::pin(async move { Ok(cors::preflight(&call, "POST", "Content-Type")) })
        })
    }
}

/// The same of the editor, which shows its token.
fn editor_options(pattern: &'static str) -> Route {
    let handler: Handler = |call| {
        let headers = "Authorization, Content-Type";
        Box::pin(async move { Ok(cors::preflight(&call, "GET, POST, DELETE", headers)) })
    };
    Route {
        handler,
        ..options(pattern)
    }
}

/// The answer takes as long as the trail is long, or the work should not be broken off.
fn untimed(route: Route) -> Route {
    Route {
        timed: false,
        ..route
    }
}

fn api_table() -> Vec<Route> {
    vec![
        post("/v1/experiments/{id}/assign", |call| {
            Box::pin(visits::assign(call))
        }),
        post("/v1/experiments/{id}/assign/batch", |call| {
            Box::pin(visits::assign_batch(call))
        }),
        post("/v1/experiments/{id}/convert", |call| {
            Box::pin(visits::convert(call))
        }),
        post("/v1/experiments/{id}/convert/batch", |call| {
            Box::pin(visits::convert_batch(call))
        }),
        post("/v1/experiments", |call| {
            Box::pin(experiments::create(call))
        }),
        get("/v1/experiments", |call| Box::pin(experiments::list(call))),
        get("/v1/experiments/{id}", |call| {
            Box::pin(experiments::show(call))
        }),
        patch("/v1/experiments/{id}", |call| {
            Box::pin(experiments::update(call))
        }),
        post("/v1/experiments/{id}/start", |call| {
            Box::pin(experiments::transition(call, Transition::Start))
        }),
        post("/v1/experiments/{id}/pause", |call| {
            Box::pin(experiments::transition(call, Transition::Pause))
        }),
        post("/v1/experiments/{id}/resume", |call| {
            Box::pin(experiments::transition(call, Transition::Resume))
        }),
        post("/v1/experiments/{id}/complete", |call| {
            Box::pin(experiments::transition(call, Transition::Complete))
        }),
        post("/v1/experiments/{id}/archive", |call| {
            Box::pin(experiments::transition(call, Transition::Archive))
        }),
        post(
            "/v1/experiments/{id}/variants/{variant_id}/activate",
            |call| Box::pin(experiments::set_variant_active(call, true)),
        ),
        post(
            "/v1/experiments/{id}/variants/{variant_id}/deactivate",
            |call| Box::pin(experiments::set_variant_active(call, false)),
        ),
        get("/v1/experiments/{id}/results", |call| {
            Box::pin(results::results(call))
        }),
        untimed(get("/v1/experiments/{id}/results/stream", |call| {
            Box::pin(results::results_stream(call))
        })),
        get("/v1/experiments/{id}/timeline", |call| {
            Box::pin(timeline::timeline(call))
        }),
        get("/v1/experiments/{id}/weights.svg", |call| {
            Box::pin(timeline::weights_svg(call))
        }),
        untimed(get("/v1/experiments/{id}/export/assignments", |call| {
            Box::pin(exports::export(call, Export::Assignments))
        })),
        untimed(get("/v1/experiments/{id}/export/conversions", |call| {
            Box::pin(exports::export(call, Export::Conversions))
        })),
        untimed(get("/v1/experiments/{id}/export/results", |call| {
            Box::pin(exports::export(call, Export::Results))
        })),
        untimed(get("/v1/experiments/{id}/export/timeline", |call| {
            Box::pin(exports::export(call, Export::Timeline))
        })),
        get("/v1/experiments/{id}/segments", |call| {
            Box::pin(segments::segments(call))
        }),
        get("/v1/experiments/{id}/combinations", |call| {
            Box::pin(segments::combinations(call))
        }),
        get("/v1/experiments/{id}/what-if", |call| {
            Box::pin(what_if::what_if(call))
        }),
        post("/v1/forecast", |call| Box::pin(forecast::forecast(call))),
        get("/v1/experiments/{id}/audit/entries", |call| {
            Box::pin(audit::entries(call))
        }),
        untimed(get("/v1/experiments/{id}/audit/verify", |call| {
            Box::pin(audit::verify(call))
        })),
        untimed(get("/v1/experiments/{id}/audit/bundle", |call| {
            Box::pin(proofs::bundle(call))
        })),
        get("/v1/experiments/{id}/audit/checkpoint", |call| {
            Box::pin(proofs::checkpoint(call))
        }),
        untimed(post("/v1/experiments/{id}/audit/checkpoint", |call| {
            Box::pin(proofs::sign(call))
        })),
        untimed(get("/v1/experiments/{id}/audit/proof/inclusion", |call| {
            Box::pin(proofs::inclusion(call))
        })),
        untimed(get(
            "/v1/experiments/{id}/audit/proof/consistency",
            |call| Box::pin(proofs::consistency(call)),
        )),
        untimed(get("/v1/experiments/{id}/audit/receipt", |call| {
            Box::pin(proofs::receipt(call))
        })),
        get("/v1/audit/keys", |call| {
            Box::pin(async move { proofs::keys(&call) })
        }),
        untimed(post("/v1/experiments/{id}/audit/seal", |call| {
            Box::pin(custody::seal(call))
        })),
        get("/v1/experiments/{id}/audit/draw-key", |call| {
            Box::pin(custody::draw_key(call))
        }),
        untimed(post("/v1/experiments/{id}/audit/redactions", |call| {
            Box::pin(custody::redact(call))
        })),
        untimed(post(
            "/v1/experiments/{id}/audit/acknowledge-restore",
            |call| Box::pin(custody::acknowledge_restore(call)),
        )),
        get("/v1/experiments/{id}/registration", |call| {
            Box::pin(registration::show(call))
        }),
        untimed(delete("/v1/visitors/{visitor}", |call| {
            Box::pin(custody::erase(call))
        })),
        get("/v1/experiments/{id}/selector-misses", |call| {
            Box::pin(selector_misses::list(call))
        }),
        post("/v1/exclusions", |call| Box::pin(exclusions::create(call))),
        get("/v1/exclusions", |call| Box::pin(exclusions::list(call))),
        get("/v1/exclusions/{exclusion_id}", |call| {
            Box::pin(exclusions::show(call))
        }),
        patch("/v1/exclusions/{exclusion_id}", |call| {
            Box::pin(exclusions::update(call))
        }),
        delete("/v1/exclusions/{exclusion_id}", |call| {
            Box::pin(exclusions::delete(call))
        }),
        get("/v1/experiments/{id}/excluded-sessions", |call| {
            Box::pin(exclusions::excluded(call))
        }),
        post("/v1/webhooks", |call| Box::pin(webhooks::create(call))),
        get("/v1/webhooks", |call| Box::pin(webhooks::list(call))),
        get("/v1/webhooks/{webhook_id}", |call| {
            Box::pin(webhooks::show(call))
        }),
        patch("/v1/webhooks/{webhook_id}", |call| {
            Box::pin(webhooks::update(call))
        }),
        delete("/v1/webhooks/{webhook_id}", |call| {
            Box::pin(webhooks::delete(call))
        }),
        post("/v1/webhooks/{webhook_id}/rotate", |call| {
            Box::pin(webhooks::rotate(call))
        }),
        untimed(post("/v1/webhooks/{webhook_id}/test", |call| {
            Box::pin(webhooks::test(call))
        })),
        get("/v1/webhooks/{webhook_id}/deliveries", |call| {
            Box::pin(webhooks::deliveries(call))
        }),
        post(
            "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
            |call| Box::pin(webhooks::replay(call)),
        ),
        post("/ofrep/v1/evaluate/flags/{key}", |call| {
            Box::pin(ofrep::evaluate(call))
        }),
        post("/ofrep/v1/evaluate/flags", |call| {
            Box::pin(ofrep::evaluate_all(call))
        }),
        post("/v1/funnels", |call| Box::pin(funnels::create(call))),
        get("/v1/funnels", |call| Box::pin(funnels::list(call))),
        get("/v1/funnels/{funnel_id}", |call| {
            Box::pin(funnels::show(call))
        }),
        patch("/v1/funnels/{funnel_id}", |call| {
            Box::pin(funnels::update(call))
        }),
        get("/v1/funnels/{funnel_id}/check", |call| {
            Box::pin(funnels::check(call))
        }),
        get("/v1/funnels/{funnel_id}/results", |call| {
            Box::pin(funnel_results::results(call))
        }),
        post("/v1/funnels/{funnel_id}/activate", |call| {
            Box::pin(funnels::transition(call, FunnelTransition::Activate))
        }),
        post("/v1/funnels/{funnel_id}/pause", |call| {
            Box::pin(funnels::transition(call, FunnelTransition::Pause))
        }),
        post("/v1/funnels/{funnel_id}/resume", |call| {
            Box::pin(funnels::transition(call, FunnelTransition::Resume))
        }),
        post("/v1/funnels/{funnel_id}/archive", |call| {
            Box::pin(funnels::transition(call, FunnelTransition::Archive))
        }),
        post("/v1/funnels/{funnel_id}/duplicate", |call| {
            Box::pin(funnels::duplicate(call))
        }),
        post("/v1/installations", |call| {
            Box::pin(installations::create(call))
        }),
        get("/v1/installations", |call| {
            Box::pin(installations::list(call))
        }),
        get("/v1/installations/{installation_id}", |call| {
            Box::pin(installations::show(call))
        }),
        patch("/v1/installations/{installation_id}", |call| {
            Box::pin(installations::update(call))
        }),
        delete("/v1/installations/{installation_id}", |call| {
            Box::pin(installations::disable(call))
        }),
        post("/v1/installations/{installation_id}/rotate", |call| {
            Box::pin(installations::rotate(call))
        }),
        post("/v1/installations/{installation_id}/verify", |call| {
            Box::pin(installations::verify(call))
        }),
        post(
            "/v1/installations/{installation_id}/signing-secret",
            |call| Box::pin(shops::signing_secret(call)),
        ),
        post("/integrations/shopify/install", |call| {
            Box::pin(shops::link(call))
        }),
        get("/integrations/shopify/install", |call| {
            Box::pin(shops::begin(call))
        }),
        untimed(get("/integrations/shopify/callback", |call| {
            Box::pin(shops::callback(call))
        })),
        post("/integrations/shopify/webhooks", |call| {
            Box::pin(shops::shopify_hook(call))
        }),
        post("/integrations/shopify/webhooks/{hook}", |call| {
            Box::pin(shops::shopify_hook(call))
        }),
        untimed(post(
            "/integrations/shopify/{installation_id}/uninstall",
            |call| Box::pin(shops::uninstall(call)),
        )),
        post("/integrations/wordpress/orders", |call| {
            Box::pin(shops::wordpress_order(call))
        }),
        get("/v1/installations/{installation_id}/snippet", |call| {
            Box::pin(installations::snippet(call))
        }),
        post("/v1/page", |call| Box::pin(pages::page(call))),
        options("/v1/page"),
        post("/v1/events", |call| Box::pin(pages::events(call))),
        options("/v1/events"),
        post("/v1/leads", |call| Box::pin(lead_capture::capture(call))),
        options("/v1/leads"),
        get("/v1/leads", |call| Box::pin(leads::list(call))),
        get("/v1/leads/{lead_id}", |call| Box::pin(leads::show(call))),
        patch("/v1/leads/{lead_id}", |call| Box::pin(leads::update(call))),
        delete("/v1/leads/{lead_id}", |call| Box::pin(leads::delete(call))),
        untimed(get("/v1/export/leads", |call| {
            Box::pin(leads::export(call))
        })),
        post("/v1/experiments/{id}/preview", |call| {
            Box::pin(preview::link(call))
        }),
        post("/v1/installations/{installation_id}/editor", |call| {
            Box::pin(editor::link(call))
        }),
        get("/v1/editor", |call| Box::pin(editor::show(call))),
        editor_options("/v1/editor"),
        post("/v1/editor/variants", |call| Box::pin(editor::add(call))),
        editor_options("/v1/editor/variants"),
        delete("/v1/editor/variants/{variant_id}", |call| {
            Box::pin(editor::remove(call))
        }),
        editor_options("/v1/editor/variants/{variant_id}"),
        post("/v1/session", |call| Box::pin(session::sign_in(call))),
        get("/v1/session", |call| Box::pin(session::show(call))),
        delete("/v1/session", |call| Box::pin(session::sign_out(call))),
        post("/v1/links/redeem", |call| Box::pin(session::redeem(call))),
        get("/v1/account", |call| Box::pin(account::show(call))),
        patch("/v1/account", |call| Box::pin(account::update(call))),
        post("/v1/account/password", |call| {
            Box::pin(account::change_password(call))
        }),
        get("/v1/sessions", |call| Box::pin(account::sessions(call))),
        delete("/v1/sessions/{session_id}", |call| {
            Box::pin(account::end_session(call))
        }),
        get("/v1/users", |call| Box::pin(users::list(call))),
        post("/v1/users", |call| Box::pin(users::invite(call))),
        get("/v1/users/{user_id}", |call| Box::pin(users::show(call))),
        patch("/v1/users/{user_id}", |call| Box::pin(users::update(call))),
        post("/v1/users/{user_id}/link", |call| {
            Box::pin(users::link(call))
        }),
        get("/v1/keys", |call| Box::pin(keys::list(call))),
        post("/v1/keys", |call| Box::pin(keys::create(call))),
        post("/v1/keys/{key_id}/rotate", |call| {
            Box::pin(keys::rotate(call))
        }),
        delete("/v1/keys/{key_id}", |call| Box::pin(keys::revoke(call))),
        get("/v1/activity", |call| Box::pin(activity::list(call))),
        get("/v1/plans", |call| Box::pin(plans::list(call))),
        put("/v1/plans/{name}", |call| Box::pin(plans::save(call))),
        get("/v1/subscription", |call| Box::pin(plans::own(call))),
        get("/v1/subscriptions", |call| {
            Box::pin(plans::subscriptions(call))
        }),
        put("/v1/users/{user_id}/subscription", |call| {
            Box::pin(plans::set(call))
        }),
        post("/integrations/stripe/webhooks", |call| {
            Box::pin(plans::stripe_hook(call))
        }),
        get("/v1/onboarding", |call| Box::pin(onboarding::show(call))),
        post("/v1/onboarding/dismiss", |call| {
            Box::pin(onboarding::dismiss(call, true))
        }),
        post("/v1/onboarding/reopen", |call| {
            Box::pin(onboarding::dismiss(call, false))
        }),
        get("/s/{token}.js", |call| Box::pin(snippet::script(call))),
        get("/live/{id}", |call| Box::pin(page::live(call))),
        get("/docs", |_call| Box::pin(async { Ok(openapi::docs()) })),
        get("/assets/docs.css", |_call| {
            Box::pin(async { Ok(openapi::stylesheet()) })
        }),
        get("/openapi.json", |call| {
            Box::pin(async move { openapi::openapi(&call) })
        }),
        get("/verify", |_call| {
            Box::pin(async { Ok(verify_page::verify()) })
        }),
        get("/assets/picker.js", |_call| {
            Box::pin(async { Ok(picker::script()) })
        }),
        get("/assets/live.css", |_call| {
            Box::pin(async { Ok(page::stylesheet()) })
        }),
        get("/assets/live.js", |_call| {
            Box::pin(async { Ok(page::script()) })
        }),
        get("/assets/dashboard.css", |_call| {
            Box::pin(async { Ok(assets::stylesheet()) })
        }),
        get("/assets/dashboard/canvas/{asset}", |call| {
            Box::pin(async move { assets::canvas_script(&call) })
        }),
        get("/assets/dashboard/{asset}", |call| {
            Box::pin(async move { assets::script(&call) })
        }),
        get("/assets/icon.svg", |_call| {
            Box::pin(async { Ok(assets::icon()) })
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::{api_table, dashboard, table};

    #[test]
    fn the_readme_lists_every_route() {
        let readme = include_str!("../README.md");
        for route in table() {
            let line = format!("| {} | `{}` |", route.method, route.pattern);
            assert!(readme.contains(&line), "README.md lacks: {line}");
        }
    }

    #[test]
    fn the_guide_of_the_dashboard_names_every_page() {
        let guide = include_str!("../../../docs/DASHBOARD.md");
        for route in dashboard::routes::table() {
            let shown = format!("`{}`", route.pattern);
            assert!(guide.contains(&shown), "lacks {shown}");
        }
    }

    #[test]
    fn the_guide_shows_every_api_route() {
        let guide = include_str!("../../../docs/HTTP_API.md").replace("$PLAN", "$ID");
        for route in api_table() {
            let shown = route
                .pattern
                .replace("{id}", "$ID")
                .replace("{variant_id}", "$VARIANT")
                .replace("{visitor}", "$VISITOR")
                .replace("{installation_id}", "$SITE")
                .replace("{exclusion_id}", "$RULE")
                .replace("{funnel_id}", "$FUNNEL")
                .replace("{webhook_id}", "$HOOK")
                .replace("{delivery_id}", "$DELIVERY")
                .replace("{lead_id}", "$LEAD")
                .replace("{user_id}", "$USER_ID")
                .replace("{name}", "$TIER")
                .replace("{session_id}", "$SESSION")
                .replace("{key_id}", "$KEY_ID")
                .replace("{key}", "$FLAG")
                .replace("{hook}", "$HOOK")
                .replace("{token}", "$TOKEN");
            assert!(
                guide.contains(&shown) || shown.starts_with("/assets/"),
                "lacks {shown}"
            );
        }
    }
}
