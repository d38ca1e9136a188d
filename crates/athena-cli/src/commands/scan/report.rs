//! `--report`: one HTML file that needs no network, no script and shows no image.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::tally::{Histogram, Tally};
use crate::failure::{Failure, Outcome, reason};
use crate::output::terminal::{bytes, count};

const STYLE: &str = include_str!("report.css");
/// Size of a chart's drawing area.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;

/// Writes the report about a scan's whole output.
pub(super) fn write(output: &Path, tally: &Tally, report: &Path) -> Outcome<()> {
    std::fs::write(report, page(output, tally)).map_err(|error| {
        Failure::local(format!(
            "cannot write the report {}: {}",
            report.display(),
            reason(&error)
        ))
    })
}

fn page(output: &Path, tally: &Tally) -> String {
    let title = escape(&output.display().to_string());
    let (stretch, counts) = tally.throughput(120);
    let sections = [
        figures(tally),
        chart(
            "Overall probability (PCSAM)",
            "Images by PCSAM, on a logarithmic scale",
            &histogram_bars(&tally.pcsam),
            &quarters(&tally.pcsam),
        ),
        chart(
            "Entropy",
            "Images by entropy, on a logarithmic scale; the last bar is everything above",
            &histogram_bars(&tally.entropy),
            &quarters(&tally.entropy),
        ),
        chart(
            "Throughput",
            &format!(
                "Images finished in each {}, at most {}",
                humantime::format_duration(stretch),
                count(counts.iter().copied().max().unwrap_or(0))
            ),
            &time_bars(&counts, stretch),
            &ends(tally),
        ),
        counted("Errors by kind", "No image failed.", tally.errors.iter()),
        counted("Formats", "No image was decoded.", tally.formats.iter()),
        slowest(tally),
        failures(tally),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>Athena scan: {title}</title><style>{STYLE}</style></head>\n\
         <body><header><h1>Athena scan</h1><p class=\"path\">{title}</p></header>\n<main>\n{}</main>\n\
         </body></html>\n",
        sections.concat()
    )
}

fn figures(tally: &Tally) -> String {
    let mut html = String::from("<dl class=\"figures\">");
    let mut figure = |name: &str, value: String, class: &str| {
        let _ = write!(
            html,
            "<div class=\"{class}\"><dt>{name}</dt><dd>{value}</dd></div>"
        );
    };
    let alarm = |number: u64| if number > 0 { "alarm" } else { "" };
    figure("Images", count(tally.images()), "");
    figure("Classified", count(tally.classified), "");
    figure("Failed", count(tally.failed), alarm(tally.failed));
    figure("Known", count(tally.known), alarm(tally.known));
    figure("Duplicates", count(tally.duplicates), "");
    figure("Read", bytes(tally.bytes), "");
    html + "</dl>\n"
}

/// One bar: its height from 0 to 1, and its text.
type Bar = (f64, String);

fn histogram_bars(histogram: &Histogram) -> Vec<Bar> {
    let most = histogram.counts.iter().copied().max().unwrap_or(0);
    let scale = ((most + 1) as f64).ln();
    let step = histogram.most / histogram.counts.len() as f32;
    let bars = histogram.counts.iter().enumerate().map(|(index, number)| {
        let from = index as f32 * step;
        let height = if most == 0 {
            0.0
        } else {
            ((number + 1) as f64).ln() / scale
        };
        (
            height,
            format!("{from:.2} to {:.2}: {}", from + step, count(*number)),
        )
    });
    bars.collect()
}

fn time_bars(counts: &[u64], stretch: Duration) -> Vec<Bar> {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bars = counts.iter().map(|number| {
        let rate = *number as f64 / stretch.as_secs_f64();
        (
            *number as f64 / most as f64,
            format!("{} images, {rate:.1} a second", count(*number)),
        )
    });
    bars.collect()
}

/// The values under a histogram.
fn quarters(histogram: &Histogram) -> Vec<String> {
    (0..=4)
        .map(|quarter| (f64::from(quarter) / 4.0 * f64::from(histogram.most)).to_string())
        .collect()
}

/// The first and the last second, if there are any.
fn ends(tally: &Tally) -> Vec<String> {
    let seconds = [
        tally.seconds.first_key_value(),
        tally.seconds.last_key_value(),
    ];
    let time = |second: &u64| {
        let time = UNIX_EPOCH + Duration::from_secs(*second);
        humantime::format_rfc3339_seconds(time).to_string()
    };
    seconds
        .into_iter()
        .flatten()
        .map(|(second, _)| time(second))
        .collect()
}

/// Bars over an axis with evenly spread labels.
fn chart(title: &str, caption: &str, bars: &[Bar], labels: &[String]) -> String {
    let mut html = format!(
        "<section><h2>{title}</h2><figure><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">",
        HEIGHT + 18.0,
        escape(caption)
    );
    let slot = WIDTH / bars.len().max(1) as f64;
    let thickness = (slot * 0.82).min(40.0);
    for (index, (height, text)) in bars.iter().enumerate() {
        if *height <= 0.0 {
            continue;
        }
        let tall = (height * HEIGHT).max(1.0);
        let _ = write!(
            html,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{thickness:.1}\" height=\"{tall:.1}\" rx=\"1\">\
             <title>{}</title></rect>",
            index as f64 * slot,
            HEIGHT - tall,
            escape(text)
        );
    }
    let _ = write!(
        html,
        "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>"
    );
    let last = labels.len().saturating_sub(1);
    for (index, label) in labels.iter().enumerate() {
        let anchor = match index {
            0 => "start",
            _ if index == last => "end",
            _ => "middle",
        };
        let _ = write!(
            html,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            WIDTH * index as f64 / last.max(1) as f64,
            HEIGHT + 14.0,
            escape(label)
        );
    }
    let _ = write!(
        html,
        "</svg><figcaption>{}</figcaption></figure></section>",
        escape(caption)
    );
    html
}

fn counted<'a>(
    title: &str,
    none: &str,
    rows: impl ExactSizeIterator<Item = (&'a String, &'a u64)>,
) -> String {
    if rows.len() == 0 {
        return format!("<section><h2>{title}</h2><p>{none}</p></section>\n");
    }
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|a, b| b.1.cmp(a.1));
    let mut html = format!("<section><h2>{title}</h2><table>");
    for (name, number) in rows {
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"number\">{}</td></tr>",
            escape(name),
            count(*number)
        );
    }
    html + "</table></section>\n"
}

fn slowest(tally: &Tally) -> String {
    let mut html = String::from("<section><h2>Slowest</h2><table>");
    for (elapsed, path) in &tally.slowest {
        let _ = write!(
            html,
            "<tr><td class=\"path\">{}</td><td class=\"number\">{elapsed:.0} ms</td></tr>",
            escape(path)
        );
    }
    html + "</table></section>\n"
}

fn failures(tally: &Tally) -> String {
    if tally.failures.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section><h2>Failed</h2><table>");
    for (path, kind, message) in &tally.failures {
        let _ = write!(
            html,
            "<tr><td class=\"path\">{}</td><td>{}</td><td>{}</td></tr>",
            escape(path),
            escape(kind),
            escape(message)
        );
    }
    html += "</table>";
    let listed = tally.failures.len() as u64;
    if tally.failed > listed {
        let _ = write!(
            html,
            "<p>The first {} of {}: the output file has them all.</p>",
            count(listed),
            count(tally.failed)
        );
    }
    html + "</section>\n"
}

/// Paths and messages come from outside.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in crate::failure::one_line(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use athena_outcome::Record;

    #[test]
    fn the_page_needs_nothing_from_outside_and_escapes_what_comes_from_there() {
        let mut tally = Tally::default();
        let hostile = Path::new("<script>alert(1)</script>.jpg");
        let mut failed = Record::of_path(hostile);
        failed.fail("truncated", "a \"quoted\" <b>");
        tally.add(&failed, false);
        let mut record = Record::of_path(Path::new("a.jpg"));
        record.scores.pcsam = Some(0.5);
        tally.add(&record, false);
        let html = page(Path::new("out.jsonl"), &tally);
        for outside in [
            "<script", "http:", "https:", "<img", "<link", "@import", "url(",
        ] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("&lt;script&gt;") && html.contains("0.50 to 0.52: 1"));
    }

    #[test]
    fn an_empty_scan_has_a_report_too() {
        let html = page(Path::new("out.jsonl"), &Tally::default());
        assert!(html.contains("No image failed."));
        assert!(!html.contains("NaN"));
    }
}
