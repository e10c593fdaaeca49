//! What an admin does with accounts, and everybody with their own: invite, disable, keys, sessions.

use samplit_engine::Role;

use super::desk::{Desk, at_the_desk};

const GUEST: &str = "guest@example.org";

/// Invites somebody, and gives back the link that is shown.
async fn invite(desk: &Desk) -> String {
    desk.open("/users").await;
    desk.press("Invite somebody").await;
    desk.arrive("/users/new").await;
    desk.fill("#f-email", GUEST).await;
    desk.press("Invite").await;
    desk.wait_for("#link").await;
    let link = desk.text("#link").await;
    link.trim_start_matches(&desk.base).to_owned()
}

#[tokio::test]
async fn an_invited_client_joins_and_is_disabled_again() {
    at_the_desk(async |desk| {
        desk.enter("ana@example.org", Role::Admin).await;
        let link = invite(desk).await;

        // In another browser, as far as cookies go.
        desk.forget_cookies().await;
        desk.open(&link).await;
        assert!(desk.text("main").await.contains(GUEST));
        desk.fill("#f-name", "Guest").await;
        desk.fill("#f-password", "a short sentence to keep").await;
        desk.press("Join").await;
        desk.arrive("/").await;
        assert_eq!(desk.text(".side .who strong").await, "Guest");
        assert!(!desk.text(".side").await.contains("Users"));
        desk.open("/users").await;
        assert_eq!(desk.text("h1").await, "This is not yours to do");
        let guest = desk.cookies().await;

        desk.forget_cookies().await;
        desk.enter("ana@example.org", Role::Admin).await;
        desk.open("/users").await;
        desk.press("Guest").await;
        desk.fill("#f-confirm", "somebody@example.org").await;
        desk.press("Disable the account").await;
        desk.wait_for("#f-confirm-error").await;
        desk.fill("#f-confirm", GUEST).await;
        desk.press("Disable the account").await;
        desk.wait_for(".notice").await;
        assert_eq!(desk.text(".meta .badge").await, "disabled");

        desk.set_cookies(guest).await;
        desk.open("/keys").await;
        desk.arrive("/login").await;
    })
    .await;
}

#[tokio::test]
async fn the_last_admin_stays_one() {
    at_the_desk(async |desk| {
        desk.enter("ana@example.org", Role::Admin).await;
        desk.open("/users").await;
        desk.press("ana@example.org").await;
        desk.click("input[value=client]").await;
        desk.press("Save").await;
        desk.wait_for("[role=alert]").await;
        let said = desk.text("[role=alert]").await;
        assert!(said.contains("admin"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_shown_once_gets_a_successor_and_is_revoked() {
    at_the_desk(async |desk| {
        desk.enter("ana@example.org", Role::Client).await;
        desk.open("/keys/new").await;
        desk.press("Make the key").await;
        desk.wait_for("[role=alert]").await;
        assert_eq!(desk.text("#f-name-error").await, "This is missing.");
        desk.fill("#f-name", "checkout").await;
        desk.click("input[value=read]").await;
        desk.press("Make the key").await;
        desk.wait_for("#token").await;
        let token = desk.text("#token").await;
        assert!(desk.engine.authenticate(&token).await.is_ok());
        assert!(
            !desk
                .run("return document.querySelector('[data-copy]').hidden")
                .await
                .as_bool()
                .unwrap()
        );

        desk.press("I have kept it").await;
        desk.arrive("/keys").await;
        let list = desk.text("main").await;
        assert!(
            list.contains("checkout") && !list.contains(&token),
            "{list}"
        );
        desk.press("checkout").await;
        desk.press("Make the successor").await;
        desk.wait_for("#token").await;
        let successor = desk.text("#token").await;
        assert_ne!(successor, token);
        for good in [&token, &successor] {
            assert!(desk.engine.authenticate(good).await.is_ok());
        }

        desk.open("/keys").await;
        desk.press("checkout").await;
        desk.press("Revoke the key").await;
        desk.wait_for("#f-confirm-error").await;
        desk.fill("#f-confirm", "checkout").await;
        desk.press("Revoke the key").await;
        desk.arrive("/keys").await;
        assert_eq!(desk.text(".notice").await, "The key was revoked.");
    })
    .await;
}

#[tokio::test]
async fn the_own_account_is_changed_and_noted() {
    at_the_desk(async |desk| {
        desk.enter("ana@example.org", Role::Client).await;
        desk.open("/settings").await;
        desk.fill("#f-name", "Ana <b>Lindqvist</b>").await;
        desk.press("Save").await;
        desk.wait_for(".notice").await;
        assert_eq!(desk.text(".side .who strong").await, "Ana <b>Lindqvist</b>");
        let sessions = desk.text("section[aria-labelledby=sessions]").await;
        assert!(sessions.contains("Chrome on Linux"), "{sessions}");
        assert!(sessions.contains("this browser"), "{sessions}");

        desk.open("/activity").await;
        let said = desk.text("main").await;
        for part in ["ana@example.org", "changed an account", "signed in"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        // The server writes UTC, the browser shows its own time.
        let local = "return [...document.querySelectorAll('main time')].every((time) => 'local' in time.dataset)";
        assert_eq!(desk.run(local).await, true);
    })
    .await;
}
