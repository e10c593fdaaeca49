//! Sites that carry the snippet: the list of them, and each with all that can be done.

mod list;
mod one;

pub(crate) use list::{create, list};
pub(crate) use one::{change, show};

use samplit_domain::{Installation, InstallationStatus, Platform};

use super::field::Choice;

/// What an installation is in, as a badge: the word of its colour, and what it says.
fn state(installation: &Installation) -> (&'static str, &'static str) {
    match installation.status {
        InstallationStatus::Disabled => ("disabled", "disabled"),
        InstallationStatus::Uninstalled => ("disabled", "uninstalled"),
        InstallationStatus::Active if installation.verified_at.is_none() => {
            ("warn", "snippet not seen")
        }
        InstallationStatus::Active => ("active", "working"),
    }
}

fn platform(platform: Platform) -> &'static str {
    match platform {
        Platform::Custom => "Any site",
        Platform::Shopify => "Shopify",
        Platform::WordPress => "WordPress",
    }
}

/// The platforms that somebody may choose; a shop of Shopify grants its access itself.
fn platforms() -> Vec<Choice> {
    let chosen = [Platform::Custom, Platform::WordPress];
    let choice = |of: Platform| Choice::new(of.as_str(), platform(of), "");
    chosen.into_iter().map(choice).collect()
}
