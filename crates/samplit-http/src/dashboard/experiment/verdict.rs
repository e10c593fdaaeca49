//! The one sentence: who leads, how surely, what it is worth, and what to do now. A pure function of the
//! results, so that a table of cases can say what it says.

use samplit_engine::{ElementResults, LiveResults, Status};

use crate::dashboard::format::{chance, change, count, plural, value};

/// Fewer conversions than that say nothing about anything.
const FEW_CONVERSIONS: u64 = 10;

/// What there is to say about one draw.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts<'a> {
    pub(crate) status: Status,
    pub(crate) visitors: u64,
    pub(crate) conversions: u64,
    /// Visitors of the arm that has fewest of those that new visitors may get.
    pub(crate) fewest: u64,
    /// Visitors that every arm needs before anything is said of it.
    pub(crate) warm_up: u64,
    pub(crate) leader: &'a str,
    pub(crate) is_control: bool,
    pub(crate) p_best: f64,
    /// Of the leader against control: the median and the 95 % interval.
    pub(crate) lift: Option<(f64, [f64; 2])>,
    /// Conversions per visitor lost on average by choosing the leader now.
    pub(crate) expected_loss: f64,
    /// Conversions per 1,000 visitors that the leader brings beyond control.
    pub(crate) gain: Option<f64>,
    /// Value per 1,000 visitors that it brings beyond control, where value is measured.
    pub(crate) value_gain: Option<f64>,
    /// Whether the leader's difference from control is proven at any look.
    pub(crate) is_proven: bool,
    pub(crate) may_stop: bool,
    /// Days until it may stop, at this pace.
    pub(crate) days_to_go: Option<f64>,
    /// An arm whose visitors are not as many as the weights say, with those that came and those that
    /// were expected.
    pub(crate) mismatch: Option<(&'a str, u64, f64)>,
    /// What everybody gets, once it is completed.
    pub(crate) winner: Option<&'a str>,
}

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

impl<'a> Facts<'a> {
    /// The facts of draw `element`.
    pub(crate) fn of(live: &'a LiveResults, element: usize) -> Option<Self> {
        let results = &live.results;
        let experiment = &results.experiment;
        let draw = results.elements.get(element)?;
        let leader = draw.arms.get(draw.stopping.leader)?;
        let control = draw.arms.iter().find(|arm| arm.is_control);
        let value_of = |arm: &samplit_engine::ArmResults| arm.value.map(|value| value.mean);
        let value_gain = value_of(leader).zip(control.and_then(value_of));
        let proven = leader.evidence.versus_control;
        let active = draw.arms.iter().filter(|arm| arm.is_active);
        Some(Self {
            status: experiment.status,
            visitors: results.visitors,
            conversions: results.conversions,
            fewest: active.map(|arm| arm.assignments).min().unwrap_or(0),
            warm_up: experiment.allocation.warm_up,
            leader: &leader.name,
            is_control: leader.is_control,
            p_best: leader.p_best,
            lift: leader.lift.map(|lift| (lift.median, lift.interval)),
            expected_loss: leader.expected_loss,
            gain: leader.expected_gain_per_1000,
            value_gain: value_gain.map(|(leader, control)| 1_000.0 * (leader - control)),
            is_proven: proven.is_some_and(|difference| difference.excludes_zero),
            may_stop: draw.stopping.may_stop,
            days_to_go: live.days_to_go.get(element).copied().flatten(),
            mismatch: mismatch(draw),
            winner: winner(live, element),
        })
    }
}

/// The arm that is furthest from what was expected, if the split is not what the weights say.
fn mismatch(draw: &ElementResults) -> Option<(&str, u64, f64)> {
    let ratio = draw.sample_ratio.as_ref();
    let ratio = ratio.filter(|ratio| ratio.verdict == "mismatch")?;
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    let off =
        |(seen, expected): (u64, f64)| (seen as f64 - expected).abs() / expected.max(1.0).sqrt();
    let arms = ratio
        .observed
        .iter()
        .copied()
        .zip(ratio.expected.iter().copied());
    let worst = arms
        .enumerate()
        .max_by(|(_, one), (_, two)| off(*one).total_cmp(&off(*two)));
    let (arm, (seen, expected)) = worst?;
    Some((&draw.arms.get(arm)?.name, seen, expected))
}

/// The arm that everybody gets, once it is completed.
fn winner(live: &LiveResults, element: usize) -> Option<&str> {
    let experiment = &live.results.experiment;
    if !matches!(experiment.status, Status::Completed | Status::Archived) {
        return None;
    }
    let winners = experiment.winners();
    let arms = &live.results.elements.get(element)?.arms;
    let shown = arms.iter().find(|arm| {
        let is_shown = |variant| winners.contains(variant);
        !arm.variants.is_empty() && arm.variants.iter().all(is_shown)
    });
    shown.map(|arm| arm.name.as_str())
}

/// Says it.
pub(crate) fn verdict(facts: &Facts<'_>) -> Verdict {
    let said = |kind, title: String, sentence: String, advice: String| Verdict {
        kind,
        title,
        sentence,
        advice,
    };
    let leader = facts.leader;
    if let Some((arm, seen, expected)) = facts.mismatch {
        return said(
            "bad",
            "Stop: visitors were not split as planned".to_owned(),
            format!(
                "“{arm}” got {} where the weights lead one to expect about {}. Something loses or \
                 doubles visitors, and then no comparison below can be trusted.",
                plural(seen, "visitor"),
                value(expected.round()),
            ),
            "Find the cause before you decide anything: redirects, caches, a variant that breaks the \
             page, or visits that are counted twice. Then begin anew."
                .to_owned(),
        );
    }
    let evidence = evidence(facts);
    match facts.status {
        Status::Completed | Status::Archived => {
            let title = match facts.winner {
                Some(winner) => format!("Completed: everybody gets “{winner}”"),
                None => "Completed".to_owned(),
            };
            let led = if facts.visitors == 0 {
                "Nobody took part.".to_owned()
            } else {
                format!("“{leader}” ended ahead. {evidence}")
            };
            let advice = if facts.status == Status::Archived {
                "The experiment is archived; its trail stays."
            } else {
                "Late conversions still count for a while; then the trail is sealed. Make the winner \
                 permanent on your site, and archive the experiment."
            };
            said("info", title, led, advice.to_owned())
        }
        _ if facts.visitors == 0 => said(
            "info",
            "Waiting for the first visitor".to_owned(),
            "Nobody has been assigned yet.".to_owned(),
            "If visitors should be coming, check that the snippet is on the page, or that your server \
             asks for assignments."
                .to_owned(),
        ),
        _ if facts.fewest < facts.warm_up || facts.conversions < FEW_CONVERSIONS => said(
            "info",
            "Too early to tell".to_owned(),
            format!(
                "{} and {} so far. With so few, whoever is ahead is ahead by chance.",
                plural(facts.visitors, "visitor"),
                plural(facts.conversions, "conversion"),
            ),
            paused(facts, keep_running(facts)),
        ),
        _ if facts.may_stop => {
            let (kind, advice) = if facts.is_control {
                ("good", format!("Keep “{leader}”: the stopping rule is met, and no variant beats it."))
            } else {
                ("good", format!("Ship “{leader}”: the stopping rule is met. Complete the experiment to show it to everybody."))
            };
            said(kind, leads(facts), evidence, advice)
        }
        _ => said("info", leads(facts), evidence, paused(facts, keep_running(facts))),
    }
}

fn leads(facts: &Facts<'_>) -> String {
    let leader = facts.leader;
    if facts.is_control {
        format!("“{leader}”, the control, leads")
    } else if facts.may_stop {
        format!("“{leader}” wins")
    } else {
        format!("“{leader}” leads")
    }
}

/// How surely, by how much, at what risk, and what it is worth.
fn evidence(facts: &Facts<'_>) -> String {
    let mut said = format!("It is {} likely to be the best", chance(facts.p_best));
    if let Some((median, [low, high])) = facts.lift {
        said += &format!(
            ", with {} conversions against control (95\u{202f}% sure: {} to {})",
            change(median),
            change(low),
            change(high)
        );
    }
    said += ". ";
    if let Some(gain) = facts.gain.filter(|gain| *gain > 0.0) {
        said += &format!("That is worth about {} more conversions", few(gain));
        if let Some(value_gain) = facts.value_gain.filter(|gain| *gain > 0.0) {
            said += &format!(", or a value of {},", value(value_gain));
        }
        said += " per 1000 visitors. ";
    }
    said += &format!(
        "Choosing it now gives up {} per 1000 visitors on average, all doubts weighed.",
        match 1_000.0 * facts.expected_loss {
            loss if loss < 0.005 => "next to nothing".to_owned(),
            loss => format!("{} conversions", few(loss)),
        }
    );
    if facts.is_proven {
        said += " The difference is proven, however often you have looked.";
    }
    said
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

fn paused(facts: &Facts<'_>, advice: String) -> String {
    if facts.status == Status::Paused {
        "It is paused: nobody new takes part. Resume it to learn more.".to_owned()
    } else {
        advice
    }
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
            is_proven: false,
            may_stop: false,
            days_to_go: Some(5.3),
            mismatch: None,
            winner: None,
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
            ..won
        };
        let sentence = "It is > 99.9 % likely to be the best. Choosing it now gives up 12 conversions per 1000 \
            visitors on average, all doubts weighed. The difference is proven, however often \
            you have looked.";
        let keep = "Keep “grey”: the stopping rule is met, and no variant beats it.";
        check(
            &kept,
            ["good", "“grey”, the control, leads", sentence, keep],
        );
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
        let rare = Facts {
            conversions: 9,
            may_stop: true,
            ..facts()
        };
        assert_eq!(
            verdict(&rare).title,
            "Too early to tell",
            "whatever the rule says"
        );
        let none = Facts {
            visitors: 0,
            fewest: 0,
            conversions: 0,
            ..facts()
        };
        assert_eq!(verdict(&none).title, "Waiting for the first visitor");
    }

    #[test]
    fn a_split_that_is_wrong_goes_before_everything() {
        for status in [Status::Active, Status::Paused, Status::Completed] {
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
        let nobody = Facts {
            visitors: 0,
            ..over
        };
        assert_eq!(verdict(&nobody).sentence, "Nobody took part.");
    }
}
