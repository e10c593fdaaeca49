//! What a visitor is worth, where the goal measures value: per variant, against control, and how the
//! values are spread. Conversions decide who gets the traffic and when it may stop, and this part says so.

use samplit_engine::{ArmResults, ElementResults, ValueDifferenceResults, ValueResults};

use super::whisker::{Scale, Whisker};
use crate::dashboard::format::{NOTHING, chance, count, plural, value};

/// With fewer conversions, or fewer that weigh as much, single values move the mean.
const FEW: f64 = 100.0;

/// The values of a draw, ready to be shown.
pub(crate) struct Values {
    pub(crate) rows: Vec<ValueRow>,
    /// Who is worth most, and how sure that is.
    pub(crate) sentence: String,
    /// `info`, or `warn` where conversions say something else.
    pub(crate) kind: &'static str,
    pub(crate) title: String,
    /// Variants whose mean hangs on few conversions, in sentences.
    pub(crate) cautions: Vec<String>,
}

/// One variant.
pub(crate) struct ValueRow {
    pub(crate) colour: usize,
    pub(crate) name: String,
    pub(crate) per_visitor: String,
    pub(crate) interval: String,
    /// Against control: the difference, its interval, its picture, and how likely it is to be worth more.
    pub(crate) versus: Option<Versus>,
    pub(crate) best: String,
    pub(crate) conversions: String,
    pub(crate) per_conversion: String,
    pub(crate) deviation: String,
    pub(crate) effective: String,
    pub(crate) sum: String,
}

/// A variant against control.
pub(crate) struct Versus {
    pub(crate) mean: String,
    pub(crate) interval: String,
    pub(crate) whisker: Whisker,
    pub(crate) above: String,
}

impl Values {
    /// `None`: the goal does not measure value.
    pub(crate) fn of(draw: &ElementResults) -> Option<Self> {
        let arms: Vec<(&ArmResults, ValueResults)> = draw
            .arms
            .iter()
            .filter_map(|arm| Some((arm, arm.value?)))
            .collect();
        if arms.is_empty() {
            return None;
        }
        let differences = arms.iter().filter_map(|(_, value)| value.versus_control);
        let intervals: Vec<[f64; 2]> = differences.map(|known| known.interval).collect();
        let scale = Scale::of(&intervals);
        let rows = arms.iter().enumerate();
        let (kind, title, sentence) = verdict(draw, &arms);
        Some(Self {
            rows: rows.map(|row| ValueRow::new(row, scale)).collect(),
            sentence,
            kind,
            title,
            cautions: arms.iter().filter_map(caution).collect(),
        })
    }
}

/// Kind, title and sentence: who is worth most, and whether conversions say the same.
fn verdict(
    draw: &ElementResults,
    arms: &[(&ArmResults, ValueResults)],
) -> (&'static str, String, String) {
    let playing = arms.iter().filter(|(arm, _)| arm.is_active);
    let most = playing.max_by(|(_, one), (_, two)| one.p_best.total_cmp(&two.p_best));
    let by_rate = draw.arms.get(draw.stopping.leader);
    let converted = arms.iter().any(|(arm, _)| arm.conversions > 0);
    let (Some((arm, worth)), Some(by_rate), true) = (most, by_rate, converted) else {
        let nothing = "Nobody has converted yet, so nothing is known of values.".to_owned();
        return ("info", "No value yet".to_owned(), nothing);
    };
    let mut sentence = format!(
        "“{}” is {} likely to be worth most per visitor.",
        arm.name,
        chance(worth.p_best)
    );
    if let Some(versus) = worth.versus_control {
        let [low, high] = versus.interval;
        sentence += &format!(
            " That is {} against control (95\u{202f}% sure: {} to {}).",
            signed(versus.mean),
            signed(low),
            signed(high)
        );
    }
    if arm.name == by_rate.name {
        let title = format!("“{}” leads by value, as by conversions", arm.name);
        ("info", title, sentence)
    } else {
        sentence += &format!(
            " By conversions “{}” leads, and that is what traffic and stopping rule follow: decide what \
             counts before you choose a winner.",
            by_rate.name
        );
        let title = format!("By value “{}” leads, by conversions another", arm.name);
        ("warn", title, sentence)
    }
}

/// What is to be said of a variant whose mean hangs on few conversions.
fn caution((arm, value): &(&ArmResults, ValueResults)) -> Option<String> {
    if arm.conversions == 0 || value.effective_conversions >= FEW {
        return None;
    }
    let weigh = whole(value.effective_conversions);
    let conversions = plural(arm.conversions, "conversion");
    Some(if weigh + 1 >= arm.conversions {
        format!("“{}” has {conversions} so far.", arm.name)
    } else {
        format!(
            "The {conversions} of “{}” weigh like {} of one value: a few large ones carry its mean.",
            arm.name,
            count(weigh)
        )
    })
}

impl ValueRow {
    fn new((index, (arm, known)): (usize, &(&ArmResults, ValueResults)), scale: Scale) -> Self {
        let [low, high] = known.credible_interval;
        let or_nothing = |number: Option<f64>| number.map_or_else(|| NOTHING.to_owned(), value);
        Self {
            colour: index % 8,
            name: arm.name.clone(),
            per_visitor: value(known.mean),
            interval: format!("{} to {}", value(low), value(high)),
            versus: known.versus_control.map(|known| Versus::new(known, scale)),
            best: chance(known.p_best),
            conversions: count(arm.conversions),
            per_conversion: or_nothing(known.per_conversion),
            deviation: or_nothing(known.deviation),
            effective: count(whole(known.effective_conversions)),
            sum: value(arm.value_sum),
        }
    }
}

impl Versus {
    fn new(known: ValueDifferenceResults, scale: Scale) -> Self {
        let [low, high] = known.interval;
        Self {
            mean: signed(known.mean),
            interval: format!("{} to {}", signed(low), signed(high)),
            whisker: scale.whisker(known.interval, known.mean),
            above: chance(known.p_above),
        }
    }
}

fn signed(number: f64) -> String {
    let text = value(number);
    if text.starts_with('\u{2212}') {
        text
    } else {
        format!("+{text}")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and at most a count"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use samplit_engine::{ElementResults, ValueDifferenceResults, ValueResults};

    use super::Values;
    use crate::dashboard::sample;

    /// Two arms of these probabilities of being worth most; the second one leads by conversions.
    fn draw(worth: [f64; 2], effective: f64) -> ElementResults {
        let mut draw = sample::draw(1, &[0.2, 0.8]);
        for (index, (arm, p_best)) in draw.arms.iter_mut().zip(worth).enumerate() {
            arm.value = Some(ValueResults {
                mean: 1.0,
                credible_interval: [0.8, 1.2],
                p_best,
                expected_loss: 0.0,
                per_conversion: Some(10.0),
                deviation: Some(3.0),
                effective_conversions: effective,
                versus_control: (index > 0).then_some(ValueDifferenceResults {
                    mean: 0.5,
                    interval: [-0.1, 1.1],
                    p_above: 0.9,
                }),
            });
        }
        draw
    }

    #[test]
    fn it_is_said_whether_value_and_conversions_agree() {
        assert!(Values::of(&sample::draw(1, &[0.2, 0.8])).is_none());
        let agree = Values::of(&draw([0.1, 0.9], 150.0)).unwrap();
        assert_eq!(agree.kind, "info");
        assert!(agree.title.contains("as by conversions"), "{}", agree.title);
        let said = agree.sentence.replace('\u{202f}', " ");
        assert!(
            said.contains("+0.5 against control (95 % sure: \u{2212}0.1 to +1.1)"),
            "{said}"
        );
        assert!(agree.cautions.is_empty());

        let differ = Values::of(&draw([0.9, 0.1], 40.0)).unwrap();
        assert_eq!(differ.kind, "warn");
        assert!(differ.sentence.contains("By conversions “arm 1” leads"));
        assert_eq!(differ.cautions.len(), 2);
        assert!(
            differ.cautions[0].contains("weigh like 40 of one value"),
            "{:?}",
            differ.cautions
        );
    }

    #[test]
    fn few_conversions_are_called_few_and_none_nothing() {
        let mut few = draw([0.1, 0.9], 20.0);
        for arm in &mut few.arms {
            arm.conversions = 20;
        }
        let told = Values::of(&few).unwrap();
        assert_eq!(told.cautions[0], "“arm 0” has 20 conversions so far.");
        for arm in &mut few.arms {
            arm.conversions = 0;
        }
        let told = Values::of(&few).unwrap();
        assert_eq!(told.title, "No value yet");
        assert!(told.cautions.is_empty());
    }
}
