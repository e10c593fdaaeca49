//! What a page says after something was done: a form that did its work leads to a page with
//! `?done=<code>`, and the code stands for a text of this table, so that no text comes from a link.

use hyper::{
    StatusCode,
    header::{HeaderValue, LOCATION},
};

use crate::response::{Reply, empty};

/// Codes with their texts, by subject.
const TEXTS: &[(&str, &str)] = &[
    // Signing in and out.
    ("signed_out", "You are signed out."),
    (
        "link_sent",
        "If there is an account with this email, a link is on its way to it.",
    ),
    ("welcome", "Your account is ready. Welcome to Samplit."),
    // The account.
    ("account_saved", "Your account was changed."),
    (
        "password_changed",
        "Your password was changed, and every session ended. Sign in with the new one.",
    ),
    ("session_ended", "The session was ended."),
    (
        "onboarding_dismissed",
        "The list is put away. The settings bring it back.",
    ),
    ("onboarding_reopened", "Here are your first steps again."),
    // Experiments.
    (
        "experiment_started",
        "The experiment runs: visitors are assigned from now on.",
    ),
    (
        "experiment_paused",
        "The experiment is paused: nobody new takes part.",
    ),
    ("experiment_resumed", "The experiment runs again."),
    (
        "experiment_completed",
        "The experiment is completed: everybody gets the winner.",
    ),
    ("experiment_archived", "The experiment is archived."),
    // Funnels.
    (
        "funnel_created",
        "The draft is there. Draw its steps, then activate it.",
    ),
    ("funnel_saved", "The settings are saved."),
    (
        "funnel_activated",
        "The funnel is active: visitors are counted from now on.",
    ),
    ("funnel_paused", "The funnel is paused: nobody is counted."),
    ("funnel_resumed", "The funnel is active again."),
    ("funnel_archived", "The funnel is archived."),
    (
        "funnel_duplicated",
        "This is a copy, and a draft. The other one stays as it is.",
    ),
    // People and keys.
    ("user_saved", "The account was changed."),
    (
        "user_disabled",
        "The account is disabled, and every session of it ended.",
    ),
    ("user_enabled", "The account can be used again."),
    ("plan_set", "The account is on this plan now."),
    (
        "plan_saved",
        "The plan is saved. Whoever is on it has its limits.",
    ),
    ("key_revoked", "The key was revoked."),
    // Experiments.
    (
        "experiment_created",
        "The draft is there. Look it over, then start it.",
    ),
    ("experiment_saved", "Your changes are saved."),
    // Installations.
    (
        "installation_created",
        "The site is there. Paste its snippet into your pages.",
    ),
    ("installation_saved", "The settings are saved."),
    ("installation_verified", "The snippet is there."),
    (
        "installation_rotated",
        "There is a new token. The one before is good for another day.",
    ),
    ("installation_disabled", "The installation is disabled."),
    ("installation_enabled", "The installation works again."),
    ("shop_disconnected", "The shop is disconnected."),
    // Leads.
    ("lead_moved", "The lead has moved on."),
    ("lead_noted", "The note is saved."),
    ("lead_erased", "The lead was erased."),
    // Webhooks.
    ("webhook_saved", "The webhook was changed."),
    ("webhook_on", "The webhook is on."),
    (
        "webhook_off",
        "The webhook is off. What was waiting is given up, and can be sent again once it is on.",
    ),
    ("webhook_replayed", "The message is on its way again."),
    ("webhook_deleted", "The webhook was deleted."),
    // Exclusions.
    ("exclusion_added", "The rule is in force."),
    ("exclusion_on", "The rule is in force again."),
    ("exclusion_off", "The rule is off."),
    ("exclusion_deleted", "The rule was deleted."),
];

/// The text of a code; none for a code that is not in the table.
pub(crate) fn text(code: &str) -> Option<&'static str> {
    let found = TEXTS.iter().find(|(known, _)| *known == code);
    found.map(|(_, text)| *text)
}

/// 303: what was asked for is done, and the page at `path` says so.
pub(crate) fn done(path: &str, code: &'static str) -> Reply {
    debug_assert!(text(code).is_some(), "{code} has a text");
    let sign = if path.contains('?') { '&' } else { '?' };
    see(&format!("{path}{sign}done={code}"))
}

/// 303: go on at `path`, which is one of ours.
pub(crate) fn see(path: &str) -> Reply {
    let mut reply = empty(StatusCode::SEE_OTHER);
    // What no header can hold is no path of ours.
    let place = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    reply.headers_mut().insert(LOCATION, place);
    reply
}

#[cfg(test)]
mod tests {
    use hyper::header::LOCATION;

    use super::{TEXTS, done, see, text};

    #[test]
    fn every_code_stands_once_and_says_a_sentence() {
        for (index, (code, said)) in TEXTS.iter().enumerate() {
            assert!(TEXTS[..index].iter().all(|(other, _)| other != code));
            assert!(said.ends_with('.'), "{said}");
        }
        assert_eq!(text("<script>"), None);
    }

    #[test]
    fn the_next_page_is_told_what_was_done() {
        let place = |reply: crate::response::Reply| reply.headers()[LOCATION].clone();
        assert_eq!(
            place(done("/keys", "key_revoked")),
            "/keys?done=key_revoked"
        );
        assert_eq!(
            place(done("/users?page=2", "user_saved")),
            "/users?page=2&done=user_saved"
        );
        assert_eq!(place(see("/a\nb")), "/");
    }
}
