//! Hashes of passwords: Argon2id, a few at once.
//!
//! One hash takes 19 MiB and tens of milliseconds of a core, so that guessing is dear. It would be as dear
//! to us if everybody could ask for one at a time of their own choosing: hence two at once, a short queue,
//! and beyond that a refusal. A hash under way keeps its place even when nobody waits for it any more.

use std::sync::Arc;

use argon2::password_hash::SaltString;
use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
};
use tokio::sync::Semaphore;

use super::Password;
use crate::{Entropy, Error, ErrorKind};

/// Memory of one hash, in KiB; with the passes and lanes as OWASP's cheat sheet has them.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes under way at once.
const AT_ONCE: usize = 2;

/// Those who may wait for one.
const WAITING: usize = 32;

/// Compared with where there is no password: it takes as long, and nothing matches it, as nobody knows
/// anything that hashes to it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FtcGxpdC1ub2JvZHkuLg$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Debug)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// What is stored of a password.
    pub(crate) async fn hash(
        &self,
        password: &Password,
        entropy: &dyn Entropy,
    ) -> Result<String, Error> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt);
        let password = password.clone();
        self.work(move || {
            let salt = SaltString::encode_b64(&salt).map_err(unusable)?;
            let hash = hasher()?.hash_password(password.expose().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(unusable)
        })
        .await?
    }

    /// Whether a password is the one that was stored. It takes as long where none was.
    pub(crate) async fn verify(
        &self,
        password: &Password,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        let password = password.clone();
        self.work(move || {
            // Whatever else stands there was written past us, and nobody comes in by it.
            let stored = stored
                .as_deref()
                .and_then(|hash| PasswordHash::new(hash).ok());
            let is_ours = stored.is_some();
            let stored = stored.map_or_else(|| PasswordHash::new(NOBODY).map_err(unusable), Ok)?;
            let right = hasher()?.verify_password(password.expose().as_bytes(), &stored);
            Ok(right.is_ok() && is_ours)
        })
        .await?
    }

    /// Takes every place, as a crowd would.
    #[cfg(test)]
    pub(super) fn occupy(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(AT_ONCE + WAITING).expect("they are few");
        let places = Arc::clone(&self.places).try_acquire_many_owned(all);
        places.expect("nobody else is there")
    }

    /// Runs `hash` on a thread that may block.
    async fn work<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_full| ErrorKind::Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = hash();
            drop((turn, place));
            done
        });
        done.await.map_err(Error::internal)
    }
}

fn hasher() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY, PASSES, LANES, None);
    let params = params.map_err(|error| Error::internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Without the error itself, which is that of a crate without `std`.
fn unusable(error: argon2::password_hash::Error) -> Error {
    Error::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use argon2::PasswordHash;

    use super::{AT_ONCE, NOBODY, Passwords, WAITING};
    use crate::{ErrorKind, Password, SeededEntropy};

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_passes() {
        let (passwords, entropy) = (Passwords::default(), SeededEntropy::new(1));
        let password = Password::from("a long sentence");
        let hash = passwords.hash(&password, &entropy).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let again = passwords.hash(&password, &entropy).await.unwrap();
        assert_ne!(hash, again, "each has a salt of its own");
        let other = Password::from("a long sentencE");
        for (password, stored, expected) in [
            (&password, Some(hash.as_str()), true),
            (&password, Some(&again), true),
            (&other, Some(&hash), false),
            (&password, None, false),
            (&password, Some("!"), false),
            (&password, Some("$2b$12$notOurs"), false),
            (&Password::from(""), None, false),
        ] {
            let right = passwords.verify(password, stored.map(str::to_owned)).await;
            assert_eq!(right.unwrap(), expected, "{stored:?}");
        }
    }

    /// The same work is done for nobody.
    #[test]
    fn nobodys_hash_has_the_parameters_of_everybodys() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let (m, t, p) = ("m", "t", "p");
        let of = |name| nobody.params.get_decimal(name);
        assert_eq!(nobody.algorithm.as_str(), "argon2id");
        assert_eq!(
            (of(m), of(t), of(p)),
            (Some(super::MEMORY), Some(super::PASSES), Some(super::LANES))
        );
        assert_eq!(nobody.hash.unwrap().len(), 32);
    }

    #[tokio::test]
    async fn the_queue_is_short_and_is_free_again_afterwards() {
        let passwords = Arc::new(Passwords::default());
        let all = passwords.turns.acquire_many(2).await.unwrap();
        let waiting: Vec<_> = (0..AT_ONCE + WAITING)
            .map(|_| {
                let passwords = Arc::clone(&passwords);
                tokio::spawn(async move { passwords.work(|| ()).await })
            })
            .collect();
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = passwords.work(|| ()).await.unwrap_err();
        assert_eq!(refused.kind(), &ErrorKind::Overloaded);
        drop(all);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        passwords.work(|| ()).await.unwrap();
    }
}
