//! Accounts: who they are, what they may do, and how they come in.

use std::net::IpAddr;

use time::OffsetDateTime;

use crate::{ApiKeyId, SessionId, UserId, Violations, to_micros, words};

/// The fewest characters of a password (NIST SP 800-63B asks for 8 and advises 15).
pub const MIN_PASSWORD: usize = 12;

/// The most characters of a password: more would only cost time.
pub const MAX_PASSWORD: usize = 256;

/// Passwords of [`MIN_PASSWORD`] characters or more that lists of stolen ones begin with.
const COMMON: [&str; 36] = [
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789012345",
    "1234567890123456",
    "123123123123",
    "111111111111",
    "000000000000",
    "123456123456",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "1qazxsw23edc",
    "q1w2e3r4t5y6",
    "qwerty123456",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyqwerty",
    "qwerty1234567",
    "asdfghjkl123",
    "asdfasdfasdf",
    "abcdefghijkl",
    "abcdefgh1234",
    "abc123abc123",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "password123!",
    "passw0rd1234",
    "administrator",
    "administrator1",
    "adminadminadmin",
    "letmein12345",
    "iloveyou1234",
    "unbelievable",
    "correcthorsebatterystaple",
];

words! {
    /// What an account may see.
    Role {
        /// Everybody's experiments.
        Admin => "admin",
        /// Its own.
        Client => "client",
    }
}

words! {
    /// What a token may be used for.
    Scope {
        /// Create and change experiments; includes `read`.
        Manage => "manage",
        /// Assign visitors and report conversions.
        Assign => "assign",
        /// See experiments, results and trails.
        Read => "read",
    }
}

words! {
    /// What a link lets somebody do, once.
    LinkKind {
        /// Make the first admin of a server.
        Setup => "setup",
        /// Set the first password of an account that somebody else made.
        Invite => "invite",
        /// Set a new password.
        Reset => "reset",
        /// Sign in without a password.
        SignIn => "sign_in",
    }
}

impl LinkKind {
    /// Whether whoever uses it has to choose a password.
    #[must_use]
    pub const fn wants_password(self) -> bool {
        !matches!(self, Self::SignIn)
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The email, by which its owner signs in.
    pub email: String,
    /// The name of its owner.
    pub name: Option<String>,
    /// Where the owner works.
    pub company: Option<String>,
    /// What it may see.
    pub role: Role,
    /// Whether it has a password: not while an invitation is open, nor if it is only used by keys.
    pub has_password: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When somebody last signed in.
    pub last_login_at: Option<OffsetDateTime>,
    /// Since when nobody comes in with it; `None`: it is in use.
    pub disabled_at: Option<OffsetDateTime>,
    /// When it was last changed; each change has a time of its own. Signing in is none.
    pub updated_at: OffsetDateTime,
}

impl User {
    /// What tells one state of the account from another: grows with each change.
    #[must_use]
    pub fn version(&self) -> i64 {
        to_micros(self.updated_at)
    }
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSession {
    /// Its id.
    pub id: SessionId,
    /// When its user signed in.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// When it was last used, to within a minute or so.
    pub last_seen_at: OffsetDateTime,
    /// The browser at sign-in, as it calls itself.
    pub user_agent: Option<String>,
    /// The address at sign-in.
    pub address: Option<IpAddr>,
}

/// A key of a program that calls the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What its owner calls it.
    pub name: String,
    /// The first characters of the token, to recognise it by.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until when it is good; `None`: for ever.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last used, to within a minute or so.
    pub last_used_at: Option<OffsetDateTime>,
}

/// The rules of accounts.
impl Violations {
    /// Checks an email: 3 to 255 characters with one `@` inside, no white space. Whether mail arrives
    /// there, only a mail can tell.
    pub fn email(&mut self, pointer: &str, email: &str) {
        self.text(pointer, email, 255);
        let halves = email.split_once('@');
        let is_mail = halves.is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@')
        });
        let has_white = email.contains(|c: char| c.is_whitespace() || c.is_control());
        if !email.trim().is_empty() && (!is_mail || has_white) {
            let detail = "must be an email: something, @, and a host";
            self.add(pointer, "malformed", detail);
        }
    }

    /// Checks a password that somebody chooses for the account with `email`.
    pub fn password(&mut self, pointer: &str, password: &str, email: &str) {
        let chars = password.chars().count();
        if chars < MIN_PASSWORD {
            let detail = format!("has {chars} characters, at least {MIN_PASSWORD} are needed");
            self.add(pointer, "too_short", detail);
        }
        self.length(pointer, password, MAX_PASSWORD);
        let lower = password.to_lowercase();
        if COMMON.contains(&lower.as_str()) {
            let detail = "is among the first that anybody would try";
            self.add(pointer, "too_common", detail);
        } else if !email.is_empty() && lower == email.to_lowercase() {
            self.add(pointer, "is_email", "must not be the email");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{COMMON, MAX_PASSWORD, MIN_PASSWORD, Violations};

    fn codes(check: impl FnOnce(&mut Violations)) -> Vec<&'static str> {
        let mut violations = Violations::default();
        check(&mut violations);
        violations.0.iter().map(|v| v.code).collect()
    }

    #[test]
    fn passwords_are_long_enough_and_not_the_first_that_anybody_tries() {
        let check = |password: &str| codes(|v| v.password("/p", password, "ana@example.org"));
        for good in [
            "a long sentence",
            "äöüäöüäöüäöü",
            &"x".repeat(MAX_PASSWORD),
            "  spaces  stay  ",
        ] {
            assert_eq!(check(good), [""; 0], "{good}");
        }
        assert_eq!(check("short"), ["too_short"]);
        assert_eq!(check(&"ä".repeat(MIN_PASSWORD - 1)), ["too_short"]);
        assert_eq!(check(&"x".repeat(MAX_PASSWORD + 1)), ["too_long"]);
        assert_eq!(check("Password1234"), ["too_common"]);
        assert_eq!(check("Ana@Example.org"), ["is_email"]);
        assert_eq!(check("with\0nul inside"), ["nul_character"]);
    }

    #[test]
    fn the_list_of_common_passwords_holds_only_what_would_pass_otherwise() {
        for common in COMMON {
            assert!(common.chars().count() >= MIN_PASSWORD, "{common}");
            assert_eq!(common, common.to_lowercase());
        }
    }

    #[test]
    fn emails_have_two_halves() {
        let check = |email: &str| codes(|v| v.email("/e", email));
        for good in [
            "a@b",
            "ana+test@example.org",
            "Ana@Example.ORG",
            "ü@ü.example",
        ] {
            assert_eq!(check(good), [""; 0], "{good}");
        }
        for bad in [
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b\n",
            "a@b\r\nBcc: c@d",
        ] {
            assert_eq!(check(bad), ["malformed"], "{bad}");
        }
        assert_eq!(check(" "), ["required"]);
        assert_eq!(check(&format!("a@{}", "b".repeat(254))), ["too_long"]);
    }
}
