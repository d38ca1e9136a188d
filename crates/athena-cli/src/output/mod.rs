//! Results as a table, as JSON lines or as CSV.

mod csv;
mod table;
pub(crate) mod terminal;

use std::io::{self, Write};

use athena_outcome::Record;
use clap::{Args, ValueEnum};

use table::Table;

/// How results are printed.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct FormatArgs {
    /// How to print the results
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Short for --format json: one JSON object a line
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// The forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON object a line
    Json,
    /// Comma-separated, with a header
    Csv,
}

impl FormatArgs {
    pub(crate) fn format(self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Prints records in the chosen form.
pub(crate) enum Printer {
    Table(Table),
    Json,
    Csv(csv::CsvRows),
}

impl Printer {
    /// `longest_path` columns are what the longest path needs.
    pub(crate) fn new(format: Format, longest_path: usize) -> Self {
        match format {
            Format::Table => Self::Table(Table::new(longest_path)),
            Format::Json => Self::Json,
            Format::Csv => Self::Csv(csv::CsvRows::default()),
        }
    }

    pub(crate) fn print(&mut self, record: &Record, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Table(table) => table.row(record, out),
            Self::Json => write_json(record, out),
            Self::Csv(rows) => rows.row(record, out),
        }
    }
}

/// One JSON object and a line break, in one write.
pub(crate) fn write_json(value: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    out.write_all(&line)
}
