//! The one sentence: who leads, how surely, what it is worth, and what to do now. A pure function of the
//! facts, so that a table of cases can say what it says.

use samplit_engine::Status;

use super::facts::Facts;
use crate::dashboard::format::{chance, change, count, plural, value};

/// So likely to be the best is called the winner, if the stopping rule is met.
const LIKELY: f64 = 0.95;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `good`, `info`, `warn` or `bad`.
    pub(crate) kind: &'static str,
    /// In a few words.
    pub(crate) title: String,
    /// How surely, by how much.
    pub(crate) sentence: String,
    /// What to do now.
    pub(crate) advice: String,
}

/// Says it.
pub(crate) fn verdict(facts: &Facts<'_>) -> Verdict {
    if let Some(mismatch) = facts.mismatch {
        return mismatched(facts, mismatch);
    }
    if facts.is_over() {
        return over(facts);
    }
    if facts.visitors == 0 {
        return Verdict {
            kind: "info",
            title: "Waiting for the first visitor".to_owned(),
            sentence: "Nobody has been assigned yet.".to_owned(),
            advice: paused(facts).unwrap_or_else(|| {
                "If visitors should be coming, check that the snippet is on the page, or that your \
                 server asks for assignments."
                    .to_owned()
            }),
        };
    }
    if facts.may_stop {
        return decidable(facts);
    }
    let advice = paused(facts).unwrap_or_else(|| keep_running(facts));
    if facts.is_early() {
        return Verdict {
            kind: "info",
            title: "Too early to tell".to_owned(),
            sentence: format!(
                "{} and {} so far. With so few, whoever is ahead is ahead by chance.",
                plural(facts.visitors, "visitor"),
                plural(facts.conversions, "conversion"),
            ),
            advice,
        };
    }
    let subject = if facts.is_tied { facts.leader } else { "" };
    Verdict {
        kind: if facts.value_lost().is_some() {
            "warn"
        } else {
            "info"
        },
        title: leads(facts),
        sentence: evidence(facts, subject),
        advice,
    }
}

/// Somebody was lost or counted twice: nothing else is worth saying.
fn mismatched(facts: &Facts<'_>, (arm, seen, expected): (&str, u64, f64)) -> Verdict {
    let causes =
        "redirects, caches, a variant that breaks the page, or visits that are counted twice";
    let (title, advice) = if facts.is_over() {
        (
            format!("{}. Visitors were not split as planned", ended(facts)),
            format!("Do not build on it. Find the cause before the next experiment: {causes}."),
        )
    } else {
        (
            "Stop: visitors were not split as planned".to_owned(),
            format!("Find the cause before you decide anything: {causes}. Then begin anew."),
        )
    };
    Verdict {
        kind: "bad",
        title,
        sentence: format!(
            "“{arm}” got {} where the weights lead one to expect about {}. Something loses or doubles \
             visitors, and then no comparison below can be trusted.",
            plural(seen, "visitor"),
            value(expected.round()),
        ),
        advice,
    }
}

/// What it came to.
fn ended(facts: &Facts<'_>) -> String {
    match facts.winner {
        _ if facts.status == Status::Archived => "Archived: nobody gets it any more".to_owned(),
        Some(winner) => format!("Completed: everybody gets “{winner}”"),
        None => "Completed".to_owned(),
    }
}

fn over(facts: &Facts<'_>) -> Verdict {
    let leader = facts.leader;
    let sentence = if facts.visitors == 0 {
        "Nobody took part.".to_owned()
    } else if facts.is_rare() {
        format!("{}, too few to say which is better.", came(facts))
    } else if facts.is_tied {
        format!("Nobody ended ahead. {}", evidence(facts, leader))
    } else {
        format!("“{leader}” ended ahead. {}", evidence(facts, ""))
    };
    let trail = if facts.is_sealed {
        "No conversion counts any more, and the trail is sealed."
    } else {
        "Late conversions still count for a while; then the trail is sealed."
    };
    let advice = match facts.winner {
        _ if facts.status == Status::Archived => {
            "The experiment is archived; its trail stays.".to_owned()
        }
        Some(winner) => {
            format!("{trail} Make “{winner}” permanent on your site, and archive the experiment.")
        }
        None => format!("{trail} Archive the experiment when you are done with it."),
    };
    Verdict {
        kind: "info",
        title: ended(facts),
        sentence,
        advice,
    }
}

/// The rule is met, which does not say by itself that anybody won.
fn decidable(facts: &Facts<'_>) -> Verdict {
    let leader = facts.leader;
    let is_likely = facts.p_best >= LIKELY;
    if facts.is_rare() || !(facts.is_proven || is_likely) {
        return Verdict {
            kind: if facts.value_lost().is_some() {
                "warn"
            } else {
                "info"
            },
            title: "The stopping rule is met; no clear winner".to_owned(),
            sentence: if facts.is_rare() {
                format!("{}, too few to be sure which is better.", came(facts))
            } else {
                evidence(facts, leader)
            },
            advice: either(facts),
        };
    }
    let (kind, title, advice) = if facts.is_control {
        let shown = if facts.is_proven {
            "every variant is proven to do worse"
        } else {
            "no variant is shown to beat it"
        };
        let keep = format!("Keep “{leader}”: the stopping rule is met, and {shown}.");
        ("good", leads(facts), keep)
    } else if facts.value_lost().is_some() {
        let decide = format!(
            "Decide what counts, conversions or value: the stopping rule is met, and “{leader}” does not \
             bring more of both."
        );
        let title = format!("“{leader}” brings more conversions, but less value");
        ("warn", title, decide)
    } else {
        let then = if facts.may_all_stop {
            "Complete the experiment to show it to everybody."
        } else {
            "To complete is to end all elements, and others may not stop yet."
        };
        let title = if is_likely {
            format!("“{leader}” wins")
        } else {
            format!("“{leader}” is proven better than control")
        };
        let ship = format!("Ship “{leader}”: the stopping rule is met. {then}");
        ("good", title, ship)
    };
    Verdict {
        kind,
        title,
        sentence: evidence(facts, ""),
        advice,
    }
}

/// How many came and converted.
fn came(facts: &Facts<'_>) -> String {
    let visitors = plural(facts.visitors, "visitor");
    match facts.conversions {
        0 => format!("{visitors}, and nobody converted"),
        some => format!("{visitors} and {}", plural(some, "conversion")),
    }
}

/// What it costs to choose either way, where nobody won.
fn either(facts: &Facts<'_>) -> String {
    let (leader, Some((rival, loss))) = (facts.leader, facts.rival) else {
        return "There is nothing else to choose.".to_owned();
    };
    let (low, high) = (facts.expected_loss.min(loss), facts.expected_loss.max(loss));
    let costs = match (lost(low), lost(high)) {
        (low, high) if low == high && is_nothing(loss) => low,
        (low, high) if low == high => format!("about {high}"),
        (_, high) if is_nothing(low) => format!("at most about {high}"),
        (_, high) => format!("about {} to {high}", few(1_000.0 * low)),
    };
    let first = if facts.is_control {
        format!("No variant is shown to beat “{leader}”. ")
    } else {
        String::new()
    };
    let then = if facts.may_all_stop {
        format!("Complete the experiment with “{leader}” or “{rival}”, whichever suits you.")
    } else {
        "To complete is to end all elements, and others may not stop yet.".to_owned()
    };
    format!("{first}Either choice costs {costs} per 1000 visitors on average. {then}")
}

fn leads(facts: &Facts<'_>) -> String {
    let leader = facts.leader;
    if facts.is_tied {
        "No variant leads".to_owned()
    } else if facts.is_control {
        format!("“{leader}”, the control, leads")
    } else {
        format!("“{leader}” leads")
    }
}

/// How surely, by how much, at what risk, and what it is worth; of `subject`, or of whom was just named.
fn evidence(facts: &Facts<'_>, subject: &str) -> String {
    let subject = match subject {
        "" => "It".to_owned(),
        name => format!("“{name}”"),
    };
    let mut said = format!(
        "{subject} is {} likely to be the best",
        chance(facts.p_best)
    );
    if let Some((median, [low, high])) = facts.lift {
        said += &format!(
            ", with {} conversions against control (95\u{202f}% sure: {} to {})",
            change(median),
            change(low),
            change(high)
        );
    }
    said += ". ";
    let value_gain = facts.value_gain.filter(|gain| *gain > 0.0);
    let value_lost = facts.value_lost();
    if let Some(gain) = facts.gain.filter(|gain| *gain > 0.0) {
        said += &format!("That is worth about {} more conversions", few(gain));
        if let Some(gain) = value_gain {
            said += &format!(", or a value of {},", value(gain));
        } else if let Some(lost) = value_lost {
            said += &format!(", but {} less value", value(lost));
        }
        said += " per 1000 visitors. ";
    } else if let Some(lost) = value_lost {
        said += &format!("It brings {} less value per 1000 visitors. ", value(lost));
    }
    said += &format!(
        "Choosing it now gives up {} per 1000 visitors on average, all doubts weighed.",
        lost(facts.expected_loss)
    );
    if facts.is_proven {
        said += if facts.is_control {
            " That every variant does worse is proven, however often you have looked."
        } else {
            " The difference is proven, however often you have looked."
        };
    }
    said
}

/// Conversions per visitor, as so many of 1,000 visitors.
fn lost(loss: f64) -> String {
    if is_nothing(loss) {
        "next to nothing".to_owned()
    } else {
        format!("{} conversions", few(1_000.0 * loss))
    }
}

/// Whether a loss of so many conversions per visitor is nothing to speak of.
fn is_nothing(loss: f64) -> bool {
    1_000.0 * loss < 0.005
}

/// Two digits that say something.
fn few(number: f64) -> String {
    if number >= 10.0 {
        count(whole(number))
    } else if number >= 1.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number for people; out of range it saturates"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn keep_running(facts: &Facts<'_>) -> String {
    match facts.days_to_go.map(f64::ceil) {
        Some(days) if days <= 1.0 => "Keep running about a day.".to_owned(),
        Some(days) => format!(
            "Keep running about {} at this pace, until the stopping rule is met.",
            plural(whole(days), "day")
        ),
        None => {
            "Keep running until the stopping rule is met; how long that takes cannot be told yet."
                .to_owned()
        }
    }
}

/// What there is to do while it is paused.
fn paused(facts: &Facts<'_>) -> Option<String> {
    let is_paused = facts.status == Status::Paused;
    is_paused.then(|| "It is paused: nobody new takes part. Resume it to learn more.".to_owned())
}

#[cfg(test)]
mod tests;
