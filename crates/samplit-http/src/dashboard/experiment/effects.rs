//! What the variants of a factorial experiment add, element by element, and what pairs of them add beyond
//! that.

use samplit_engine::{Effect, Experiment, VariantId};

use super::whisker::{Scale, Whisker};
use crate::dashboard::format::{count, percent, plural};

/// The effects of a draw over combinations, ready to be shown.
pub(crate) struct Effects {
    pub(crate) mains: Vec<EffectRow>,
    pub(crate) pairs: Vec<EffectRow>,
    /// What the pairs say, in a sentence.
    pub(crate) together: String,
    /// Whether pairs are to be looked at, and not their parts.
    pub(crate) is_together: bool,
    /// How many effects there are, and what that means.
    pub(crate) many: String,
}

/// One effect.
pub(crate) struct EffectRow {
    /// The element, or both of a pair.
    pub(crate) element: String,
    /// The variant against the control it replaces, or both of a pair.
    pub(crate) change: String,
    pub(crate) estimate: String,
    pub(crate) interval: String,
    pub(crate) whisker: Whisker,
    /// What it comes to.
    pub(crate) verdict: &'static str,
    /// For the badge: `good`, `bad`, `info`.
    pub(crate) kind: &'static str,
}

impl Effects {
    /// `None`: the arms are no combinations.
    pub(crate) fn of(experiment: &Experiment, effects: &[Effect]) -> Option<Self> {
        if effects.is_empty() {
            return None;
        }
        let intervals: Vec<[f64; 2]> = effects.iter().map(|effect| effect.interval).collect();
        let scale = Scale::of(&intervals);
        let (mains, pairs): (Vec<&Effect>, Vec<&Effect>) =
            effects.iter().partition(|effect| effect.variants.len() < 2);
        let marked = strongest(&pairs);
        let row = |effect: &&Effect| EffectRow::new(experiment, effect, scale);
        Some(Self {
            mains: mains.iter().map(row).collect(),
            together: together(marked, pairs.len()),
            is_together: marked.is_some(),
            many: many(effects.len()),
            pairs: pairs.iter().map(row).collect(),
        })
    }
}

/// Of the pairs that stand out, the one that does most.
fn strongest<'e>(pairs: &[&'e Effect]) -> Option<&'e Effect> {
    let marked = pairs.iter().filter(|pair| pair.stands_out).copied();
    marked.max_by(|one, two| one.effect.abs().total_cmp(&two.effect.abs()))
}

fn together(marked: Option<&Effect>, pairs: usize) -> String {
    match marked {
        Some(pair) => {
            let names = pair.name.replace(" x ", "” together with “");
            let than = if pair.effect > 0.0 { "more" } else { "less" };
            format!(
                "“{names}” brings {} {than} than the two promise one by one. So compare whole combinations \
                 above, and do not put the winner together from its parts.",
                points(pair.effect.abs())
            )
        }
        None if pairs == 1 => "Nothing shows that the two changes need or disturb each other: judge them one by \
                               one."
            .to_owned(),
        None => "No pair of changes is known to need or to disturb each other: judge the changes one by one."
            .to_owned(),
    }
}

fn many(effects: usize) -> String {
    format!(
        "{} at once: each interval alone is 95 % sure, so about one in twenty leaves zero out by chance. \
         “Helps” and “hurts” stand only where that holds for all of them together, with at least 5 conversions \
         on either side.",
        plural(effects, "effect")
    )
}

impl EffectRow {
    fn new(experiment: &Experiment, effect: &Effect, scale: Scale) -> Self {
        let parts: Vec<(String, String)> = effect
            .variants
            .iter()
            .filter_map(|variant| part(experiment, *variant))
            .collect();
        let join = |of: fn(&(String, String)) -> &str, between: &str| {
            let parts: Vec<&str> = parts.iter().map(of).collect();
            parts.join(between)
        };
        let is_pair = effect.variants.len() > 1;
        let [low, high] = effect.interval;
        let (verdict, kind) = match (effect.stands_out, effect.effect > 0.0, is_pair) {
            (false, ..) => ("open", "info"),
            (true, true, false) => ("helps", "good"),
            (true, false, false) => ("hurts", "bad"),
            (true, true, true) => ("more together", "good"),
            (true, false, true) => ("less together", "bad"),
        };
        Self {
            element: join(|part| &part.0, " and "),
            change: join(|part| &part.1, " with "),
            estimate: signed_points(effect.effect),
            interval: format!("{} to {}", signed(low), signed_points(high)),
            whisker: if effect.stands_out {
                scale.whisker(effect.interval, effect.effect)
            } else {
                scale.whisker(effect.interval, effect.effect).open()
            },
            verdict,
            kind,
        }
    }
}

/// The element of a variant, and the variant in quotation marks.
fn part(experiment: &Experiment, variant: VariantId) -> Option<(String, String)> {
    let element = experiment
        .elements
        .iter()
        .find(|element| element.variants.iter().any(|known| known.id == variant))?;
    let known = element.variants.iter().find(|known| known.id == variant)?;
    Some((element.name.clone(), format!("“{}”", known.name)))
}

/// What a combination shows: each element with its variant.
pub(crate) fn in_words(experiment: &Experiment, variants: &[VariantId]) -> Vec<String> {
    let parts = variants
        .iter()
        .filter_map(|variant| part(experiment, *variant));
    parts
        .map(|(element, variant)| format!("{element}: {variant}"))
        .collect()
}

/// How many combinations that is of how many choices: `2 × 3 = 6`.
pub(crate) fn product(sizes: &[usize]) -> String {
    let all = sizes
        .iter()
        .fold(1_usize, |all, size| all.saturating_mul(*size));
    let sizes: Vec<String> = sizes.iter().map(count).collect();
    format!("{} = {}", sizes.join(" × "), count(all))
}

/// A share of the visitors as percentage points.
fn points(share: f64) -> String {
    percent(share).replace('%', "points")
}

fn signed_points(share: f64) -> String {
    format!("{}{}", sign(share), points(share.abs()))
}

/// The same without the word.
fn signed(share: f64) -> String {
    let number = percent(share.abs());
    let number = number.trim_end_matches(|c: char| c == '%' || c.is_whitespace());
    format!("{}{number}", sign(share))
}

fn sign(share: f64) -> char {
    if share < 0.0 { '\u{2212}' } else { '+' }
}

#[cfg(test)]
mod tests {
    use samplit_engine::Effect;

    use super::{product, signed, signed_points, strongest, together};

    fn pair(name: &str, effect: f64, stands_out: bool) -> Effect {
        Effect {
            variants: Vec::new(),
            name: name.to_owned(),
            effect,
            interval: [effect - 0.01, effect + 0.01],
            stands_out,
        }
    }

    #[test]
    fn the_pair_that_does_most_is_told_of() {
        let pairs = [
            pair("big x loud", 0.09, false),
            pair("red x loud", -0.031, true),
            pair("red x big", 0.02, true),
        ];
        let pairs: Vec<&Effect> = pairs.iter().collect();
        let found = strongest(&pairs);
        assert_eq!(found.unwrap().name, "red x loud");
        let said = together(found, 3).replace('\u{202f}', " ");
        assert!(
            said.starts_with("“red” together with “loud” brings 3.10 points less than the two"),
            "{said}"
        );
        assert!(together(None, 1).contains("the two changes"));
        assert!(together(None, 3).contains("No pair"));
    }

    #[test]
    fn intervals_say_points_once() {
        let interval = format!("{} to {}", signed(-0.133), signed_points(0.0477));
        assert_eq!(
            interval.replace('\u{202f}', " "),
            "\u{2212}13.3 to +4.77 points"
        );
    }

    #[test]
    fn combinations_are_counted() {
        assert_eq!(product(&[2, 3]), "2 × 3 = 6");
        assert_eq!(product(&[64]), "64 = 64");
    }
}
