//! `--report`: one HTML file that needs no network and shows no image.
//!
//! Everything in it comes from paths, messages and labels of others: all of it is escaped, and a content
//! security policy allows the page's own style and script and nothing else.

mod chart;
mod files;

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::tally::Tally;
use crate::failure::{Failure, Outcome, reason};
use crate::output::terminal::{bytes, count};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

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
    let sections = [
        figures(tally),
        files::foremost(tally),
        files::unacted(tally),
        chart::pcsam(&tally.pcsam),
        chart::entropy(&tally.entropy),
        chart::throughput(tally),
        counted("Decisions", tally.decisions.iter()),
        counted("Errors by kind", tally.errors.iter()),
        files::failures(tally),
        counted("Formats", tally.formats.iter()),
        files::slowest(tally),
    ];
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'sha256-{script}'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>Athena scan: {title}</title><style>{STYLE}</style></head>\n\
         <body><header><h1>Athena scan</h1><p class=\"path\">{title}</p></header>\n<main>\n{}</main>\n\
         <script>{SCRIPT}</script></body></html>\n",
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
    figure("Known", count(tally.known), alarm(tally.known));
    figure("Matched", count(tally.matched), alarm(tally.matched));
    figure("Failed", count(tally.failed), alarm(tally.failed));
    figure("Classified", count(tally.classified), "");
    figure("Images", count(tally.images()), "");
    figure("Duplicates", count(tally.duplicates), "");
    figure("Read", bytes(tally.bytes), "");
    html + "</dl>\n"
}

/// Names with their numbers, the largest first; nothing when there are none.
fn counted<'a>(title: &str, rows: impl Iterator<Item = (&'a String, &'a u64)>) -> String {
    let mut rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
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

/// Paths and messages come from outside.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in crate::failure::one_line(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
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
        let hostile = "<script>alert('1')</script>\u{1b}[2J\u{202e}.jpg";
        let mut failed = Record::of_path(Path::new(hostile));
        failed.fail("truncated", "a \"quoted\" <b>");
        failed.scores.known_match = Some(true);
        tally.add(&failed, true);
        let mut record = Record::of_path(Path::new("a.jpg"));
        record.scores.pcsam = Some(0.5);
        let label = "UnknownCSAM-<img src=x onerror=alert(1)>";
        record.scores.weights.insert(label.into(), 0.5);
        tally.add(&record, false);
        let html = page(Path::new("out.jsonl"), &tally);
        for outside in [
            "http:", "https:", "<img", "<link", "@import", "url(", "<iframe",
        ] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert_eq!(html.matches("<script>").count(), 1, "the page's own");
        assert!(
            html.contains("&lt;script&gt;alert(&#39;1&#39;)") && html.contains("0.50 to 0.52: 1")
        );
        assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}'));
        assert!(html.contains("&lt;img src=x"));
    }

    #[test]
    fn the_policy_allows_the_pages_own_script_alone() {
        let html = page(Path::new("out.jsonl"), &Tally::default());
        let (_, rest) = html.split_once("<script>").expect("a script");
        let (script, _) = rest.split_once("</script>").expect("its end");
        let digest = STANDARD.encode(Sha256::digest(script));
        assert!(html.contains(&format!("script-src 'sha256-{digest}'")));
    }

    #[test]
    fn what_matters_comes_first() {
        let mut tally = Tally::default();
        for (name, pcsam, known) in [("a", 0.2, false), ("b", 0.9, false), ("c", 0.1, true)] {
            let mut record = Record::of_path(Path::new(&format!("{name}.jpg")));
            record.scores.pcsam = Some(pcsam);
            record.scores.known_match = Some(known);
            tally.add(&record, pcsam > 0.5);
        }
        let html = page(Path::new("out.jsonl"), &tally);
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
        assert!(at("c.jpg") < at("b.jpg") && at("b.jpg") < at(">a.jpg"));
        assert!(at(">a.jpg") < at("Overall probability"));
    }

    #[test]
    fn an_empty_scan_has_a_report_too() {
        let html = page(Path::new("out.jsonl"), &Tally::default());
        assert!(html.contains("No image has a verdict."));
        assert!(!html.contains("NaN"));
    }
}
