//! The report as one HTML page without outside parts. `maud` escapes every text in it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plots::{self, Bar};
use super::report::{Figure, Report};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}td,th{border-bottom:1px solid #ddd;padding:.2rem .6rem;text-align:right}\
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}svg{max-width:100%;height:auto}\
.answer{background:#eef3f9;padding:1rem;border-radius:.3rem}";

/// The page.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn render(report: &Report) -> anyhow::Result<String> {
    let recommended = &report.recommendation;
    let bar = |(model, set, figure): &(String, String, Option<Figure>)| {
        let figure = (*figure)?;
        let name = if report.models.len() > 1 { format!("{model} / {set}") } else { set.clone() };
        Some(Bar { name, value: figure.value, interval: figure.interval })
    };
    let mut candidates: Vec<Bar> = report.deciding.iter().filter_map(bar).collect();
    candidates.sort_by(|a, b| b.value.total_cmp(&a.value));
    let chance = match recommended.metric {
        "R@1 of caption search" => report.chance.caption_r1,
        "mAP of label search" => report.chance.map,
        _ => report.chance.accuracy,
    };
    let candidates = plots::bars(&candidates, chance)?;
    let per_class: Vec<Bar> = report
        .classes
        .iter()
        .filter(|class| class.pictures > 0)
        .map(|class| Bar {
            name: format!("{} ({} of {})", class.label, class.found, class.pictures),
            value: f64::from(class.found) / f64::from(class.pictures),
            interval: None,
        })
        .collect();
    let labels: Vec<String> = report.classes.iter().map(|class| class.label.clone()).collect();
    let by_class =
        if per_class.is_empty() { None } else { Some(plots::bars(&per_class, report.chance.accuracy)?) };
    let confusion =
        if report.confusion.is_empty() { None } else { Some(plots::confusion(&labels, &report.confusion)?) };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "lookalike eval: " (report.source) } style { (PreEscaped(STYLE)) } }
            body {
                h1 { "Which model and templates" }
                p.answer { (recommended.sentence) }
                p {
                    (report.pictures) " pictures of " code { (report.source) } ", " (report.labels) " labels, "
                    (report.captions) " captions; " (report.left_out) " left out. Intervals of 95 % from "
                    (report.resamples) " draws over pictures, seed " (report.seed) "."
                }
                h2 { "By " (recommended.metric) }
                p { "Whiskers are intervals; the red line is chance." }
                (PreEscaped(candidates))
                (figures(report))
                (models(report))
                @if let Some(svg) = by_class {
                    h2 { "By class: " (recommended.model) " with " (recommended.set) }
                    p { "Share of the pictures whose label comes first." }
                    (PreEscaped(svg))
                }
                @if let Some(svg) = confusion {
                    h2 { "What is taken for what" }
                    p { "Rows: the true label. Columns: the label that came first." }
                    (PreEscaped(svg))
                }
                (templates(report))
                (problems(report))
            }
        }
    };
    Ok(page.into_string())
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn value(figure: Option<Figure>) -> String {
    share(figure.map(|figure| figure.value))
}

fn figures(report: &Report) -> Markup {
    html! {
        h2 { "All figures" }
        table {
            tr { th { "model" } th { "templates" } @for name in ["accuracy", "top 5", "balanced", "mAP", "P@10", "caption R@1", "R@5", "R@10", "median rank"] { th { (name) } } }
            @for model in &report.models { @for set in &model.sets {
                tr {
                    td { (model.model) } td { (set.set) }
                    td { (value(set.accuracy)) } td { (share(set.top5)) } td { (share(set.balanced_accuracy)) }
                    td { (value(set.map)) } td { (share(set.precision_at_10)) } td { (value(set.caption_r1)) }
                    td { (share(set.caption_recall.get("R@5").copied())) }
                    td { (share(set.caption_recall.get("R@10").copied())) }
                    td { (share(set.caption_median_rank)) }
                }
            } }
            tr {
                td { "chance" } td {} td { (share(report.chance.accuracy)) } td { (share(report.chance.top5)) }
                td { (share(report.chance.accuracy)) } td { (share(report.chance.map)) }
                td { (share(report.chance.precision_at_10)) } td { (share(report.chance.caption_r1)) } td {}
                td { (share(report.chance.caption_r10)) } td {}
            }
        }
    }
}

fn models(report: &Report) -> Markup {
    html! {
        h2 { "Models" }
        table {
            tr { th { "model" } th { "device" } @for name in ["dimension", "load, s", "pictures/s", "texts/s", "picture-to-picture mAP", "R@1"] { th { (name) } } }
            @for model in &report.models {
                tr {
                    td { (model.model) } td { (model.device) } td { (model.dimension) }
                    td { (format!("{:.2}", model.load_secs)) } td { (format!("{:.1}", model.pictures_per_sec)) }
                    td { (format!("{:.1}", model.texts_per_sec)) } td { (value(model.picture_to_picture_map)) }
                    td { (share(model.picture_to_picture_r1)) }
                }
            }
        }
        @for lost in &report.not_loaded { p { "Not measured: " (lost.model) ": " (lost.error) } }
    }
}

fn templates(report: &Report) -> Markup {
    html! {
        h2 { "Templates" }
        ul { @for set in &report.template_sets {
            li {
                b { (set.name) } ": " (set.shared.join(" | "))
                @for (label, own) in &set.per_class { "; " (label) ": " (own.join(" | ")) }
            }
        } }
    }
}

fn problems(report: &Report) -> Markup {
    html! {
        @if !report.problems.is_empty() {
            h2 { "Left out" }
            ul { @for problem in &report.problems { li { (problem) } } }
            @if report.left_out > report.problems.len() { p { "and " (report.left_out - report.problems.len()) " more" } }
        }
    }
}
