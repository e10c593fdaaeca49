//! Installations, what their pages ask, the editor, and shops.

use serde_json::json;

use super::{SITES, Section};
use crate::{
    api::{
        editor::{self, EditorJson},
        installations::{self, InstallationJson, PageJson, SnippetJson, VerifyJson},
        page_body,
        pages::{EventsReply, PageReply},
        preview,
        shops::{self, OrderJson, SecretJson},
    },
    openapi::{
        bodies::{
            EditorAddition, InstallationChange, NewEditor, NewInstallation, NewShop, PageQuestion,
            PageReport, Rotation, Verification,
        },
        operation::Operation,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = installations();
    all.extend(pages());
    all.extend(shops());
    all
}

fn installations() -> Vec<Operation> {
    let section = Section(SITES);
    vec![
        section
            .post(
                "/v1/installations",
                "Makes an installation with its public token",
            )
            .account()
            .once()
            .body::<NewInstallation>(|body| drop(installations::read_new(body)))
            .gives::<InstallationJson<'_>>(201)
            .refuses(409, &["no_account"]),
        section
            .get("/v1/installations", "The installations, newest first")
            .account()
            .paged()
            .gives::<PageJson<'_>>(200),
        section
            .get("/v1/installations/{installation_id}", "One installation")
            .account()
            .unless_known()
            .gives::<InstallationJson<'_>>(200),
        section
            .patch(
                "/v1/installations/{installation_id}",
                "Changes the named fields",
            )
            .account()
            .if_match()
            .body::<InstallationChange>(|body| drop(installations::read_change(body)))
            .gives::<InstallationJson<'_>>(200),
        section
            .delete("/v1/installations/{installation_id}", "Turns it off")
            .account()
            .if_match()
            .gives::<InstallationJson<'_>>(200),
        section
            .post(
                "/v1/installations/{installation_id}/rotate",
                "Gives it a new token",
            )
            .account()
            .if_match()
            .optional_body::<Rotation>(|body| drop(installations::read_rotation(body)))
            .gives::<InstallationJson<'_>>(200)
            .refuses(409, &["rotated_lately"]),
        section
            .post(
                "/v1/installations/{installation_id}/verify",
                "Whether the snippet is on the site",
            )
            .account()
            .optional_body::<Verification>(|body| drop(installations::read_url(body)))
            .gives::<VerifyJson>(200)
            .refuses(409, &["no_page_fetcher", "domain_changed"]),
        section
            .get(
                "/v1/installations/{installation_id}/snippet",
                "What to paste",
            )
            .account()
            .gives::<SnippetJson<'_>>(200)
            .refuses(400, &["unknown_host"]),
        section
            .post(
                "/v1/installations/{installation_id}/editor",
                "A link that opens the picker on a page, for one draft",
            )
            .account()
            .body::<NewEditor>(|body| drop(editor::read_link(body)))
            .gives::<preview::LinkJson<'_>>(201)
            .refuses(409, &["not_a_draft", "no_secret"]),
    ]
}

fn pages() -> Vec<Operation> {
    let section = Section(SITES);
    vec![
        section
            .post(
                "/v1/page",
                "What a page shows: every experiment on it, decided",
            )
            .page()
            .body::<PageQuestion>(|body| drop(page_body::read_page(body)))
            .gives::<PageReply<'_>>(200)
            .refuses(409, &["no_secret", "experiment_not_running"])
            .refuses(401, &["unknown_token", "token_expired"]),
        section.preflight("/v1/page"),
        section
            .post(
                "/v1/events",
                "Exposures, conversions, and selectors that found nothing",
            )
            .page()
            .body::<PageReport>(|body| {
                let events = body["events"].clone();
                drop(page_body::read_events(body));
                for event in events.as_array().into_iter().flatten() {
                    drop(page_body::reported(event.clone()));
                }
            })
            .gives::<EventsReply<'_>>(200),
        section.preflight("/v1/events"),
        section
            .get("/v1/editor", "The draft of the link")
            .editor()
            .gives::<EditorJson<'_>>(200),
        section.preflight("/v1/editor"),
        section
            .post(
                "/v1/editor/variants",
                "Adds a variant to the draft, to an element that may be new",
            )
            .editor()
            .body::<EditorAddition>(|body| drop(editor::read_addition(body)))
            .gives::<EditorJson<'_>>(201)
            .refuses(409, &["not_a_draft"])
            .refuses(412, &["version_mismatch"]),
        section.preflight("/v1/editor/variants"),
        section
            .delete(
                "/v1/editor/variants/{variant_id}",
                "Takes a variant out of the draft",
            )
            .editor()
            .gives::<EditorJson<'_>>(200)
            .refuses(409, &["control", "last_variant", "not_a_draft"])
            .refuses(412, &["version_mismatch"])
            .refuses(422, &["invalid"]),
        section.preflight("/v1/editor/variants/{variant_id}"),
    ]
}

fn shops() -> Vec<Operation> {
    let section = Section(SITES);
    let text = json!({"type": "string"});
    let told = json!({"type": "object", "description": "What the shop tells."});
    vec![
        section
            .post(
                "/integrations/shopify/install",
                "A link that connects a shop",
            )
            .account()
            .body::<NewShop>(|body| drop(shops::read_shop(body)))
            .gives::<shops::LinkJson>(201)
            .refuses(400, &["unknown_host"])
            .refuses(409, &["no_shopify", "no_secret"]),
        section
            .get(
                "/integrations/shopify/install",
                "That link: sends the browser to the shop",
            )
            .query("link", "what the link holds", &text)
            .gives_text(302, "text/plain")
            .refuses(400, &["unknown_host"])
            .refuses(401, &["bad_signature"])
            .refuses(409, &["no_shopify", "no_secret"]),
        section
            .get(
                "/integrations/shopify/callback",
                "Where the shop sends it back to",
            )
            .query("shop", "the shop", &text)
            .query("code", "for a token", &text)
            .query("state", "what the browser was sent with", &text)
            .gives_text(200, "text/html")
            .refuses(400, &["unknown_host"])
            .refuses(401, &["bad_signature", "unauthenticated"])
            .refuses(
                409,
                &["no_shopify", "no_secret", "shop_taken", "unknown_state"],
            )
            .refuses(502, &["shop_failed"]),
        section
            .post(
                "/integrations/shopify/webhooks",
                "What privacy laws ask for, signed by Shopify",
            )
            .signed()
            .foreign_body("application/json", &told)
            .gives_text(200, "text/plain")
            .refuses(409, &["no_shopify", "no_secret"]),
        section
            .post(
                "/integrations/shopify/webhooks/{hook}",
                "Orders and the end of the one shop that was told this address, signed by Shopify",
            )
            .signed()
            .foreign_body("application/json", &told)
            .gives_text(200, "text/plain")
            .refuses(409, &["no_shopify", "no_secret"]),
        section
            .post(
                "/integrations/shopify/{installation_id}/uninstall",
                "Takes the script out of a shop and forgets its tokens",
            )
            .account()
            .no_fields()
            .gives::<InstallationJson<'_>>(200)
            .refuses(409, &["no_shopify", "no_secret", "no_shop"])
            .refuses(502, &["shop_failed"]),
        section
            .post(
                "/v1/installations/{installation_id}/signing-secret",
                "A secret for a site of WordPress to sign orders with, shown once",
            )
            .account()
            .no_fields()
            .gives::<SecretJson<'_>>(201)
            .refuses(409, &["no_wordpress", "no_secret"]),
        section
            .post(
                "/integrations/wordpress/orders",
                "An order of a site of WordPress, signed by it",
            )
            .signed()
            .foreign_body("application/json", &told)
            .gives::<OrderJson>(200),
    ]
}
