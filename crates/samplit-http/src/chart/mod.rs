//! Charts as SVG, one per file. Each is drawn twice, for wide screens and for phones, so that its letters
//! are never larger or smaller than those around it.
//!
//! Ink is `currentColor`, and an arm has the colour that the page calls `--arm-0` to `--arm-7`, so that one
//! picture is right by day and by night; in a picture that stands alone the arms have the colours below.

mod periods;
mod posterior;
mod rates;
mod weights;

use std::io;

use plotters::{
    chart::ChartContext,
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

pub(crate) use periods::{Measure, periods_svg};
pub(crate) use posterior::posterior_svg;
pub(crate) use rates::rates_svg;
pub(crate) use weights::weights_svg;

/// Stands for the colour of the surrounding text until the SVG is written, because the library
/// knows no `currentColor`.
const INK: RGBColor = RGBColor(1, 2, 3);

/// The colours of the arms, in order, readable on light and dark; the stylesheets have the same.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x8a, 0x94, 0xa6),
    RGBColor(0x2f, 0x7d, 0xf6),
    RGBColor(0xf0, 0x8a, 0x24),
    RGBColor(0x1f, 0xa3, 0x7a),
    RGBColor(0xa8, 0x5c, 0xe0),
    RGBColor(0xe0, 0x4f, 0x5f),
    RGBColor(0x14, 0xa5, 0xb8),
    RGBColor(0xb0, 0x8d, 0x1e),
];

/// For which screens a chart is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// A picture that stands alone.
    Alone,
    /// In a page, on a desk.
    Wide,
    /// In a page, in a hand.
    Narrow,
}

impl Size {
    const fn pixels(self) -> (u32, u32) {
        let (width, height) = match self {
            Self::Alone => (720, 240),
            Self::Wide => (560, 240),
            Self::Narrow => (340, 220),
        };
        (width * self.scale(), height * self.scale())
    }

    /// The library puts every point on a whole number. In a page, which says how wide a picture is, it
    /// draws everything four times as large, so that curves are smooth.
    const fn scale(self) -> u32 {
        match self {
            Self::Alone => 1,
            Self::Wide | Self::Narrow => 4,
        }
    }

    /// Labels that fit below it.
    const fn labels(self) -> usize {
        match self {
            Self::Alone => 7,
            Self::Wide => 6,
            Self::Narrow => 4,
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type DrawError = DrawingAreaErrorKind<io::Error>;

/// What is written below or beside an axis.
type Label<'l> = &'l dyn Fn(&f64) -> String;

/// What `draw` draws, in the colours of the page.
fn picture(size: Size, draw: impl FnOnce(&Area<'_>) -> Result<(), DrawError>) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size.pixels()).into_drawing_area();
        let drawn = draw(&area).and_then(|()| area.present());
        drawn.expect("a string can always be drawn on");
    }
    let mut svg = svg.replace(&quoted(INK), "\"currentColor\"");
    for (arm, colour) in COLOURS.into_iter().enumerate() {
        let colour = quoted(colour);
        let of_page = format!("\"var(--arm-{arm},{})\"", colour.trim_matches('"'));
        svg = svg.replace(&colour, &of_page);
    }
    svg
}

/// A colour as the value of an attribute.
fn quoted(RGBColor(red, green, blue): RGBColor) -> String {
    format!("\"#{red:02X}{green:02X}{blue:02X}\"")
}

const fn arm_colour(arm: usize) -> RGBColor {
    COLOURS[arm % COLOURS.len()]
}

/// Draws marks with labels along the axes, so many beside them.
fn axes(
    chart: &mut Chart<'_, '_>,
    size: Size,
    beside: usize,
    below_label: Label<'_>,
    beside_label: Label<'_>,
) -> Result<(), DrawError> {
    let scale = size.scale();
    let label = ("sans-serif", 13 * scale).into_font().color(&INK.mix(0.75));
    let mut mesh = chart.configure_mesh();
    if beside == 0 {
        mesh.disable_y_mesh();
    }
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.14).stroke_width(scale))
        .axis_style(INK.mix(0.4).stroke_width(scale))
        .set_all_tick_mark_size(5 * scale)
        .x_labels(size.labels())
        .y_labels(beside)
        .x_label_style(label.clone())
        .y_label_style(label)
        .x_label_formatter(&below_label)
        .y_label_formatter(&beside_label)
        .draw()
}

/// Labels of shares along an axis from `low` to `high`, all with the digits that tell its marks apart.
fn shares_between(low: f64, high: f64) -> impl Fn(&f64) -> String {
    let digits = match high - low {
        0.08.. => 0,
        0.008.. => 1,
        _ => 2,
    };
    move |share| format!("{:.digits$} %", 100.0 * share)
}

/// The unit in which so many seconds are told, with its name.
fn unit(seconds: f64) -> (f64, &'static str) {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];
    let fits = |(unit, _): &(f64, &str)| seconds >= 2.0 * unit;
    UNITS.into_iter().find(fits).unwrap_or((1.0, "s"))
}

/// At most one digit after the point, and none that says nothing.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
pub(crate) mod tests {
    use samplit_engine::{ArmEvidence, ArmResults};

    use super::{shares_between, unit};

    /// An arm with these counts and nothing else that is told.
    pub(crate) fn arm(name: &str, assignments: u32, conversions: u32) -> ArmResults {
        let (alpha, beta) = (
            1.0 + f64::from(conversions),
            1.0 + f64::from(assignments - conversions),
        );
        let (mean, total) = (alpha / (alpha + beta), alpha + beta);
        ArmResults {
            name: name.to_owned(),
            variants: Vec::new(),
            is_control: false,
            is_active: true,
            assignments: assignments.into(),
            exposures: 0,
            conversions: conversions.into(),
            rate: (assignments > 0).then(|| f64::from(conversions) / f64::from(assignments)),
            value_sum: 0.0,
            posterior_mean: mean,
            posterior_sd: (mean * (1.0 - mean) / (total + 1.0)).sqrt(),
            credible_interval: [0.0, 1.0],
            p_best: 0.5,
            expected_loss: 0.001,
            p_beats_control: None,
            lift: None,
            expected_gain_per_1000: None,
            value: None,
            evidence: ArmEvidence::default(),
            weight: 0.5,
        }
    }

    #[test]
    fn marks_of_an_axis_are_told_apart() {
        for (low, high, expected) in [
            (0.0, 0.2, "5 %"),
            (0.04, 0.07, "5.0 %"),
            (0.049, 0.051, "5.00 %"),
        ] {
            assert_eq!(shares_between(low, high)(&0.05), expected);
        }
    }

    #[test]
    fn times_are_told_in_a_fitting_unit() {
        let cases = [
            (0.0, "s"),
            (119.0, "s"),
            (120.0, "min"),
            (7_200.0, "h"),
            (259_200.0, "d"),
        ];
        for (seconds, name) in cases {
            assert_eq!(unit(seconds).1, name, "{seconds}");
        }
    }
}
