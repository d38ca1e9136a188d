//! Which files are taken by their size and age.

use std::time::{Duration, SystemTime};

use clap::Args;

/// Limits on files of folders and lists.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Input")]
pub(crate) struct Filter {
    /// In folders, listings and lists, only files of at least this size, such as 10kB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    min_size: Option<u64>,
    /// In folders, listings and lists, only files of at most this size, such as 20MB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// In folders, listings and lists, only files changed since: a date, a time (RFC 3339), or so long ago, such as 7d
    #[arg(long, value_name = "WHEN", value_parser = since)]
    newer_than: Option<Since>,
}

/// A point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Since {
    time: SystemTime,
    /// As it was given: `7d` is another time with each run.
    text: String,
}

impl Filter {
    pub(super) fn is_set(&self) -> bool {
        self.min_size.is_some() || self.max_size.is_some() || self.newer_than.is_some()
    }

    /// The limits as they were given, as text.
    pub(super) fn as_given(&self) -> String {
        let since = self.newer_than.as_ref().map(|since| &since.text);
        format!("{:?} {:?} {since:?}", self.min_size, self.max_size)
    }

    /// What is not known speaks against nothing.
    pub(super) fn admits(&self, size: Option<u64>, modified: Option<SystemTime>) -> bool {
        let new = |than: &Since| modified.is_none_or(|changed| changed >= than.time);
        let large = |least: u64| size.is_none_or(|size| size >= least);
        let small = |most: u64| size.is_none_or(|size| size <= most);
        self.min_size.is_none_or(large)
            && self.max_size.is_none_or(small)
            && self.newer_than.as_ref().is_none_or(new)
    }
}

/// A size in bytes: decimal units, or binary ones with an `i`.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let factor: u64 = match unit.trim_end_matches('b') {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        _ => return Err("expected a size such as 500, 10kB, 20MB or 4MiB".to_owned()),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if (0.0..1e15).contains(&number) => Ok((number * factor as f64) as u64),
        _ => Err("expected a size such as 500, 10kB, 20MB or 4MiB".to_owned()),
    }
}

/// A point in time, or how long ago it is.
fn since(text: &str) -> Result<Since, String> {
    let of = |time| Since {
        time,
        text: text.to_owned(),
    };
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago: Duration = ago;
        let time = SystemTime::now().checked_sub(ago);
        return time
            .map(of)
            .ok_or_else(|| "that is too long ago".to_owned());
    }
    let time = match text.len() {
        10 => humantime::parse_rfc3339(&format!("{text}T00:00:00Z")),
        _ => humantime::parse_rfc3339_weak(text),
    };
    let expected = "expected a date such as 2026-01-31, a time, or a while such as 7d";
    time.map(of).map_err(|_| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("500", 500),
            ("10kB", 10_000),
            ("1.5MB", 1_500_000),
            ("4MiB", 4 << 20),
            ("2G", 2_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "kB", "-1", "10xB", "1e99", "é"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_stay_what_was_given_while_time_goes_on() {
        let with = |text: &str| Filter {
            newer_than: since(text).ok(),
            ..Filter::default()
        };
        let first = with("7d");
        let mut later = with("7d");
        if let Some(since) = &mut later.newer_than {
            since.time += Duration::from_secs(60);
        }
        assert_eq!(first.as_given(), later.as_given());
        assert_ne!(first.as_given(), with("8d").as_given());
        assert_ne!(first.as_given(), Filter::default().as_given());
    }

    #[test]
    fn times_are_dates_or_so_long_ago() {
        let date = since("2026-01-31").expect("a date").time;
        let seconds = date
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        assert_eq!(seconds, 1_769_817_600);
        assert_eq!(
            since("2026-01-31T00:00:00Z").map(|since| since.time),
            Ok(date)
        );
        assert!(since("7d").expect("a while").time < SystemTime::now());
        assert!(since("yesterday").is_err() && since("99999999999999y").is_err());
    }
}
