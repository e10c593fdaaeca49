//! Conversion rates over time with intervals that hold at every look: for each arm a line in a band that
//! narrows. Bands that have parted are a difference that is there.

use plotters::prelude::*;
use samplit_engine::CoursePoint;
use time::OffsetDateTime;

use super::{Area, DrawError, Size, arm_colour, axes, picture, shares_between, tenths, unit};

/// Draws what was known of each arm since `start`.
pub(crate) fn rates_svg(points: &[CoursePoint], start: OffsetDateTime, size: Size) -> String {
    picture(size, |area| draw(area, points, start, size))
}

/// The rates that are shown: what the last intervals reach over, with room around it. Early intervals
/// reach over everything, and are cut.
fn range(points: &[CoursePoint]) -> (f64, f64) {
    let last = points.last().map_or(&[][..], |point| &point.rates);
    let intervals = || last.iter().flatten().map(|rate| rate.interval);
    let low = intervals().fold(1.0_f64, |low, [end, _]| low.min(end));
    let high = intervals().fold(0.0_f64, |high, [_, end]| high.max(end));
    if low >= high {
        return (0.0, 1.0);
    }
    let room = 0.5 * (high - low);
    ((low - room).max(0.0), (high + room).min(1.0))
}

fn draw(
    area: &Area<'_>,
    points: &[CoursePoint],
    start: OffsetDateTime,
    size: Size,
) -> Result<(), DrawError> {
    let seconds = |at: OffsetDateTime| (at - start).as_seconds_f64().max(0.0);
    // A second of width at least, so that a single point is a picture too.
    let end = points
        .last()
        .map_or(1.0, |point| seconds(point.at).max(1.0));
    let (unit, unit_name) = unit(end);
    let (low, high) = range(points);
    let scale = size.scale();
    let mut chart = ChartBuilder::on(area)
        .margin_top(8 * scale)
        .margin_right(scale)
        .x_label_area_size(28 * scale)
        .y_label_area_size(56 * scale)
        .build_cartesian_2d(0.0..end / unit, low..high)?;
    let last = 0.96 * end / unit;
    let age_label = |age: &f64| {
        // A label is as wide on both sides of its mark: at the end it would be cut.
        if *age > last {
            String::new()
        } else {
            format!("{} {unit_name}", tenths(*age))
        }
    };
    axes(&mut chart, size, 5, &age_label, &shares_between(low, high))?;
    let arms = points
        .iter()
        .map(|point| point.rates.len())
        .max()
        .unwrap_or(0);
    let line = |arm: usize, of: fn([f64; 3]) -> f64| -> Vec<(f64, f64)> {
        let known = points.iter().filter_map(|point| {
            let rate = point.rates.get(arm).copied().flatten()?;
            let [lower, upper] = rate.interval;
            let rate = of([lower, rate.estimate, upper]).clamp(low, high);
            Some((seconds(point.at) / unit, rate))
        });
        known.collect()
    };
    // Bands first, so that no line is behind one.
    for arm in 0..arms {
        let upper = line(arm, |[_, _, upper]| upper);
        let lower = line(arm, |[lower, _, _]| lower);
        let band: Vec<_> = upper.into_iter().chain(lower.into_iter().rev()).collect();
        chart.draw_series([Polygon::new(band, arm_colour(arm).mix(0.16))])?;
    }
    for arm in 0..arms {
        let known = line(arm, |[_, estimate, _]| estimate);
        let colour = arm_colour(arm);
        if let [only] = known[..] {
            chart.draw_series([Circle::new(only, 4 * scale, colour.filled())])?;
        }
        chart.draw_series(LineSeries::new(known, colour.stroke_width(2 * scale)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use samplit_engine::{CoursePoint, IntervalEstimate};
    use time::{Duration, OffsetDateTime};

    use super::{Size, range, rates_svg};

    fn point(day: i64, rates: &[Option<[f64; 3]>]) -> CoursePoint {
        let rate = |[low, estimate, high]: [f64; 3]| IntervalEstimate {
            estimate,
            interval: [low, high],
        };
        CoursePoint {
            at: OffsetDateTime::UNIX_EPOCH + Duration::days(day),
            rates: rates.iter().map(|known| known.map(rate)).collect(),
        }
    }

    #[test]
    fn the_last_intervals_say_what_is_shown() {
        let points = [
            point(1, &[Some([0.0, 0.5, 1.0]), None]),
            point(9, &[Some([0.04, 0.05, 0.06]), Some([0.05, 0.06, 0.08])]),
        ];
        let (low, high) = range(&points);
        assert!(
            (low - 0.02).abs() < 1e-12 && (high - 0.1).abs() < 1e-12,
            "{low} {high}"
        );
        let svg = rates_svg(&points, OffsetDateTime::UNIX_EPOCH, Size::Wide);
        assert_eq!(svg.matches("<polygon").count(), 2);
        for arm in ["\"var(--arm-0,", "\"var(--arm-1,"] {
            assert!(svg.matches(arm).count() >= 2, "a band and a line: {svg}");
        }
        assert!(svg.contains("<circle"), "an arm with one point is a point");
    }

    #[test]
    fn nothing_known_is_a_picture_too() {
        for points in [vec![], vec![point(0, &[None, None])]] {
            assert_eq!(range(&points), (0.0, 1.0));
            let svg = rates_svg(&points, OffsetDateTime::UNIX_EPOCH, Size::Narrow);
            assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
        }
    }
}
