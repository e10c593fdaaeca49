//! Looking at a page of a customer, which the server does for nothing but to find the snippet on it.

use std::fmt;

use futures_util::future::BoxFuture;

/// Fetches pages that strangers name, and so has to be careful what it talks to.
///
/// It asks by `GET`, for 5 seconds and 1 MiB at most, and follows no redirect. A name is resolved
/// once, and what is connected to is an address that it resolved to; one that is not
/// [public](crate::is_public_address) is refused.
pub trait PageFetcher: fmt::Debug + Send + Sync {
    /// Fetches the page at `url`, which is of `http` or `https`.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<FetchedPage, FetchFailure>>;
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPage {
    /// The status that it came with.
    pub status: u16,
    /// What it holds, or the first MiB of it.
    pub body: String,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// The name stands for an address that is nobody's on the internet.
    #[error("the site is at an address that is not public")]
    AddressRefused,
    /// Nobody answered in time, or not in HTTP.
    #[error("the site cannot be reached: {0}")]
    Unreachable(String),
}
