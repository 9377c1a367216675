//! The plots of a calibration as SVG: the DET curve and the scores of both kinds.

use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::verify::RatePoint;

const SIZE: (u32, u32) = (760, 380);
/// Bars of a histogram.
const BINS: usize = 50;
const GENUINE: RGBColor = RGBColor(0, 90, 160);
const IMPOSTOR: RGBColor = RGBColor(200, 90, 0);

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("cannot draw the report's plots: {error}"))
}

/// FRR over FAR, both on logarithmic axes from 1e-4 on.
pub fn det(points: &[RatePoint]) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(60)
            .build_cartesian_2d((1e-4f64..1.0).log_scale(), (1e-4f64..1.0).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("FAR: share of impostors accepted")
            .y_desc("FRR: share of genuine refused")
            .draw()
            .map_err(failed)?;
        let line = points.iter().map(|point| (point.far.max(1e-4), point.frr.max(1e-4)));
        chart
            .draw_series([PathElement::new(line.collect::<Vec<_>>(), GENUINE.stroke_width(2))])
            .map_err(failed)?;
        let equal = [(1e-4, 1e-4), (1.0, 1.0)];
        chart.draw_series([PathElement::new(equal.to_vec(), BLACK.mix(0.3))]).map_err(failed)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The shares of genuine and impostor scores in even steps, with lines at the thresholds.
pub fn scores(genuine: &[f64], impostors: &[f64], thresholds: &[f64]) -> Result<String> {
    let all = || genuine.iter().chain(impostors);
    let low = all().copied().fold(f64::INFINITY, f64::min);
    let high = all().copied().fold(f64::NEG_INFINITY, f64::max).max(low + 1e-6);
    let step = (high - low) / BINS as f64;
    let shares = |scores: &[f64]| {
        let mut bins = [0.0; BINS];
        for score in scores {
            let bin = ((score - low) / step).floor().max(0.0) as usize;
            bins[bin.min(BINS - 1)] += 1.0 / scores.len() as f64;
        }
        bins
    };
    let (own, others) = (shares(genuine), shares(impostors));
    let top = own.iter().chain(&others).copied().fold(0.0, f64::max) * 1.05;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(60)
            .build_cartesian_2d(low..high, 0.0..top)
            .map_err(failed)?;
        chart.configure_mesh().x_desc("score").y_desc("share").draw().map_err(failed)?;
        for (bins, colour, name) in [(own, GENUINE, "genuine"), (others, IMPOSTOR, "impostors")] {
            let bars = bins.iter().enumerate().map(|(i, share)| {
                let left = low + i as f64 * step;
                Rectangle::new([(left, 0.0), (left + step, *share)], colour.mix(0.5).filled())
            });
            chart.draw_series(bars).map_err(failed)?.label(name).legend(move |(x, y)| {
                Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.mix(0.5).filled())
            });
        }
        for threshold in thresholds {
            let line = [(*threshold, 0.0), (*threshold, top)];
            chart.draw_series([PathElement::new(line.to_vec(), BLACK.stroke_width(1))]).map_err(failed)?;
        }
        chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw().map_err(failed)?;
        root.present().map_err(failed)?;
    }
    Ok(svg)
}
