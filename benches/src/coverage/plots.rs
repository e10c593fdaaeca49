//! The coverage report as pictures: four SVG files.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::number::real;
use crate::regret::{Curve, HORIZONS};
use crate::scenario::{LOOKS, Play, VISITORS_PER_LOOK};
use crate::summary::{Measured, Summary, worst};

const SIZE: (u32, u32) = (900, 480);
const FONT: (&str, u32) = ("sans-serif", 15);
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One method's coverage of an experiment.
type Method = fn(&Summary) -> Measured;

/// A named line through points.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Writes all pictures into `folder`.
pub(crate) fn draw(folder: &Path, rows: &[Summary], regret: &[Curve]) -> anyhow::Result<()> {
    draw_file(&folder.join("coverage-intervals.svg"), |area| {
        intervals(area, rows)
    })?;
    draw_file(&folder.join("coverage-looks.svg"), |area| looks(area, rows))?;
    draw_file(&folder.join("coverage-power.svg"), |area| power(area, rows))?;
    draw_file(&folder.join("coverage-regret.svg"), |area| {
        regret_curves(area, regret)
    })
}

fn draw_file(
    path: &Path,
    picture: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    picture(&area)?;
    area.present()
        .map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

/// Coverage of every method at the end, one dot per experiment.
fn intervals(area: &Area<'_>, rows: &[Summary]) -> anyhow::Result<()> {
    let methods: [(&str, Method); 4] = [
        ("Wilson", |row| worst(&row.wilson)),
        ("posterior", |row| worst(&row.credible)),
        ("AIPW", |row| worst(&row.aipw)),
        ("AIPW difference", |row| row.aipw_difference),
    ];
    let least = rows
        .iter()
        .flat_map(|row| methods.iter().map(move |(_, of)| of(row).value))
        .fold(0.9, f64::min);
    let bottom = (100.0 * least - 1.0).floor();
    let mut chart = ChartBuilder::on(area)
        .caption(
            "Coverage of 95 % intervals at the end, per cent (band: goal)",
            FONT,
        )
        .margin(12)
        .margin_right(32)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(-0.5..real(rows.len() as u64) - 0.5, bottom..100.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(1)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_labels(rows.len() + 1)
        .x_label_formatter(&|x| format!("{:.0}", x + 1.0))
        .x_desc("experiment, in the order of the table")
        .draw()?;
    let band = [(-0.5, 93.0), (real(rows.len() as u64) - 0.5, 97.0)];
    chart.draw_series([Rectangle::new(band, COLOURS[2].mix(0.12).filled())])?;
    for ((method, (name, of)), colour) in methods.iter().enumerate().zip(COLOURS) {
        let place = |row: usize| real(row as u64) + 0.15 * (real(method as u64) - 1.5);
        let dots = rows.iter().enumerate().flat_map(|(number, row)| {
            let Measured { value, error } = of(row);
            let (x, y) = (place(number), 100.0 * value);
            let whisker = vec![(x, y - 196.0 * error), (x, (y + 196.0 * error).min(100.0))];
            [
                PathElement::new(whisker, colour).into_dyn(),
                Circle::new((x, y), 3, colour.filled()).into_dyn(),
            ]
        });
        chart
            .draw_series(dots)?
            .label(*name)
            .legend(move |at| Circle::new(at, 4, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

/// How the share of experiments that were ever wrong grows with every look.
fn looks(area: &Area<'_>, rows: &[Summary]) -> anyhow::Result<()> {
    let shown = rows
        .iter()
        .find(|row| row.scenario.policy == Play::Thompson && row.scenario.is_null());
    let Some(row) = shown else { return Ok(()) };
    let missed = &row.missed_by_look;
    let lines = [
        ("Newcombe, peeked at", &missed.newcombe),
        ("plain sequence", &missed.plain),
        ("weighted sequence", &missed.weighted),
    ]
    .map(|(name, shares)| Line {
        name: name.to_owned(),
        points: by_visitors(shares),
    });
    let caption = format!(
        "Per cent of experiments wrong at least once so far: {} (promised: 5)",
        row.scenario.name()
    );
    let promise = Line {
        name: "promised".to_owned(),
        points: vec![(0.0, 5.0), (end(), 5.0)],
    };
    let lines: Vec<Line> = lines.into_iter().chain([promise]).collect();
    line_chart(area, &caption, "visitors", &lines)
}

/// When differences are proved.
fn power(area: &Area<'_>, rows: &[Summary]) -> anyhow::Result<()> {
    // Top-two differs from the even split where there are more than two arms.
    let lifted = rows
        .iter()
        .filter(|row| !row.scenario.is_null())
        .max_by_key(|row| row.scenario.arms());
    let Some(shown) = lifted else { return Ok(()) };
    let lines: Vec<Line> = rows
        .iter()
        .filter(|row| row.scenario.rates == shown.scenario.rates)
        .map(|row| Line {
            name: row.scenario.policy.name(row.scenario.floor),
            points: by_visitors(&row.proved_by_look),
        })
        .collect();
    let caption = format!(
        "Per cent of experiments whose weighted sequence has excluded zero: {}",
        shown.scenario.truth()
    );
    line_chart(area, &caption, "visitors", &lines)
}

/// Regret against the logarithm of the visitors.
fn regret_curves(area: &Area<'_>, curves: &[Curve]) -> anyhow::Result<()> {
    let Some(shown) = curves.last() else {
        return Ok(());
    };
    let lines: Vec<Line> = curves
        .iter()
        .filter(|curve| curve.rates == shown.rates)
        .map(|curve| Line {
            name: curve.name(),
            points: HORIZONS
                .iter()
                .zip(&curve.regret)
                .map(|(visitors, regret)| (real(*visitors).log10(), regret.value.max(1.0).log10()))
                .collect(),
        })
        .collect();
    let caption = format!(
        "Conversions lost (log10) over visitors (log10): rates {:?}",
        shown.rates
    );
    line_chart(area, &caption, "log10 of visitors", &lines)
}

fn by_visitors(shares: &[f64]) -> Vec<(f64, f64)> {
    let at = |look: u32| f64::from(look * VISITORS_PER_LOOK);
    (1..)
        .zip(shares)
        .map(|(look, share)| (at(look), 100.0 * share))
        .collect()
}

fn end() -> f64 {
    f64::from(LOOKS * VISITORS_PER_LOOK)
}

/// A number without digits that say nothing.
fn label(value: f64) -> String {
    format!("{}", (10.0 * value).round() / 10.0)
}

fn line_chart(area: &Area<'_>, caption: &str, x: &str, lines: &[Line]) -> anyhow::Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let left = points().map(|point| point.0).fold(f64::MAX, f64::min);
    let right = points().map(|point| point.0).fold(f64::MIN, f64::max);
    let top = points().map(|point| point.1).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, FONT)
        .margin(12)
        .margin_right(32)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(left..right, 0.0..1.05 * top)?;
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_label_formatter(&|x| label(*x))
        .y_label_formatter(&|y| label(*y))
        .x_desc(x)
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(
                line.points.iter().copied(),
                colour.stroke_width(2),
            ))?
            .label(line.name.as_str())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
