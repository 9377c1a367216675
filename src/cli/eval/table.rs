//! The report as tables for a terminal.

use comfy_table::{Table, presets};

use super::relevance::{Bin, Reliability};
use super::report::{Figure, Report};

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

fn figure(figure: Option<Figure>) -> String {
    match figure {
        None => "-".to_owned(),
        Some(Figure { value, interval: None }) => format!("{value:.3}"),
        Some(Figure { value, interval: Some(i) }) => format!("{value:.3} ({:.3}-{:.3})", i.low, i.high),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    table
}

/// The whole as text: data, figures by candidate, models, and the recommendation.
pub fn render(report: &Report) -> String {
    let mut text = format!(
        "{} pictures of {} ({} left out), {} labels, {} captions; intervals of 95 % from {} draws\n",
        report.pictures, report.source, report.left_out, report.labels, report.captions, report.resamples
    );
    if report.labels >= 2 {
        text += &format!("\nBy label\n{}\n", by_label(report));
    }
    if report.captions > 0 {
        text += &format!("\nBy caption\n{}\n", by_caption(report));
    }
    text += &format!(
        "\nRelevance of the first ten hits: what is said > what is right (hits)\n{}\n",
        relevance(report)
    );
    text += &format!("\nModels\n{}\n", models(report));
    for lost in &report.not_loaded {
        text += &format!("not measured: {}: {}\n", lost.model, lost.error);
    }
    text + "\n" + &report.recommendation.sentence
}

fn by_label(report: &Report) -> Table {
    let mut table =
        table(&["model", "templates", "accuracy", "top 5", "balanced", "mAP", "R@1", "R@5", "R@10", "P@10"]);
    for model in &report.models {
        for set in &model.sets {
            let recall = |k: &str| share(set.label_recall.get(k).copied());
            table.add_row([
                model.model.clone(),
                set.set.clone(),
                figure(set.accuracy),
                share(set.top5),
                share(set.balanced_accuracy),
                figure(set.map),
                recall("R@1"),
                recall("R@5"),
                recall("R@10"),
                share(set.precision_at_10),
            ]);
        }
    }
    let chance = &report.chance;
    table.add_row([
        "chance".to_owned(),
        String::new(),
        share(chance.accuracy),
        share(chance.top5),
        share(chance.accuracy),
        share(chance.map),
        share(chance.label_r1),
        String::new(),
        String::new(),
        share(chance.precision_at_10),
    ]);
    table
}

fn by_caption(report: &Report) -> Table {
    let mut table = table(&["model", "templates", "R@1 by picture", "R@1", "R@5", "R@10", "median rank"]);
    for model in &report.models {
        for set in &model.sets {
            let recall = |k: &str| share(set.caption_recall.get(k).copied());
            let median = set.caption_median_rank.map_or_else(|| "-".to_owned(), |rank| format!("{rank:.1}"));
            table.add_row([
                model.model.clone(),
                set.set.clone(),
                figure(set.caption_r1),
                recall("R@1"),
                recall("R@5"),
                recall("R@10"),
                median,
            ]);
        }
    }
    let chance = &report.chance;
    let median = format!("{:.1}", (report.pictures as f64 + 1.0) / 2.0);
    table.add_row([
        "chance".to_owned(),
        String::new(),
        share(chance.caption_r1),
        share(chance.caption_r1),
        String::new(),
        share(chance.caption_r10),
        median,
    ]);
    table
}

fn relevance(report: &Report) -> Table {
    let mut table = table(&[
        "model",
        "by",
        "0-0.2",
        "0.2-0.4",
        "0.4-0.6",
        "0.6-0.8",
        "0.8-1",
        "error",
        "from 0.5: right",
        "recall",
        "absent, from 0.5",
    ]);
    let mut add = |model: &str, by: &str, figures: &Reliability| {
        let bin = |bin: &Bin| match (bin.said, bin.right) {
            (Some(said), Some(right)) => format!("{said:.2} > {right:.2} ({})", bin.hits),
            _ => "-".to_owned(),
        };
        let mut row = vec![model.to_owned(), by.to_owned()];
        row.extend(figures.bins.iter().map(bin));
        row.push(format!("{:.3}", figures.calibration_error));
        row.push(share(figures.probable_right));
        row.push(share(figures.probable_recall));
        row.push(share(figures.absent_probable));
        table.add_row(row);
    };
    for model in &report.models {
        for set in &model.sets {
            if let Some(figures) = &set.relevance {
                add(&model.model, &set.set, figures);
            }
        }
        if let Some(figures) = &model.picture_relevance {
            add(&model.model, "pictures", figures);
        }
    }
    table
}

fn models(report: &Report) -> Table {
    let mut table = table(&[
        "model",
        "dimension",
        "device",
        "load",
        "pictures/s",
        "texts/s",
        "picture-to-picture mAP",
        "R@1",
    ]);
    for model in &report.models {
        table.add_row([
            model.model.clone(),
            model.dimension.to_string(),
            model.device.to_owned(),
            format!("{:.2} s", model.load_secs),
            format!("{:.1}", model.pictures_per_sec),
            format!("{:.1}", model.texts_per_sec),
            figure(model.picture_to_picture_map),
            share(model.picture_to_picture_r1),
        ]);
    }
    if report.chance.picture_to_picture_map.is_some() {
        let mut row = vec![String::new(); 8];
        "chance".clone_into(&mut row[0]);
        row[6] = share(report.chance.picture_to_picture_map);
        table.add_row(row);
    }
    table
}
