//! Comma-separated rows with a header, quoted as RFC 4180 says.

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
        record.name().to_owned(),
        status.to_owned(),
        text(record.scores.pcsam.as_ref()),
        text(record.scores.entropy.as_ref()),
        text(record.scores.known_match.as_ref()),
        top.map_or_else(String::new, |(label, _)| short_label(label).to_owned()),
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
        text(record.error.as_ref().map(|error| &error.kind)),
        text(record.error.as_ref().map(|error| &error.message)),
        text(record.decision.as_ref()),
        text(record.why.as_ref()),
    ])
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
}
