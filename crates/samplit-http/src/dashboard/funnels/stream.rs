//! Who went where in a funnel, as a picture: a bar per step, as long as many visitors reached it, and bands
//! from step to step. Whoever went no further leaves a band that fades.
//!
//! Steps stand in layers: each behind all that lead to it. On a desk layers follow each other to the right,
//! in a hand, and where there are many, downwards. Both are one layout, seen `along` the layers and `across`.

use askama::Template;

use crate::dashboard::{
    format::{count, plural, rate},
    layout::rendered,
};

/// A step as the picture needs it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) reached: u64,
    /// Of them went no further within the window.
    pub(super) dropped: u64,
}

/// How many went from one step to another, by the places of both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) visitors: u64,
}

/// The picture, for wide screens and for narrow ones.
#[derive(Debug)]
pub(super) struct Pictures {
    pub(super) wide: String,
    pub(super) narrow: String,
}

/// Draws the picture twice. `entered` visitors came in; nobody: there is nothing to draw.
pub(super) fn pictures(steps: &[Step], flows: &[Flow], entered: u64) -> Option<Pictures> {
    if entered == 0 || steps.is_empty() {
        return None;
    }
    let layers = layers(steps.len(), flows);
    let draw = |sheet: Sheet| rendered(&Drawing::of(steps, flows, &layers, entered, sheet));
    Some(Pictures {
        wide: draw(if layers.len() <= MOST_COLUMNS {
            Sheet::WIDE
        } else {
            Sheet::LONG
        }),
        narrow: draw(Sheet::NARROW),
    })
}

/// More layers do not fit beside each other.
const MOST_COLUMNS: usize = 7;

/// How thick a bar is, along the layers.
const BAR: f64 = 10.0;

/// What a picture is drawn on.
#[derive(Clone, Copy, Debug)]
struct Sheet {
    id: &'static str,
    /// Whether layers follow each other downwards.
    is_upright: bool,
    /// Its size across the layers.
    across: f64,
    /// Along them: all of it, or of each layer where it grows with them.
    along: f64,
    /// Room for the words of a step, across.
    words: f64,
}

impl Sheet {
    const WIDE: Self = Self {
        id: "wide",
        is_upright: false,
        across: 340.0,
        along: 960.0,
        words: 44.0,
    };
    const LONG: Self = Self {
        id: "long",
        is_upright: true,
        across: 960.0,
        along: 92.0,
        words: 130.0,
    };
    const NARROW: Self = Self {
        id: "narrow",
        is_upright: true,
        across: 340.0,
        along: 96.0,
        words: 84.0,
    };
}

#[derive(Debug, Template)]
#[template(path = "dashboard/funnels/stream.html")]
struct Drawing {
    id: &'static str,
    is_upright: bool,
    width: f64,
    height: f64,
    bands: Vec<Band>,
    lost: Vec<Band>,
    bars: Vec<Bar>,
}

#[derive(Debug)]
struct Band {
    d: String,
    title: String,
}

#[derive(Debug)]
struct Bar {
    kind: &'static str,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    text_x: f64,
    text_y: f64,
    figure_y: f64,
    name: String,
    figure: String,
}

/// Where a bar is: where it begins along and across, and how long it is across.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    along: f64,
    across: f64,
    length: f64,
    /// Up to where bands have come in and gone out.
    taken_in: f64,
    taken_out: f64,
    /// How wide a visitor is in bands that go out; less than elsewhere where some took two ways.
    out: f64,
}

impl Drawing {
    fn of(
        steps: &[Step],
        flows: &[Flow],
        layers: &[Vec<usize>],
        entered: u64,
        sheet: Sheet,
    ) -> Self {
        let gaps = number(layers.len().saturating_sub(1)).max(1.0);
        let (length, pitch) = if sheet.is_upright {
            (sheet.along * number(layers.len()) + 8.0, sheet.along)
        } else {
            // Words stand to the right of where a bar begins, also in the last layer.
            let room = sheet.along / (number(layers.len()) + 0.4);
            let pitch = ((sheet.along - room.max(130.0)) / gaps).min(330.0);
            (sheet.along, pitch)
        };
        let unit = unit(steps, layers, sheet);
        let mut places = places(steps, flows, layers, unit, pitch, sheet);
        let view = View(sheet.is_upright);
        let mut bands = Vec::new();
        let mut sorted: Vec<&Flow> = flows.iter().filter(|flow| flow.visitors > 0).collect();
        sorted.sort_by(|one, two| {
            let ends = |flow: &Flow| (places[flow.to].across, places[flow.from].across);
            let ((to, from), (other_to, other_from)) = (ends(one), ends(two));
            to.total_cmp(&other_to).then(from.total_cmp(&other_from))
        });
        for flow in sorted {
            let visitors = real(flow.visitors);
            let (from, to) = (places[flow.from], places[flow.to]);
            let start = (from.along + BAR, from.across + from.taken_out);
            let end = (to.along, to.across + to.taken_in);
            let (wide_out, wide_in) = (visitors * from.out, visitors * unit);
            places[flow.from].taken_out += wide_out;
            places[flow.to].taken_in += wide_in;
            bands.push(Band {
                d: view.band(start, wide_out, end, wide_in),
                title: format!(
                    "{} to {}: {}",
                    steps[flow.from].name,
                    steps[flow.to].name,
                    plural(flow.visitors, "visitor")
                ),
            });
        }
        let lost = steps
            .iter()
            .zip(&places)
            .filter(|(step, _)| step.dropped > 0);
        let lost = lost.map(|(step, place)| {
            let wide = real(step.dropped) * place.out;
            let start = (place.along + BAR, place.across + place.length - wide);
            Band {
                d: view.stub(start, wide, (pitch * 0.4).min(90.0)),
                title: format!(
                    "{}: {} went no further",
                    step.name,
                    plural(step.dropped, "visitor")
                ),
            }
        });
        let bars = steps.iter().zip(&places);
        let bars = bars.map(|(step, place)| view.bar(step, place, entered, pitch, sheet));
        let (width, height) = view.point((length, sheet.across));
        Self {
            id: sheet.id,
            is_upright: sheet.is_upright,
            width,
            height,
            bands,
            lost: lost.collect(),
            bars: bars.collect(),
        }
    }
}

/// The steps by layer: each behind the last of those that lead to it. Flows that go round in a circle,
/// which no funnel that ran has, are followed once.
fn layers(steps: usize, flows: &[Flow]) -> Vec<Vec<usize>> {
    let mut layer = vec![0; steps];
    for _ in 0..steps {
        let mut is_settled = true;
        for flow in flows {
            let behind = layer[flow.from] + 1;
            if layer[flow.to] < behind && behind < steps {
                layer[flow.to] = behind;
                is_settled = false;
            }
        }
        if is_settled {
            break;
        }
    }
    let last = layer.iter().max().copied().unwrap_or_default();
    let of = |wanted| (0..steps).filter(|step| layer[*step] == wanted).collect();
    let layers = (0..=last).map(of);
    layers
        .filter(|steps: &Vec<usize>| !steps.is_empty())
        .collect()
}

/// How wide one visitor is: so that the fullest layer fits, with the words of its steps.
fn unit(steps: &[Step], layers: &[Vec<usize>], sheet: Sheet) -> f64 {
    let fits = |layer: &Vec<usize>| {
        let visitors: u64 = layer.iter().map(|step| steps[*step].reached).sum();
        let words = if sheet.is_upright && layer.len() == 1 {
            0.0
        } else {
            number(layer.len()) * sheet.words
        };
        (sheet.across - words).max(40.0) / real(visitors.max(1))
    };
    layers.iter().map(fits).fold(f64::INFINITY, f64::min)
}

fn places(
    steps: &[Step],
    flows: &[Flow],
    layers: &[Vec<usize>],
    unit: f64,
    pitch: f64,
    sheet: Sheet,
) -> Vec<Place> {
    let mut places = vec![Place::default(); steps.len()];
    for (index, layer) in layers.iter().enumerate() {
        // Near those that it comes from, so that few bands cross.
        let middle = |step: usize| {
            let into = flows.iter().filter(|flow| flow.to == step);
            let weighed = into.fold((0.0, 0.0), |(sum, weight), flow| {
                let visitors = real(flow.visitors.max(1));
                let from = places[flow.from];
                (
                    sum + visitors * (from.across + from.length / 2.0),
                    weight + visitors,
                )
            });
            if weighed.1 > 0.0 {
                weighed.0 / weighed.1
            } else {
                0.0
            }
        };
        let mut sorted: Vec<(usize, f64)> =
            layer.iter().map(|&step| (step, middle(step))).collect();
        sorted.sort_by(|one, two| one.1.total_cmp(&two.1));
        let mut across = 0.0;
        for (step, _) in sorted {
            let length = (real(steps[step].reached) * unit).max(2.0);
            let before = if sheet.is_upright { 0.0 } else { sheet.words };
            let gone = flows.iter().filter(|flow| flow.from == step);
            let gone = gone.map(|flow| flow.visitors).sum::<u64>() + steps[step].dropped;
            places[step] = Place {
                along: number(index) * pitch + if sheet.is_upright { 42.0 } else { 0.0 },
                across: across + before,
                length,
                out: unit.min(length / real(gone.max(1))),
                ..Place::default()
            };
            across += length + sheet.words;
        }
    }
    places
}

/// Turns along and across into x and y.
#[derive(Clone, Copy, Debug)]
struct View(bool);

impl View {
    fn point(self, (along, across): (f64, f64)) -> (f64, f64) {
        let (along, across) = (tenths(along), tenths(across));
        if self.0 {
            (across, along)
        } else {
            (along, across)
        }
    }

    fn text(self, at: (f64, f64)) -> String {
        let (x, y) = self.point(at);
        format!("{x} {y}")
    }

    /// A band from one bar to another, which leaves and arrives straight.
    fn band(self, start: (f64, f64), wide_out: f64, end: (f64, f64), wide_in: f64) -> String {
        let turn = f64::midpoint(start.0, end.0);
        let (near, far) = (start.1 + wide_out, end.1 + wide_in);
        let at = |along, across| self.text((along, across));
        format!(
            "M{}C{} {} {}L{}C{} {} {}Z",
            at(start.0, start.1),
            at(turn, start.1),
            at(turn, end.1),
            at(end.0, end.1),
            at(end.0, far),
            at(turn, far),
            at(turn, near),
            at(start.0, near),
        )
    }

    /// A band that leads nowhere.
    fn stub(self, start: (f64, f64), wide: f64, length: f64) -> String {
        let at = |along, across| self.text((along, across));
        let (end, far) = (start.0 + length, start.1 + wide);
        format!(
            "M{}L{}L{}L{}Z",
            at(start.0, start.1),
            at(end, start.1),
            at(end, far),
            at(start.0, far)
        )
    }

    fn bar(self, step: &Step, place: &Place, entered: u64, pitch: f64, sheet: Sheet) -> Bar {
        let (x, y) = self.point((place.along, place.across));
        let (width, height) = self.point((BAR, place.length));
        // Words stand above the bar, as wide as there is room before the next one.
        let room = if self.0 {
            (place.length + sheet.words).min(sheet.across - place.across)
        } else {
            pitch.max(130.0) - 14.0
        };
        Bar {
            kind: step.kind,
            x,
            y,
            width,
            height,
            text_x: x,
            text_y: y - 23.0,
            figure_y: y - 7.0,
            name: fitting(&step.name, room),
            figure: format!("{} · {}", count(step.reached), rate(step.reached, entered)),
        }
    }
}

/// As much of a text as fits into so many pixels, by the width that letters have on the whole.
fn fitting(text: &str, room: f64) -> String {
    const LETTER: f64 = 7.4;
    let is_over = |letters: usize| number(letters) * LETTER > room;
    if !is_over(text.chars().count()) {
        return text.to_owned();
    }
    let kept = text.chars().enumerate();
    let kept = kept.take_while(|(index, _)| !is_over(index + 2));
    let kept: String = kept.map(|(_, letter)| letter).collect();
    format!("{}…", kept.trim_end())
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Places and counts of steps, of which there are few.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the length of a bar; the count stands beside it"
)]
fn real(visitors: u64) -> f64 {
    visitors as f64
}

#[cfg(test)]
mod tests {
    use super::{Flow, Step, fitting, layers, pictures};

    fn step(name: &str, reached: u64, dropped: u64) -> Step {
        Step {
            name: name.to_owned(),
            kind: "page",
            reached,
            dropped,
        }
    }

    fn flow(from: usize, to: usize, visitors: u64) -> Flow {
        Flow { from, to, visitors }
    }

    #[test]
    fn a_step_stands_behind_all_that_lead_to_it() {
        let ways = [flow(0, 1, 5), flow(0, 2, 5), flow(1, 2, 5), flow(2, 3, 1)];
        assert_eq!(layers(4, &ways), [[0], [1], [2], [3]]);
        let fork = [flow(0, 2, 5), flow(0, 1, 5)];
        assert_eq!(layers(3, &fork), [vec![0], vec![1, 2]]);
        // Nothing that could hang.
        assert_eq!(layers(2, &[flow(0, 1, 1), flow(1, 0, 1)]).concat().len(), 2);
    }

    #[test]
    fn bands_are_as_wide_as_many_took_them_and_names_are_escaped() {
        let steps = [
            step("Start <b>", 1_000, 400),
            step("Cart", 500, 100),
            step("Bought", 300, 0),
        ];
        let flows = [flow(0, 1, 500), flow(1, 2, 300), flow(0, 2, 0)];
        let drawn = pictures(&steps, &flows, 1_000).unwrap();
        for svg in [&drawn.wide, &drawn.narrow] {
            assert!(svg.contains("Start &#60;b&#62;"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_eq!(svg.matches("class=\"flow\"").count(), 2, "{svg}");
            assert_eq!(svg.matches("class=\"lost\"").count(), 2, "{svg}");
            assert!(
                svg.contains("Start &#60;b&#62; to Cart: 500 visitors"),
                "{svg}"
            );
        }
        // 296 pixels for a thousand: the bar of five hundred is half as long.
        assert!(drawn.wide.contains("height=\"296\""), "{}", drawn.wide);
        assert!(drawn.wide.contains("height=\"148\""), "{}", drawn.wide);
        assert!(pictures(&steps, &flows, 0).is_none());
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(fitting("Landing", 100.0), "Landing");
        assert_eq!(fitting("A very long name of a step", 60.0), "A very…");
    }
}
