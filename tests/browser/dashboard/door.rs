//! Coming in: the first admin, passwords right and wrong, invitations, and all of it without a mouse.

use samplit_engine::{Principal, Role};

use super::desk::{Desk, at_the_desk};

pub(super) const EMAIL: &str = "ana@example.org";
pub(super) const PASSWORD: &str = "a short sentence to keep";

/// From the link in the log to a signed-in admin.
async fn set_up(desk: &Desk) {
    let link = desk.engine.setup_link(&Principal::system()).await.unwrap();
    desk.open(&link.path.unwrap()).await;
    desk.fill("#f-email", EMAIL).await;
    desk.fill("#f-name", "Ana Lindqvist").await;
    desk.fill("#f-password", PASSWORD).await;
    desk.press("Make the account").await;
    desk.arrive("/").await;
}

pub(super) async fn sign_out(desk: &Desk) {
    desk.run("document.querySelector('.side form').requestSubmit()")
        .await;
    desk.arrive("/login").await;
}

async fn sign_in(desk: &Desk, password: &str) {
    desk.fill("#f-email", EMAIL).await;
    desk.fill("#f-password", password).await;
    desk.press("Sign in").await;
}

#[tokio::test]
async fn the_first_admin_comes_in_by_a_link_and_then_by_a_password() {
    at_the_desk(async |desk| {
        set_up(desk).await;
        assert!(desk.text(".notice").await.contains("Welcome"));
        assert_eq!(desk.text(".side .who strong").await, "Ana Lindqvist");
        assert_eq!(desk.text("h1").await, "Overview");

        sign_out(desk).await;
        assert_eq!(desk.text(".notice").await, "You are signed out.");
        // What was asked for is shown after signing in.
        desk.open("/users?role=admin").await;
        desk.arrive("/login").await;
        sign_in(desk, "not the sentence").await;
        desk.wait_for("[role=alert]").await;
        let said = desk.text("[role=alert]").await;
        assert_eq!(said, "The email or the password is wrong.");
        let typed = "return document.querySelector('#f-email').value + '|' + document.querySelector('#f-password').value";
        assert_eq!(desk.run(typed).await, format!("{EMAIL}|"));

        sign_in(desk, PASSWORD).await;
        desk.arrive("/users").await;
        assert_eq!(desk.place().await, "/users?role=admin");
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_said_beside_its_field_and_the_link_stays_good() {
    at_the_desk(async |desk| {
        let link = desk.engine.setup_link(&Principal::system()).await.unwrap();
        let path = link.path.unwrap();
        desk.open(&path).await;
        desk.fill("#f-email", "ana").await;
        desk.fill("#f-password", "short").await;
        desk.press("Make the account").await;
        desk.wait_for("[role=alert]").await;
        let error = desk.text("#f-email-error").await;
        assert_eq!(error, "This must be an email: something, @, and a host.");
        let error = desk.text("#f-password-error").await;
        assert!(error.contains("at least 12"), "{error}");
        // The summary has the focus and leads to the fields.
        let focused = "return document.activeElement.getAttribute('role')";
        assert_eq!(desk.run(focused).await, "alert");
        let linked = "return [...document.querySelectorAll('[role=alert] a')].every((a) => document.querySelector(a.hash))";
        assert_eq!(desk.run(linked).await, true);

        desk.fill("#f-email", EMAIL).await;
        desk.fill("#f-password", PASSWORD).await;
        desk.press("Make the account").await;
        desk.arrive("/").await;
        sign_out(desk).await;
        desk.open(&path).await;
        assert_eq!(desk.text("h1").await, "This link is over");
    })
    .await;
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    at_the_desk(async |desk| {
        set_up(desk).await;
        sign_out(desk).await;
        desk.open("/login").await;
        // The cursor is where one begins.
        desk.type_text(EMAIL).await;
        desk.key("Tab").await;
        desk.type_text(PASSWORD).await;
        desk.key("Enter").await;
        desk.arrive("/").await;

        // The first stop skips the navigation, and every stop can be seen.
        desk.key("Tab").await;
        let focused = "return document.activeElement.className";
        assert_eq!(desk.run(focused).await, "skip");
        let seen = "const { top, height } = document.activeElement.getBoundingClientRect();
            return top >= 0 && height > 0";
        assert_eq!(desk.run(seen).await, true);
        desk.key("Enter").await;
        assert_eq!(desk.run("return location.hash").await, "#main");
        desk.key("Tab").await;
        let inside = "return document.querySelector('main').contains(document.activeElement)";
        assert_eq!(desk.run(inside).await, true);
        let shadow = "return getComputedStyle(document.activeElement).boxShadow";
        assert_ne!(desk.run(shadow).await, "none");
    })
    .await;
}

#[tokio::test]
async fn clients_come_in_and_are_not_shown_what_is_for_admins() {
    at_the_desk(async |desk| {
        desk.enter("client@example.org", Role::Client).await;
        let links = "return [...document.querySelectorAll('.side a')].map((a) => a.pathname).includes('/users')";
        assert_eq!(desk.run(links).await, false);
    })
    .await;
}
