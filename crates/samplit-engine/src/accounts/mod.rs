//! People: accounts with their passwords, sessions, links and keys, and who changed what.
//!
//! What lets somebody in is random and stored as its SHA-256 only. A password is stored as its Argon2id
//! hash, made and compared by two threads at most, and a wrong email takes as long as a wrong password.

mod activity;
mod keys;
mod links;
mod mail;
mod password;
mod passwords;
mod sessions;
mod strangers;
mod throttle;
mod tries;
mod users;

pub(crate) use activity::Subject;
pub use activity::in_request;
pub use keys::NewKey;
pub use links::{Link, LinkInfo, Redeem};
pub use mail::{Mail, MailSender, Mailing};
pub use password::Password;
pub(crate) use passwords::Passwords;
pub use sessions::{Device, NewSession, SignedIn, SignedInToken};
pub(crate) use sessions::{KnownSession, acting};
pub(crate) use strangers::Strangers;
pub(crate) use throttle::Throttle;
pub use users::{AccountChange, NewUser, UserChange, UserFilter};
