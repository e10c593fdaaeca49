//! What is said in each state.

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
    let ship =
        "Ship “green”: the stopping rule is met. Complete the experiment to show it to everybody.";
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
    let costs = "Either choice costs at most about 2.0 conversions per 1000 visitors on average.";
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
        let sentence = "“grey” got 5120 visitors where the weights lead one to expect about 4400.";
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
