//! An interval as a picture of one line: from where to where, its middle, and where nothing is. Numbers
//! stand beside it, so it says nothing to those who do not see it.

/// An interval in a table whose pictures have one scale. Places are in percent of the width.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whisker {
    pub(crate) zero: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) middle: String,
    /// `up` or `down` if the interval leaves zero out, else `open`.
    pub(crate) tone: &'static str,
}

impl Whisker {
    /// The same for an interval that means nothing by itself, because it is one of many.
    pub(crate) fn open(self) -> Self {
        Self {
            tone: "open",
            ..self
        }
    }
}

/// What the pictures of a table show, from left to right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
}

/// An interval may be so many times as wide as the median of them; of a wider one the ends are cut.
const MAX_WIDTH: f64 = 4.0;

impl Scale {
    /// Holds zero and all of `intervals`, but for those that are much wider than most.
    pub(crate) fn of(intervals: &[[f64; 2]]) -> Self {
        let width = |[low, high]: &[f64; 2]| high - low;
        let mut widths: Vec<f64> = intervals.iter().map(width).collect();
        widths.sort_by(f64::total_cmp);
        let most = MAX_WIDTH * widths.get(widths.len() / 2).copied().unwrap_or(0.0);
        let shown = || intervals.iter().filter(|interval| width(interval) <= most);
        let low = shown().fold(0.0_f64, |least, [low, _]| least.min(*low));
        let high = shown().fold(0.0_f64, |most, [_, high]| most.max(*high));
        let room = 0.04 * (high - low).max(f64::MIN_POSITIVE);
        Self {
            low: low - room,
            high: high + room,
        }
    }

    /// The picture of an interval.
    pub(crate) fn whisker(self, [low, high]: [f64; 2], middle: f64) -> Whisker {
        Whisker {
            zero: self.place(0.0),
            from: self.place(low),
            to: self.place(high),
            middle: self.place(middle),
            tone: if low > 0.0 {
                "up"
            } else if high < 0.0 {
                "down"
            } else {
                "open"
            },
        }
    }

    fn place(self, at: f64) -> String {
        let share = (at - self.low) / (self.high - self.low);
        format!("{:.2}", 100.0 * share.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn zero_is_in_sight_and_one_wide_interval_does_not_flatten_the_others() {
        let usual = [[0.02, 0.04], [0.01, 0.05], [0.03, 0.06]];
        let scale = Scale::of(&usual);
        let first = scale.whisker(usual[0], 0.03);
        assert_eq!(first.tone, "up");
        let number = |text: &str| text.parse::<f64>().unwrap();
        assert!(number(&first.zero) > 0.0 && number(&first.zero) < number(&first.from));
        assert!(number(&first.from) < number(&first.middle));
        assert!(number(&first.middle) < number(&first.to));

        let wide = [usual[0], usual[1], usual[2], [-1.0, 40.0]];
        assert_eq!(Scale::of(&wide), scale);
        let cut = scale.whisker(wide[3], 0.5);
        assert_eq!((cut.from.as_str(), cut.to.as_str()), ("0.00", "100.00"));
        assert_eq!(cut.tone, "open");
        assert_eq!(scale.whisker([-0.2, -0.1], -0.15).tone, "down");
    }

    #[test]
    fn nothing_and_one_point_are_pictures_too() {
        for intervals in [&[][..], &[[0.0, 0.0]]] {
            let whisker = Scale::of(intervals).whisker([0.0, 0.0], 0.0);
            assert!(!whisker.middle.contains("NaN"), "{whisker:?}");
        }
    }
}
