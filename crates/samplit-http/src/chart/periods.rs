//! Conversions, or their value, day by day or week by week: a bar per period, stacked by arm.

use plotters::prelude::*;
use samplit_engine::{CourseArm, DrawCourse};
use time::Date;

use super::{Area, DrawError, Size, arm_colour, axes, picture};
use crate::dashboard::format;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Visitors who converted.
    Conversions,
    /// What that was worth.
    Value,
}

impl Measure {
    #[expect(clippy::cast_precision_loss, reason = "a picture of a count")]
    pub(crate) fn of(self, arm: &CourseArm) -> f64 {
        match self {
            Self::Conversions => arm.conversions as f64,
            Self::Value => arm.value,
        }
    }
}

/// Draws the periods of a draw.
pub(crate) fn periods_svg(course: &DrawCourse, measure: Measure, size: Size) -> String {
    picture(size, |area| draw(area, course, measure, size))
}

/// The place of a period on the axis.
fn place(index: usize) -> f64 {
    f64::from(u32::try_from(index).unwrap_or(u32::MAX))
}

fn draw(
    area: &Area<'_>,
    course: &DrawCourse,
    measure: Measure,
    size: Size,
) -> Result<(), DrawError> {
    let periods = &course.periods;
    let sum = |arms: &[CourseArm]| arms.iter().map(|arm| measure.of(arm)).sum::<f64>();
    let highest = periods
        .iter()
        .map(|period| sum(&period.arms))
        .fold(1.0, f64::max);
    let end = place(periods.len().max(1)) - 0.5;
    let scale = size.scale();
    let mut chart = ChartBuilder::on(area)
        .margin_top(8 * scale)
        .margin_right(scale)
        .x_label_area_size(28 * scale)
        .y_label_area_size(56 * scale)
        .build_cartesian_2d(-0.5..end, 0.0..1.04 * highest)?;
    let label = |at: &f64| {
        let index = periods.iter().enumerate();
        let mut found = index.filter(|(index, _)| (place(*index) - at).abs() < 1e-6);
        found
            .next()
            .map_or_else(String::new, |(_, period)| day(period.first))
    };
    axes(&mut chart, size, 5, &label, &|number| {
        format::value(*number)
    })?;
    for (index, period) in periods.iter().enumerate() {
        let (left, right) = (place(index) - 0.38, place(index) + 0.38);
        let mut ground = 0.0;
        for (arm, counts) in period.arms.iter().enumerate() {
            let top = ground + measure.of(counts);
            let corners = [(left, ground), (right, top)];
            let style = arm_colour(arm).mix(0.85).filled();
            if top > ground {
                chart.draw_series([Rectangle::new(corners, style)])?;
            }
            ground = top;
        }
    }
    Ok(())
}

/// `25 Nov`
fn day(date: Date) -> String {
    let month = date.month().to_string();
    format!("{} {}", date.day(), &month[..3])
}

#[cfg(test)]
mod tests {
    use samplit_engine::{CourseArm, CoursePeriod, DrawCourse};
    use time::macros::date;

    use super::{Measure, Size, periods_svg};

    fn course(days: &[[u64; 2]]) -> DrawCourse {
        let arm = |conversions| CourseArm {
            visitors: 100,
            conversions,
            value: 0.0,
        };
        let mut first = date!(2026 - 02 - 27);
        let periods = days.iter().map(|counts| {
            let period = CoursePeriod {
                first,
                arms: counts.map(arm).to_vec(),
            };
            first = first.next_day().unwrap();
            period
        });
        DrawCourse {
            points: Vec::new(),
            periods: periods.collect(),
            period_days: 1,
        }
    }

    #[test]
    fn a_bar_has_a_part_for_each_arm_that_has_something() {
        let course = course(&[[3, 4], [0, 2], [0, 0], [5, 1]]);
        let svg = periods_svg(&course, Measure::Conversions, Size::Wide);
        assert_eq!(svg.matches("<rect").count(), 5);
        assert!(
            svg.contains("\n27 Feb\n") && svg.contains("\n1 Mar\n"),
            "{svg}"
        );
        let svg = periods_svg(&course, Measure::Value, Size::Wide);
        assert_eq!(svg.matches("<rect").count(), 0);
    }

    #[test]
    fn no_period_is_a_picture_too() {
        let svg = periods_svg(&course(&[]), Measure::Conversions, Size::Narrow);
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
    }
}
