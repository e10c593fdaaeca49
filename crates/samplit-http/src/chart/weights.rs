//! The weights of a draw over time as an SVG: one band per arm, stacked to the whole of the traffic.

use plotters::prelude::*;
use samplit_engine::TimelinePoint;
use time::OffsetDateTime;

use super::{Area, DrawError, Size, arm_colour, axes, picture, tenths, unit};

/// More steps than this cannot be told apart at this width.
const MAX_STEPS: usize = 360;

/// From this time on the arms had these shares, stacked: the upper edge of each band, in `[0, 1]`.
struct Step {
    seconds: f64,
    edges: Vec<f64>,
}

/// Draws the weights of the draw `element` from the start of the trail to `until`.
pub(crate) fn weights_svg(
    timeline: &[TimelinePoint],
    element: usize,
    until: OffsetDateTime,
    size: Size,
) -> String {
    let steps = steps(timeline, element, until);
    picture(size, |area| draw(area, &steps, size))
}

fn steps(timeline: &[TimelinePoint], element: usize, until: OffsetDateTime) -> Vec<Step> {
    let Some(start) = timeline.first().map(|point| point.at) else {
        return Vec::new();
    };
    let stride = timeline.len().div_ceil(MAX_STEPS);
    let last = timeline.len() - 1;
    let shown = timeline.iter().enumerate();
    let shown = shown.filter(|(index, _)| index.is_multiple_of(stride) || *index == last);
    let mut steps: Vec<Step> = shown
        .map(|(_, point)| Step {
            seconds: (point.at - start).as_seconds_f64(),
            edges: edges(point.weights_ppb.get(element).map_or(&[], Vec::as_slice)),
        })
        .collect();
    if let Some(edges) = steps.last().map(|step| step.edges.clone()) {
        // A second of width at least, so that a single snapshot is a picture too.
        let seconds = (until - start).as_seconds_f64().max(1.0);
        let seconds = steps
            .iter()
            .fold(seconds, |latest, step| latest.max(step.seconds));
        steps.push(Step { seconds, edges });
    }
    steps
}

/// The running sums of the weights, as shares.
fn edges(weights_ppb: &[u32]) -> Vec<f64> {
    let sums = weights_ppb.iter().scan(0.0, |sum, weight| {
        *sum += f64::from(*weight) / 1e9;
        Some(*sum)
    });
    sums.collect()
}

fn draw(area: &Area<'_>, steps: &[Step], size: Size) -> Result<(), DrawError> {
    let end = steps.last().map_or(1.0, |step| step.seconds);
    let (unit, unit_name) = unit(end);
    let scale = size.scale();
    let mut chart = ChartBuilder::on(area)
        .margin_top(8 * scale)
        .margin_right(scale)
        .x_label_area_size(28 * scale)
        .y_label_area_size(48 * scale)
        .build_cartesian_2d(0.0..end / unit, 0.0..1.0)?;

    let arms = steps.first().map_or(0, |step| step.edges.len());
    for arm in 0..arms {
        let colour = arm_colour(arm);
        let upper = outline(steps, unit, |step| step.edges[arm]);
        let lower = outline(steps, unit, |step| {
            if arm == 0 { 0.0 } else { step.edges[arm - 1] }
        });
        let band: Vec<_> = upper
            .iter()
            .copied()
            .chain(lower.into_iter().rev())
            .collect();
        chart.draw_series([Polygon::new(band, colour.mix(0.72))])?;
        chart.draw_series(LineSeries::new(upper, colour.stroke_width(2 * scale)))?;
    }
    let last = 0.96 * end / unit;
    axes(
        &mut chart,
        size,
        5,
        &|age| {
            // A label is as wide on both sides of its mark: at the end it would be cut.
            if *age > last {
                String::new()
            } else {
                format!("{} {unit_name}", tenths(*age))
            }
        },
        &|share| format!("{:.0} %", share * 100.0),
    )
}

/// A step line over time in `unit`s: each value holds until the next step.
fn outline(steps: &[Step], unit: f64, value: impl Fn(&Step) -> f64) -> Vec<(f64, f64)> {
    let mut line = Vec::with_capacity(steps.len() * 2);
    let mut before = None;
    for step in steps {
        let age = step.seconds / unit;
        if let Some(before) = before {
            line.push((age, before));
        }
        let value = value(step);
        line.push((age, value));
        before = Some(value);
    }
    line
}

#[cfg(test)]
mod tests {
    use samplit_engine::TimelinePoint;
    use time::{Duration, OffsetDateTime};

    use super::{MAX_STEPS, Size, outline, steps, weights_svg};

    fn timeline(weights: impl IntoIterator<Item = [u32; 2]>) -> Vec<TimelinePoint> {
        let point = |(index, weights): (u32, [u32; 2])| TimelinePoint {
            snapshot_seq: u64::from(index) + 1,
            at: OffsetDateTime::UNIX_EPOCH + Duration::seconds(i64::from(index)),
            method: "thompson",
            weights_ppb: vec![weights.to_vec()],
            arms: Vec::new(),
        };
        (0..).zip(weights).map(point).collect()
    }

    #[test]
    fn a_weight_holds_until_the_next_snapshot() {
        let timeline = timeline([[500_000_000; 2], [250_000_000, 750_000_000]]);
        let until = OffsetDateTime::UNIX_EPOCH + Duration::seconds(9);
        let steps = steps(&timeline, 0, until);
        assert_eq!(
            outline(&steps, 1.0, |step| step.edges[0]),
            [
                (0.0, 0.5),
                (1.0, 0.5),
                (1.0, 0.25),
                (9.0, 0.25),
                (9.0, 0.25)
            ]
        );
        assert_eq!(steps[1].edges, [0.25, 1.0]);
    }

    #[test]
    fn a_long_timeline_is_thinned_and_keeps_its_ends() {
        let timeline = timeline(std::iter::repeat_n([500_000_000; 2], 10_001));
        let steps = steps(&timeline, 0, OffsetDateTime::UNIX_EPOCH);
        assert!(steps.len() <= MAX_STEPS + 2, "{}", steps.len());
        let ends = [&steps[0], &steps[steps.len() - 1]].map(|step| step.seconds.to_string());
        assert_eq!(ends, ["0", "10000"]);
    }

    #[test]
    fn the_svg_has_a_band_per_arm_and_takes_the_colour_of_the_text() {
        let timeline = timeline([[500_000_000; 2], [250_000_000, 750_000_000]]);
        let svg = weights_svg(&timeline, 0, OffsetDateTime::UNIX_EPOCH, Size::Alone);
        assert_eq!(svg.matches("<polygon").count(), 2);
        assert!(svg.contains("currentColor") && !svg.contains("#010203"));
        assert!(svg.contains("\"var(--arm-1,#2F7DF6)\""), "{svg}");
        assert!(svg.contains("100 %"), "{svg}");
    }

    #[test]
    fn the_picture_is_filled_to_its_edge_and_no_label_is_cut_there() {
        let timeline = timeline([[500_000_000; 2]]);
        let svg = |seconds| {
            let until = OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds);
            weights_svg(&timeline, 0, until, Size::Alone)
        };
        let labels = |svg: &str| svg.contains("\n10 s\n");
        assert!(svg(10).contains(" 718,8 "), "{}", svg(10));
        assert!(!labels(&svg(10)) && labels(&svg(11)), "{}", svg(11));
    }

    #[test]
    fn an_empty_or_short_timeline_is_drawn_too() {
        for (timeline, element) in [
            (vec![], 0),
            (timeline([[1_000_000_000, 0]]), 0),
            (timeline([[1_000_000_000, 0]]), 7),
        ] {
            let svg = weights_svg(&timeline, element, OffsetDateTime::UNIX_EPOCH, Size::Narrow);
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        }
    }
}
