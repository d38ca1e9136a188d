//! Bars over an axis. The bars are stretched to the width of the page; the text beside them is not, so
//! that it can be read on a telephone.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::escape;
use crate::commands::scan::tally::{Histogram, Tally};
use crate::output::terminal::count;

/// Stretches of time in the chart of the throughput.
const STRETCHES: u64 = 120;

/// One bar: its height from 0 to 1, and its text.
type Bar = (f64, String);
/// A line across: its height from 0 to 1, and what it stands for.
type Tick = (f64, String);

struct Chart<'a> {
    title: &'a str,
    caption: &'a str,
    bars: &'a [Bar],
    ticks: &'a [Tick],
    /// Under the bars, evenly spread.
    labels: &'a [String],
}

pub(super) fn pcsam(histogram: &Histogram) -> String {
    let caption = "Images by PCSAM, on a logarithmic scale";
    of_histogram("Overall probability (PCSAM)", caption, histogram)
}

pub(super) fn entropy(histogram: &Histogram) -> String {
    let caption = "Images by entropy, on a logarithmic scale; the last bar is everything above";
    of_histogram("Entropy", caption, histogram)
}

fn of_histogram(title: &str, caption: &str, histogram: &Histogram) -> String {
    let most = histogram.counts.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let scale = ((most + 1) as f64).ln();
    let height = |number: u64| ((number + 1) as f64).ln() / scale;
    let step = histogram.most / histogram.counts.len() as f32;
    let bars = histogram.counts.iter().enumerate().map(|(index, number)| {
        let from = index as f32 * step;
        let text = format!("{from:.2} to {:.2}: {}", from + step, count(*number));
        let height = if *number == 0 { 0.0 } else { height(*number) };
        (height, text)
    });
    let powers = std::iter::successors(Some(1_u64), |power| power.checked_mul(10));
    let mut ticks: Vec<Tick> = powers
        .take_while(|power| *power <= most)
        .map(|power| (height(power), count(power)))
        .collect();
    // The largest count itself, unless it would stand on the last power of ten.
    if ticks.last().is_none_or(|(height, _)| *height < 0.88) {
        ticks.push((1.0, count(most)));
    }
    // Few labels of many powers, lest they touch.
    let every = ticks.len().div_ceil(5);
    let ticks: Vec<Tick> = ticks.into_iter().rev().step_by(every).collect();
    let labels: Vec<String> = (0..=4)
        .map(|quarter| (f64::from(quarter) / 4.0 * f64::from(histogram.most)).to_string())
        .collect();
    draw(&Chart {
        title,
        caption,
        bars: &bars.collect::<Vec<_>>(),
        ticks: &ticks,
        labels: &labels,
    })
}

/// Images finished over time.
pub(super) fn throughput(tally: &Tally) -> String {
    let (stretch, counts) = tally.throughput(STRETCHES);
    let most = counts.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return String::new();
    }
    let seconds = stretch.as_secs_f64();
    let bars = counts.iter().map(|number| {
        let rate = *number as f64 / seconds;
        let text = format!("{} images, {rate:.1} a second", count(*number));
        (*number as f64 / most as f64, text)
    });
    let at = |share: f64| (share, format!("{:.0}/s", most as f64 * share / seconds));
    let ends = [
        tally.seconds.first_key_value(),
        tally.seconds.last_key_value(),
    ];
    let labels = ends.into_iter().flatten().map(|(second, _)| {
        let time = UNIX_EPOCH + Duration::from_secs(*second);
        humantime::format_rfc3339_seconds(time).to_string()
    });
    let caption = format!(
        "Images finished a second, in stretches of {}",
        humantime::format_duration(stretch)
    );
    draw(&Chart {
        title: "Throughput",
        caption: &caption,
        bars: &bars.collect::<Vec<_>>(),
        ticks: &[at(1.0), at(0.5)],
        labels: &labels.collect::<Vec<_>>(),
    })
}

fn draw(chart: &Chart<'_>) -> String {
    let caption = escape(chart.caption);
    let mut html = format!(
        "<section><h2>{}</h2><figure><div class=\"chart\"><div class=\"ticks\">",
        chart.title
    );
    for (height, text) in chart.ticks {
        let _ = write!(
            html,
            "<span style=\"bottom:{:.1}%\">{}</span>",
            height * 100.0,
            escape(text)
        );
    }
    let _ = write!(
        html,
        "</div><svg viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{caption}\">",
        chart.bars.len()
    );
    for (height, _) in chart.ticks {
        let y = 100.0 - height * 100.0;
        let _ = write!(
            html,
            "<line x1=\"0\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            chart.bars.len()
        );
    }
    for (index, (height, text)) in chart.bars.iter().enumerate() {
        if *height <= 0.0 {
            continue;
        }
        let tall = (height * 100.0).max(1.0);
        let _ = write!(
            html,
            "<rect x=\"{:.2}\" y=\"{:.1}\" width=\"0.84\" height=\"{tall:.1}\"><title>{}</title></rect>",
            index as f64 + 0.08,
            100.0 - tall,
            escape(text)
        );
    }
    html += "</svg><div class=\"labels\">";
    for label in chart.labels {
        let _ = write!(html, "<span>{}</span>", escape(label));
    }
    let _ = writeln!(
        html,
        "</div></div><figcaption>{caption}</figcaption></figure></section>"
    );
    html
}
