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
mod tests {
    use samplit_engine::Status;

    use super::{Facts, verdict};

    /// A leader that is nearly there.
    fn facts() -> Facts<'static> {
        Facts {
            status: Status::Active,
            visitors: 12_000,
            conversions: 700,
            fewest: 1_500,
            warm_up: 100,
            leader: "green",
            is_control: false,
            p_best: 0.963,
            lift: Some((0.12, [0.03, 0.214])),
            expected_loss: 0.000_21,
            gain: Some(6.2),
            value_gain: None,
            is_tied: false,
            rival: Some(("grey", 0.000_84)),
            is_proven: false,
            may_stop: false,
            may_all_stop: true,
            days_to_go: Some(5.3),
            mismatch: None,
            winner: None,
            is_sealed: false,
        }
    }

    #[track_caller]
    fn check(facts: &Facts<'_>, expected: [&str; 4]) {
        let said = verdict(facts);
        let plain = |text: &str| text.replace('\u{202f}', " ").replace('\u{2212}', "-");
        let said = [said.kind, &said.title, &said.sentence, &said.advice].map(plain);
        assert_eq!(said, expected.map(str::to_owned));
    }

    const LEADS: &str = "It is 96.3 % likely to be the best, with +12 % conversions against control \
        (95 % sure: +3.0 % to +21 %). That is worth about 6.2 more conversions per 1000 visitors. \
        Choosing it now gives up 0.21 conversions per 1000 visitors on average, all doubts weighed.";

    #[test]
    fn a_running_experiment_says_who_leads_and_how_long_to_wait() {
        let wait = "Keep running about 6 days at this pace, until the stopping rule is met.";
        check(&facts(), ["info", "“green” leads", LEADS, wait]);
        let soon = Facts {
            days_to_go: Some(0.4),
            ..facts()
        };
        check(
            &soon,
            ["info", "“green” leads", LEADS, "Keep running about a day."],
        );
        let unknown = Facts {
            days_to_go: None,
            ..facts()
        };
        let wait =
            "Keep running until the stopping rule is met; how long that takes cannot be told yet.";
        check(&unknown, ["info", "“green” leads", LEADS, wait]);
        let paused = Facts {
            status: Status::Paused,
            ..facts()
        };
        let wait = "It is paused: nobody new takes part. Resume it to learn more.";
        check(&paused, ["info", "“green” leads", LEADS, wait]);
    }

    #[test]
    fn what_may_stop_is_shipped_or_kept() {
        let won = Facts {
            may_stop: true,
            is_proven: true,
            expected_loss: 0.000_001,
            value_gain: Some(311.4),
            ..facts()
        };
        let sentence = "It is 96.3 % likely to be the best, with +12 % conversions against control (95 % \
            sure: +3.0 % to +21 %). That is worth about 6.2 more conversions, or a value of 311.4, per 1000 \
            visitors. Choosing it now gives up next to nothing per 1000 visitors on average, all doubts \
            weighed. The difference is proven, however often you have looked.";
        let ship = "Ship “green”: the stopping rule is met. Complete the experiment to show it to everybody.";
        check(&won, ["good", "“green” wins", sentence, ship]);
        let kept = Facts {
            leader: "grey",
            is_control: true,
            lift: None,
            gain: None,
            p_best: 0.9997,
            expected_loss: 0.012,
            is_proven: false,
            value_gain: None,
            ..won
        };
        let sentence = "It is > 99.9 % likely to be the best. Choosing it now gives up 12 conversions per 1000 \
            visitors on average, all doubts weighed.";
        let keep = "Keep “grey”: the stopping rule is met, and no variant is shown to beat it.";
        let title = "“grey”, the control, leads";
        check(&kept, ["good", title, sentence, keep]);
        let proven = Facts {
            is_proven: true,
            ..kept
        };
        let said = verdict(&proven);
        assert!(
            said.advice
                .ends_with("every variant is proven to do worse."),
            "{said:?}"
        );
        let end = " That every variant does worse is proven, however often you have looked.";
        assert!(said.sentence.ends_with(end), "{said:?}");
    }

    #[test]
    fn nothing_is_made_of_little() {
        let few = Facts {
            fewest: 99,
            visitors: 201,
            conversions: 44,
            days_to_go: Some(9.0),
            ..facts()
        };
        let sentence = "201 visitors and 44 conversions so far. With so few, whoever is ahead is ahead by \
            chance.";
        let wait = "Keep running about 9 days at this pace, until the stopping rule is met.";
        check(&few, ["info", "Too early to tell", sentence, wait]);
        let rare = Facts {
            conversions: 9,
            ..facts()
        };
        assert_eq!(verdict(&rare).title, "Too early to tell");
        let none = Facts {
            visitors: 0,
            fewest: 0,
            conversions: 0,
            ..facts()
        };
        assert_eq!(verdict(&none).title, "Waiting for the first visitor");
        let paused = Facts {
            status: Status::Paused,
            ..none
        };
        let wait = "It is paused: nobody new takes part. Resume it to learn more.";
        assert_eq!(verdict(&paused).advice, wait);
    }

    const UNCLEAR: &str = "The stopping rule is met; no clear winner";

    #[test]
    fn a_rule_that_is_met_makes_no_winner() {
        let close = Facts {
            may_stop: true,
            p_best: 0.8,
            lift: None,
            gain: None,
            ..facts()
        };
        let sentence = "“green” is 80.0 % likely to be the best. Choosing it now gives up 0.21 conversions \
            per 1000 visitors on average, all doubts weighed.";
        let either = "Either choice costs about 0.21 to 0.84 conversions per 1000 visitors on average. \
            Complete the experiment with “green” or “grey”, whichever suits you.";
        check(&close, ["info", UNCLEAR, sentence, either]);

        let advice = |loss, other, is_control| {
            let facts = Facts {
                expected_loss: loss,
                rival: Some(("blue", other)),
                is_control,
                may_all_stop: false,
                ..close.clone()
            };
            verdict(&facts).advice
        };
        let end = " To complete is to end all elements, and others may not stop yet.";
        let costs = "Either choice costs next to nothing per 1000 visitors on average.";
        assert_eq!(advice(0.0, 0.000_001, false), format!("{costs}{end}"));
        let costs =
            "Either choice costs at most about 2.0 conversions per 1000 visitors on average.";
        assert_eq!(advice(0.0, 0.002, false), format!("{costs}{end}"));
        let costs = "No variant is shown to beat “green”. Either choice costs about 2.0 conversions per \
            1000 visitors on average.";
        assert_eq!(advice(0.002, 0.002, true), format!("{costs}{end}"));

        // Just likely enough; and proven, though another variant may be better still.
        let title = |p_best, is_proven| {
            let facts = Facts {
                p_best,
                is_proven,
                ..close.clone()
            };
            verdict(&facts).title
        };
        assert_eq!(title(0.949, false), UNCLEAR);
        assert_eq!(title(0.95, false), "“green” wins");
        assert_eq!(title(0.6, true), "“green” is proven better than control");
    }

    #[test]
    fn a_rule_that_is_met_by_few_conversions_is_not_waited_for() {
        let rare = Facts {
            conversions: 9,
            may_stop: true,
            ..facts()
        };
        let said = verdict(&rare);
        assert_eq!(said.title, UNCLEAR);
        let sentence = "12 000 visitors and 9 conversions, too few to be sure which is better.";
        assert_eq!(said.sentence.replace('\u{202f}', " "), sentence);
        assert!(said.advice.starts_with("Either choice costs"), "{said:?}");
        let proven = Facts {
            is_proven: true,
            ..rare
        };
        assert_eq!(verdict(&proven).title, "“green” wins");
    }

    #[test]
    fn nothing_is_completed_before_every_element_may_stop() {
        let alone = Facts {
            may_stop: true,
            may_all_stop: false,
            ..facts()
        };
        let said = verdict(&alone);
        assert_eq!(said.title, "“green” wins");
        assert!(!said.advice.contains("Complete the experiment"), "{said:?}");
    }

    #[test]
    fn more_conversions_of_less_value_are_not_shipped() {
        let cheap = Facts {
            may_stop: true,
            is_proven: true,
            value_gain: Some(-311.4),
            ..facts()
        };
        let said = verdict(&cheap);
        assert_eq!(said.kind, "warn");
        assert_eq!(
            said.title,
            "“green” brings more conversions, but less value"
        );
        let worth = "about 6.2 more conversions, but 311.4 less value per 1000 visitors.";
        assert!(said.sentence.contains(worth), "{said:?}");
        assert!(!said.advice.contains("Ship"), "{said:?}");
        let running = Facts {
            may_stop: false,
            gain: None,
            ..cheap
        };
        let said = verdict(&running);
        assert_eq!((said.kind, said.title.as_str()), ("warn", "“green” leads"));
        let brings = "It brings 311.4 less value per 1000 visitors.";
        assert!(said.sentence.contains(brings), "{said:?}");
    }

    #[test]
    fn equals_do_not_lead() {
        let tied = Facts {
            p_best: 0.5,
            is_tied: true,
            ..facts()
        };
        let said = verdict(&tied);
        assert_eq!(said.title, "No variant leads");
        assert!(said.sentence.starts_with("“green” is 50"), "{said:?}");
    }

    #[test]
    fn a_split_that_is_wrong_goes_before_everything() {
        for status in [Status::Active, Status::Paused] {
            let wrong = Facts {
                status,
                may_stop: true,
                mismatch: Some(("grey", 5_120, 4_400.4)),
                ..facts()
            };
            let said = verdict(&wrong);
            assert_eq!(said.kind, "bad");
            assert!(said.title.starts_with("Stop: "), "{said:?}");
            let sentence =
                "“grey” got 5120 visitors where the weights lead one to expect about 4400.";
            assert!(said.sentence.starts_with(sentence), "{said:?}");
        }
        for (status, title) in [
            (Status::Completed, "Completed: everybody gets “green”. "),
            (Status::Archived, "Archived: nobody gets it any more. "),
        ] {
            let wrong = Facts {
                status,
                winner: Some("green"),
                mismatch: Some(("grey", 5_120, 4_400.4)),
                ..facts()
            };
            let said = verdict(&wrong);
            assert_eq!(said.kind, "bad");
            let wrong = "Visitors were not split as planned";
            assert_eq!(
                said.title,
                format!("{title}{wrong}"),
                "there is nothing to stop"
            );
            assert!(!said.advice.contains("begin anew"), "{said:?}");
        }
    }

    #[test]
    fn what_is_over_says_what_everybody_gets() {
        let over = Facts {
            status: Status::Completed,
            winner: Some("green"),
            ..facts()
        };
        let said = verdict(&over);
        assert_eq!(said.title, "Completed: everybody gets “green”");
        assert!(
            said.sentence.starts_with("“green” ended ahead. It is 96.3"),
            "{said:?}"
        );
        let archived = Facts {
            status: Status::Archived,
            ..over.clone()
        };
        assert!(verdict(&archived).advice.contains("its trail stays"));
        assert_eq!(
            verdict(&archived).title,
            "Archived: nobody gets it any more"
        );
        assert!(
            said.advice.contains("; then the trail is sealed."),
            "{said:?}"
        );
        assert!(said.advice.contains("Make “green” permanent"), "{said:?}");
        let sealed = Facts {
            is_sealed: true,
            ..over.clone()
        };
        let sealed = verdict(&sealed).advice;
        assert!(
            sealed.starts_with("No conversion counts any more"),
            "{sealed}"
        );
        assert!(!sealed.contains("then the trail"), "{sealed}");
        let sentence = |visitors, conversions, is_tied| {
            let facts = Facts {
                visitors,
                conversions,
                is_tied,
                ..over.clone()
            };
            verdict(&facts).sentence
        };
        assert_eq!(sentence(0, 0, false), "Nobody took part.");
        let none = "400 visitors, and nobody converted, too few to say which is better.";
        assert_eq!(sentence(400, 0, true), none);
        let few = "400 visitors and 3 conversions, too few to say which is better.";
        assert_eq!(sentence(400, 3, false), few);
        let tied = sentence(400, 80, true);
        assert!(
            tied.starts_with("Nobody ended ahead. “green” is 96.3"),
            "{tied}"
        );
    }
}
