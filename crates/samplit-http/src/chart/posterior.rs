//! How plausible each conversion rate is, arm by arm: the densities of the Beta posteriors. Where two hills
//! overlap, it is open which arm is better.

use plotters::prelude::*;
use samplit_engine::ArmResults;

use super::{Area, DrawError, Size, arm_colour, axes, picture, shares_between};

/// Points of a hill.
const POINTS: u32 = 160;

/// So many standard deviations of every arm are shown.
const REACH: f64 = 4.0;

/// A hill may be so many times as high as the flattest; what is higher is cut.
const MAX_STEEPNESS: f64 = 12.0;

/// A density at points of the axis.
type Hill = Vec<(f64, f64)>;

/// Draws the posteriors of the arms that new visitors may get.
pub(crate) fn posterior_svg(arms: &[ArmResults], size: Size) -> String {
    let (low, high) = range(arms);
    let hills: Vec<(usize, Hill)> = arms
        .iter()
        .enumerate()
        .filter(|(_, arm)| arm.is_active)
        .map(|(index, arm)| (index, hill(arm, low, high)))
        .collect();
    let peaks = hills.iter().map(|(_, hill)| peak(hill));
    let flattest = peaks.clone().fold(f64::MAX, f64::min);
    let top = peaks.fold(1e-9, f64::max).min(MAX_STEEPNESS * flattest);
    picture(size, |area| draw(area, &hills, (low, high, top), size))
}

fn peak(hill: &[(f64, f64)]) -> f64 {
    hill.iter()
        .fold(0.0, |peak, (_, density)| peak.max(*density))
}

/// The rates that are shown.
fn range(arms: &[ArmResults]) -> (f64, f64) {
    let active = || arms.iter().filter(|arm| arm.is_active);
    let ends = |sign: f64| active().map(move |arm| arm.posterior_mean + sign * arm.posterior_sd);
    let low = ends(-REACH).fold(1.0, f64::min).max(0.0);
    let high = ends(REACH).fold(0.0, f64::max).min(1.0);
    if low < high { (low, high) } else { (0.0, 1.0) }
}

/// The density of an arm's posterior, whose area is 1 wherever it is cut.
fn hill(arm: &ArmResults, low: f64, high: f64) -> Hill {
    let (mean, variance) = (arm.posterior_mean, arm.posterior_sd.powi(2));
    // Mean and variance of a Beta distribution say which one it is.
    let total = (mean * (1.0 - mean) / variance.max(1e-18) - 1.0).max(1e-6);
    let (alpha, beta) = (mean * total, (1.0 - mean) * total);
    let step = (high - low) / f64::from(POINTS);
    let heights: Vec<(f64, f64)> = (0..=POINTS)
        .map(|index| {
            let rate = (low + step * f64::from(index)).clamp(1e-9, 1.0 - 1e-9);
            (
                rate,
                (alpha - 1.0) * rate.ln() + (beta - 1.0) * (-rate).ln_1p(),
            )
        })
        .collect();
    let highest = heights
        .iter()
        .fold(f64::MIN, |high, (_, log)| high.max(*log));
    let heights = heights
        .into_iter()
        .map(|(rate, log)| (rate, (log - highest).exp()));
    let area = step * heights.clone().map(|(_, height)| height).sum::<f64>();
    heights
        .map(|(rate, height)| (rate, height / area.max(1e-12)))
        .collect()
}

fn draw(
    area: &Area<'_>,
    hills: &[(usize, Hill)],
    (low, high, top): (f64, f64, f64),
    size: Size,
) -> Result<(), DrawError> {
    let scale = size.scale();
    let mut chart = ChartBuilder::on(area)
        .margin_top(8 * scale)
        .margin_right(scale)
        .x_label_area_size(28 * scale)
        .build_cartesian_2d(low..high, 0.0..1.04 * top)?;
    axes(
        &mut chart,
        size,
        0,
        &|rate| inside(*rate, low, high),
        &|_| String::new(),
    )?;
    for (arm, hill) in hills {
        let cut = || hill.iter().map(|&(rate, density)| (rate, density.min(top)));
        let ground = [(high, 0.0), (low, 0.0)];
        let surface: Vec<_> = cut().chain(ground).collect();
        let colour = arm_colour(*arm);
        chart.draw_series([Polygon::new(surface, colour.mix(0.2))])?;
        chart.draw_series(LineSeries::new(cut(), colour.stroke_width(2 * scale)))?;
    }
    Ok(())
}

/// The label of a rate, unless it would be cut at an end.
fn inside(rate: f64, low: f64, high: f64) -> String {
    let place = (rate - low) / (high - low);
    if (0.03..=0.97).contains(&place) {
        shares_between(low, high)(&rate)
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{Size, hill, peak, posterior_svg, range};
    use crate::chart::tests::arm;

    #[test]
    fn a_hill_has_its_peak_at_the_mode_and_the_area_one() {
        // Beta(51, 951): mode 0.05.
        let arm = arm("grey", 1_000, 50);
        let hill = hill(&arm, 0.0, 0.2);
        let peak = peak(&hill);
        let (mode, _) = hill.iter().find(|(_, density)| *density >= peak).unwrap();
        assert!((mode - 0.05).abs() < 0.002, "{mode}");
        let area: f64 = hill.iter().map(|(_, density)| density * 0.2 / 160.0).sum();
        assert!((area - 1.0).abs() < 1e-9, "{area}");
    }

    #[test]
    fn every_active_arm_is_in_the_picture_whatever_its_counts() {
        let mut arms = vec![arm("a", 0, 0), arm("b", 10_000_000, 3), arm("c", 7, 7)];
        assert_eq!(range(&arms), (0.0, 1.0));
        for size in [Size::Wide, Size::Narrow] {
            let svg = posterior_svg(&arms, size);
            assert_eq!(svg.matches("<polygon").count(), 3);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        arms[1].is_active = false;
        assert_eq!(
            posterior_svg(&arms, Size::Wide).matches("<polygon").count(),
            2
        );
        assert!(posterior_svg(&[], Size::Wide).starts_with("<svg"));
    }
}
