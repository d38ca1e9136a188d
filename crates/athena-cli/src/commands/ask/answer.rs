//! The server's answer: an HTTP response with an outcome record.

use athena_outcome::Record;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};

/// What the server has answered.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl<'a> Answer<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut words = head.lines().next()?.split(' ');
        words
            .next()
            .filter(|version| version.starts_with("HTTP/1."))?;
        let status = words.next()?.parse().ok()?;
        let length = head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let body = &bytes[end + 4..];
        // An answer that breaks off is none.
        (body.len() == length.unwrap_or(0)).then_some(Self { status, body })
    }

    /// The record, be it the body or inside a problem.
    pub(super) fn record(&self, server: &str) -> Outcome<Record> {
        let value: serde_json::Value = serde_json::from_slice(self.body).unwrap_or_default();
        let record = value.get("outcome").unwrap_or(&value);
        if record
            .get("status")
            .is_some_and(serde_json::Value::is_string)
        {
            return serde_json::from_value(record.clone()).map_err(|error| {
                Failure::new(
                    Exit::Service,
                    format!("{server}: no outcome record: {error}"),
                )
            });
        }
        let detail = value.get("detail").and_then(serde_json::Value::as_str);
        let detail = one_line(detail.unwrap_or("no outcome record"));
        let exit = match self.status {
            401 | 403 => Exit::Refused,
            429 | 503 => Exit::Unreachable,
            400..=499 => Exit::Usage,
            _ => Exit::Service,
        };
        Err(Failure::new(
            exit,
            format!("{server}: {} {detail}", self.status),
        ))
    }
}
