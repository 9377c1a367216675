//! The plots of the report as SVG text. Labels of pictures and templates are escaped by the
//! drawing library.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::Interval;

const WIDTH: u32 = 900;
/// Height of one row of bars, pixels.
const ROW: i32 = 24;
/// Room for names on the left.
const LEFT: i32 = 300;
const BAR: RGBColor = RGBColor(64, 110, 170);
const DARK: RGBColor = RGBColor(30, 30, 30);
const LIGHT: RGBColor = RGBColor(200, 200, 200);
/// Names are cut after so many characters.
const NAME_LENGTH: usize = 40;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One bar, with its interval.
pub struct Bar {
    pub name: String,
    pub value: f64,
    pub interval: Option<Interval>,
}

/// Draws on a fresh canvas.
fn draw(height: u32, on: impl FnOnce(&Canvas<'_>) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        on(&canvas)?;
        canvas.present().map_err(failed)?;
    }
    Ok(svg)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw the report's plots: {error}")
}

fn text(canvas: &Canvas<'_>, words: &str, at: (i32, i32), side: HPos) -> anyhow::Result<()> {
    let style = ("sans-serif", 13).into_font().color(&DARK).pos(Pos::new(side, VPos::Center));
    canvas.draw(&Text::new(words.to_owned(), at, style)).map_err(failed)
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME_LENGTH {
        return name.to_owned();
    }
    name.chars().take(NAME_LENGTH - 1).chain(['…']).collect()
}

/// Horizontal bars from 0 to 1 with whiskers for the intervals and a line at chance.
pub fn bars(bars: &[Bar], chance: Option<f64>) -> anyhow::Result<String> {
    let rows = i32::try_from(bars.len()).unwrap_or(i32::MAX / ROW).min(1000);
    let height = rows * ROW + 40;
    let width = f64::from(WIDTH as i32 - LEFT - 70);
    #[allow(clippy::cast_possible_truncation)]
    let x = |value: f64| LEFT + (value.clamp(0.0, 1.0) * width).round() as i32;
    draw(height.unsigned_abs(), |canvas| {
        for tick in 0..=5 {
            let value = f64::from(tick) / 5.0;
            let line = PathElement::new(vec![(x(value), 4), (x(value), height - 28)], LIGHT);
            canvas.draw(&line).map_err(failed)?;
            text(canvas, &format!("{value:.1}"), (x(value), height - 14), HPos::Center)?;
        }
        for (row, bar) in (0..rows).zip(bars) {
            let middle = row * ROW + ROW / 2 + 4;
            text(canvas, &short(&bar.name), (LEFT - 8, middle), HPos::Right)?;
            let body =
                Rectangle::new([(x(0.0), middle - 7), (x(bar.value), middle + 7)], BAR.mix(0.7).filled());
            canvas.draw(&body).map_err(failed)?;
            let mut end = x(bar.value);
            if let Some(Interval { low, high }) = bar.interval {
                let whisker =
                    PathElement::new(vec![(x(low), middle), (x(high), middle)], DARK.stroke_width(2));
                canvas.draw(&whisker).map_err(failed)?;
                for side in [low, high] {
                    let cap = PathElement::new(
                        vec![(x(side), middle - 4), (x(side), middle + 4)],
                        DARK.stroke_width(2),
                    );
                    canvas.draw(&cap).map_err(failed)?;
                }
                end = end.max(x(high));
            }
            text(canvas, &format!("{:.3}", bar.value), (end + 8, middle), HPos::Left)?;
        }
        if let Some(chance) = chance {
            let line = PathElement::new(vec![(x(chance), 4), (x(chance), height - 28)], RED.stroke_width(1));
            canvas.draw(&line).map_err(failed)?;
        }
        Ok(())
    })
}

/// The confusion matrix: rows are true classes, darker cells hold more of the row.
pub fn confusion(labels: &[String], table: &[Vec<u32>]) -> anyhow::Result<String> {
    let n = i32::try_from(labels.len()).unwrap_or(1).max(1);
    let cell = ((WIDTH as i32 - LEFT - 20) / n).clamp(4, 48);
    let height = n * cell + 130;
    draw(height.unsigned_abs(), |canvas| {
        for (row, (label, counts)) in (0..n).zip(labels.iter().zip(table)) {
            let total = counts.iter().sum::<u32>().max(1);
            let top = row * cell + 4;
            if cell >= 10 {
                text(canvas, &short(label), (LEFT - 8, top + cell / 2), HPos::Right)?;
            }
            for (column, &count) in (0..n).zip(counts) {
                let left = LEFT + column * cell;
                let share = f64::from(count) / f64::from(total);
                let area = [(left, top), (left + cell - 1, top + cell - 1)];
                canvas.draw(&Rectangle::new(area, BAR.mix(0.05 + 0.95 * share).filled())).map_err(failed)?;
                if count > 0 && cell >= 22 {
                    text(canvas, &count.to_string(), (left + cell / 2, top + cell / 2), HPos::Center)?;
                }
            }
        }
        if cell >= 10 {
            for (column, label) in (0..n).zip(labels) {
                let style = ("sans-serif", 13).into_font().transform(FontTransform::Rotate90).color(&DARK);
                let at = (LEFT + column * cell + cell / 2 + 5, n * cell + 8);
                canvas.draw(&Text::new(short(label), at, style)).map_err(failed)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_cut() {
        let svg = bars(
            &[Bar { name: format!("<script>&{}", "x".repeat(100)), value: 0.5, interval: None }],
            Some(0.1),
        );
        let svg = svg.unwrap();
        assert!(svg.contains("&lt;script&gt;&amp;x") && !svg.contains("<script>"), "{svg}");
        assert!(!svg.contains(&"x".repeat(40)) && svg.contains('…'));
        let table = confusion(&["<b>".to_owned(), "c".to_owned()], &[vec![3, 1], vec![0, 2]]).unwrap();
        assert!(table.contains("&lt;b&gt;") && !table.contains("<b>"));
    }
}
