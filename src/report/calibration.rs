//! The report of a calibration: what was compared, the equal error rate, each threshold with its rates, the
//! DET curve, both kinds of scores, and what the figures do not say.

use maud::{DOCTYPE, PreEscaped, html};

use super::plots;
use crate::collection::CalibrationVersion;
use crate::error::Result;
use crate::verify::{Calibration, Estimate};

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1e1e1e}\
table{border-collapse:collapse}th,td{border:1px solid #999;padding:.3rem .6rem;text-align:right}\
figure{margin:1rem 0}svg{max-width:100%;height:auto}";

fn percent(value: f64) -> String {
    format!("{:.2} %", value * 100.0)
}

fn estimate(of: &Estimate) -> String {
    format!("{} ({} to {})", percent(of.value), percent(of.interval.low), percent(of.interval.high))
}

/// The page.
///
/// # Errors
/// `Internal` where a plot cannot be drawn.
pub fn calibration(collection: &str, version: &CalibrationVersion, stored: &Calibration) -> Result<String> {
    let thresholds: Vec<f64> = version.points.iter().map(|point| point.threshold).collect();
    let det = plots::det(&stored.det)?;
    let scores = plots::scores(&stored.genuine_scores, &stored.impostor_scores, &thresholds)?;
    let made = jiff::Timestamp::from_second(version.created).map(|t| t.to_string()).unwrap_or_default();
    let impostors =
        if version.against == "skilled" { "labelled forgeries" } else { "signatures of other people" };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "Calibration " (version.id) " of " (collection) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Calibration of " (collection) }
                    p { "Version " (version.version) ", id " code { (version.id) } ", made " (made) ", whitening "
                        code { (version.whitening) } ", features " code { (version.recipe) } "." }
                    @if let Some(stale) = &version.stale { p role="note" { strong { "Out of date: " (stale) } } }
                    p { (version.genuine) " genuine comparisons of " (version.subjects) " subjects and "
                        (version.impostors) " comparisons with " (impostors) ". Intervals are at 95 %, drawn over subjects." }
                    h2 { "Equal error rate" }
                    p { (estimate(&version.eer)) " at the threshold " (format!("{:.4}", stored.eer_threshold)) }
                    @if let Some(skilled) = &version.skilled {
                        p { "Against " (skilled.forgeries) " labelled forgeries of " (skilled.subjects) " subjects: "
                            (estimate(&skilled.eer)) }
                    }
                    h2 { "Thresholds" }
                    table {
                        caption { "Accept from the threshold on" }
                        thead { tr { th scope="col" { "chosen FAR" } th scope="col" { "threshold" }
                            th scope="col" { "FAR" } th scope="col" { "FRR" }
                            @if version.skilled.is_some() { th scope="col" { "forgeries accepted" } } } }
                        tbody {
                            @for (i, point) in version.points.iter().enumerate() {
                                tr {
                                    th scope="row" { (percent(point.target_far)) @if point.coarse { " (coarse)" } }
                                    td { (format!("{:.4}", point.threshold)) }
                                    td { (estimate(&point.far)) }
                                    td { (estimate(&point.frr)) }
                                    @if let Some(skilled) = &version.skilled {
                                        td { (skilled.far.get(i).map_or_else(|| "-".to_owned(), |far| percent(*far))) }
                                    }
                                }
                            }
                        }
                    }
                    h2 { "DET curve" }
                    figure role="img" aria-label=(format!("FRR over FAR on logarithmic axes; they are equal at {}", percent(version.eer.value))) {
                        (PreEscaped(det)) figcaption { "Lower and further left is better; rates under 0.01 % are drawn there." }
                    }
                    h2 { "Scores" }
                    figure role="img" aria-label="Histograms of genuine and impostor scores, with lines at the thresholds" {
                        (PreEscaped(scores)) figcaption { "The more the two overlap, the more is decided wrongly. Lines: thresholds." }
                    }
                    h2 { "What these figures do not say" }
                    ul {
                        li { "A FAR against other people's signatures says nothing of forgeries: who practises a signature passes far more often." }
                        li { "Rates are averages over writers. One writer's may be many times higher." }
                        li { "They hold for signatures taken and scanned as those of this collection were." }
                        li { "The tool supports an examiner and replaces none." }
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}
