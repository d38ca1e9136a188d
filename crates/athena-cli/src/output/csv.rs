//! Comma-separated rows with a header, quoted as RFC 4180 says. No cell is a formula for a spreadsheet.

use std::io::{self, Write};

use athena_outcome::{Record, Status, short_label};

const HEADER: [&str; 20] = [
    "path",
    "status",
    "pcsam",
    "entropy",
    "known_match",
    "top_label",
    "top_weight",
    "weights",
    "format",
    "width",
    "height",
    "bytes",
    "md5",
    "sha1",
    "sha256",
    "elapsed_ms",
    "error_kind",
    "error",
    "decision",
    "why",
];

/// Prints the header before the first row.
#[derive(Default)]
pub(crate) struct CsvRows {
    started: bool,
}

impl CsvRows {
    pub(super) fn row(&mut self, record: &Record, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = csv::WriterBuilder::new().from_writer(Vec::new());
        if !std::mem::replace(&mut self.started, true) {
            rows.write_record(HEADER)?;
        }
        rows.write_record(cells(record)?)?;
        let bytes = rows.into_inner().map_err(|error| error.into_error())?;
        out.write_all(&bytes)
    }
}

fn cells(record: &Record) -> io::Result<[String; HEADER.len()]> {
    fn text<T: ToString>(value: Option<&T>) -> String {
        value.map_or_else(String::new, T::to_string)
    }
    let top = super::table::categories(record).into_iter().next();
    let weights = match record.scores.weights.is_empty() {
        true => String::new(),
        false => serde_json::to_string(&record.scores.weights)?,
    };
    let status = match record.status {
        Status::Classified => "classified",
        Status::Failed => "failed",
    };
    Ok([
        plain(record.name()),
        status.to_owned(),
        text(record.scores.pcsam.as_ref()),
        text(record.scores.entropy.as_ref()),
        text(record.scores.known_match.as_ref()),
        top.map_or_else(String::new, |(label, _)| plain(short_label(label))),
        top.map_or_else(String::new, |(_, weight)| weight.to_string()),
        weights,
        text(record.format.as_ref()),
        text(record.width.as_ref()),
        text(record.height.as_ref()),
        text(record.bytes.as_ref()),
        text(record.md5.as_ref()),
        text(record.sha1.as_ref()),
        text(record.sha256.as_ref()),
        text(record.elapsed_ms.as_ref()),
        (record.error.as_ref()).map_or_else(String::new, |error| plain(&error.kind)),
        (record.error.as_ref()).map_or_else(String::new, |error| plain(&error.message)),
        text(record.decision.as_ref()),
        record.why.as_deref().map_or_else(String::new, plain),
    ])
}

/// Text from outside in a cell. Spreadsheets run a cell that begins with one of these characters as a
/// formula, also in their full-width forms; an apostrophe before it makes it text.
fn plain(text: &str) -> String {
    const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    match text.starts_with(FORMULA) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn commas_quotes_and_line_breaks_survive() {
        let mut out = Vec::new();
        let mut rows = CsvRows::default();
        let mut record = Record::of_path(Path::new("a,\"b\"\nc.jpg"));
        record.fail("image", "broken");
        rows.row(&record, &mut out).expect("write");
        rows.row(&record, &mut out).expect("write");
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let read: Vec<_> = reader.records().map(|row| row.expect("valid")).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(&read[0][0], "a,\"b\"\nc.jpg");
        assert_eq!(&read[0][17], "broken");
    }

    #[test]
    fn no_cell_from_outside_is_a_formula() {
        for start in ["=", "+", "-", "@", "\t", "\r", "＝"] {
            let name = format!("{start}cmd|' /C calc'!A0.jpg");
            let mut record = Record::of_path(Path::new(&name));
            record.fail("image", format!("{start}1+1"));
            let mut out = Vec::new();
            CsvRows::default().row(&record, &mut out).expect("write");
            let mut reader = csv::Reader::from_reader(out.as_slice());
            let row = reader.records().next().expect("a row").expect("valid");
            assert_eq!(row[0], format!("'{name}"));
            assert_eq!(row[17], format!("'{start}1+1"));
        }
        assert_eq!(plain("a-b.jpg"), "a-b.jpg");
    }
}
