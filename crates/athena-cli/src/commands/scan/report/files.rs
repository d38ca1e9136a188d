//! Tables of files: by path only, never by picture.

use std::fmt::Write as _;

use super::escape;
use crate::commands::scan::tally::{Listed, Tally};
use crate::output::terminal::count;

/// Known content and the highest PCSAM: what somebody has to look at.
pub(super) fn foremost(tally: &Tally) -> String {
    let head = "<section class=\"files\"><h2>Files to look at</h2>";
    if tally.foremost.is_empty() {
        return format!("{head}<p>No image has a verdict.</p></section>\n");
    }
    let mut html = format!(
        "{head}<p>Known content first, then the highest PCSAM: {} of {} images.</p>\
         <p class=\"tools\" hidden><label>Filter <input type=\"search\" placeholder=\"path, label or action\"></label> \
         <label><input type=\"checkbox\" value=\"known\"> known</label> \
         <label><input type=\"checkbox\" value=\"matched\"> matched</label> \
         <output></output></p>\
         <div class=\"scroll\" tabindex=\"0\"><table class=\"sortable\"><thead><tr><th scope=\"col\" data-kind=\"text\">File</th>\
         <th scope=\"col\" data-kind=\"number\">PCSAM</th><th scope=\"col\" data-kind=\"number\">Known</th>\
         <th scope=\"col\" data-kind=\"text\" class=\"more\">Category</th>\
         <th scope=\"col\" data-kind=\"text\" class=\"more\">Action</th></tr></thead><tbody>",
        count(tally.foremost.len() as u64),
        count(tally.images())
    );
    for listed in &tally.foremost {
        row(listed, &mut html);
    }
    html + "</tbody></table></div></section>\n"
}

fn row(listed: &Listed, html: &mut String) {
    let class = match (listed.known, listed.matched) {
        (true, true) => "known matched",
        (true, false) => "known",
        (false, true) => "matched",
        (false, false) => "",
    };
    let pcsam = listed
        .pcsam
        .map_or_else(|| "–".to_owned(), |pcsam| format!("{pcsam:.3}"));
    let known = match listed.known {
        true => "<td data-value=\"1\"><b>known</b></td>",
        false => "<td data-value=\"0\">no</td>",
    };
    let category = match &listed.category {
        Some((label, weight)) => format!("{} {weight:.2}", escape(label)),
        None => String::new(),
    };
    let _ = write!(
        html,
        "<tr class=\"{class}\"><td class=\"path\">{}</td><td class=\"number\" data-value=\"{}\">{pcsam}</td>{known}\
         <td class=\"more whole\">{category}</td><td class=\"more path\">{}</td></tr>",
        escape(&listed.path),
        listed.pcsam.unwrap_or(-1.0),
        escape(listed.action.as_deref().unwrap_or_default())
    );
}

pub(super) fn unacted(tally: &Tally) -> String {
    let rows = tally
        .unacted
        .iter()
        .map(|(path, why)| [path.as_str(), why.as_str()]);
    listing("Actions that failed", tally.failed_actions, rows)
}

pub(super) fn failures(tally: &Tally) -> String {
    let rows = (tally.failures.iter())
        .map(|(path, kind, message)| [path.as_str(), kind.as_str(), message.as_str()]);
    listing("Failed", tally.failed, rows)
}

pub(super) fn slowest(tally: &Tally) -> String {
    let slowest: Vec<(&str, String)> = (tally.slowest.iter())
        .map(|(elapsed, path)| (path.as_str(), format!("{elapsed:.0} ms")))
        .collect();
    let rows = slowest
        .iter()
        .map(|(path, elapsed)| [*path, elapsed.as_str()]);
    listing("Slowest", tally.slowest.len() as u64, rows)
}

/// Files, and what is said of each; nothing when there are none.
fn listing<'a, const N: usize>(
    title: &str,
    all: u64,
    rows: impl ExactSizeIterator<Item = [&'a str; N]>,
) -> String {
    let listed = rows.len() as u64;
    if listed == 0 {
        return String::new();
    }
    let mut html = format!("<section><h2>{title}</h2><table class=\"stacked\">");
    for row in rows {
        html += "<tr>";
        for (index, cell) in row.iter().enumerate() {
            let class = if index == 0 { " class=\"path\"" } else { "" };
            let _ = write!(html, "<td{class}>{}</td>", escape(cell));
        }
        html += "</tr>";
    }
    html += "</table>";
    if all > listed {
        let _ = write!(
            html,
            "<p>The first {} of {}: the output file has them all.</p>",
            count(listed),
            count(all)
        );
    }
    html + "</section>\n"
}
