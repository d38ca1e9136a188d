//! The text of a `.env` file: `NAME=value` lines, as the clients in other languages read them.
//!
//! Nothing is expanded: `${NAME}` in a file of strange origin would carry the process's own
//! variables to wherever that file points.

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

/// A line that could not be read. Its value is kept out: it may well be the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    line: usize,
    name: Option<String>,
    what: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "line {}: {name} {}", self.line, self.what),
            None => write!(f, "line {} {}", self.line, self.what),
        }
    }
}

/// What a `.env` file says.
#[derive(Default)]
pub(super) struct Variables {
    values: HashMap<String, Zeroizing<String>>,
    problems: Vec<Problem>,
}

impl Variables {
    /// Reads every line that can be read.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            found.problem(1, None, "is UTF-16 text: save the file as UTF-8");
            return found;
        }
        let text = Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
        let mut rest = text.trim_start_matches('\u{feff}');
        let mut number = 1;
        while !rest.is_empty() {
            let read = found.line(rest, number);
            number += rest[..read].matches('\n').count();
            rest = &rest[read..];
        }
        found
    }

    /// A variable that is set to nothing counts as not set.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let value = self.values.get(name)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    pub(super) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn problem(&mut self, line: usize, name: Option<&str>, what: &'static str) {
        self.problems.push(Problem {
            line,
            name: name.map(str::to_owned),
            what,
        });
    }

    /// Reads the first line of the text, with those that its quotes take in. Says how many bytes
    /// they were.
    fn line(&mut self, text: &str, number: usize) -> usize {
        let end = text.find('\n').map_or(text.len(), |at| at + 1);
        let line = text[..end].trim();
        if line.is_empty() || line.starts_with('#') {
            return end;
        }
        if line.contains(char::REPLACEMENT_CHARACTER) {
            self.problem(number, None, "is not UTF-8");
            return end;
        }
        let assignment = match line.strip_prefix("export") {
            Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
            _ => line,
        };
        let split = assignment.split_once('=');
        let Some((name, raw)) = split.filter(|(name, _)| is_name(name.trim_end())) else {
            self.problem(number, None, "is not NAME=value");
            return end;
        };
        let name = name.trim_end();
        let quotes = raw.trim_start();
        let (value, read) = if quotes.starts_with(['\'', '"']) {
            // A value in quotes may go on for several lines.
            let line_end = text[..end].trim_end().len();
            let at = line_end - quotes.len();
            match unquote(&text[at..]) {
                Ok((value, read)) => (Ok(value), at + read),
                Err(what) => (Err(what), end),
            }
        } else {
            (plain(raw), end)
        };
        match value {
            Ok(value) => {
                self.values.insert(name.to_owned(), value);
            }
            Err(what) => self.problem(number, Some(name), what),
        }
        read
    }
}

const SPACE: &str = "has a space outside quotes: put the value in quotes";

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    (characters.next()).is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || matches!(other, '_' | '.' | '-'))
}

/// A value without quotes ends at a space, behind which only a comment may follow.
fn plain(raw: &str) -> Result<Zeroizing<String>, &'static str> {
    let value = raw.trim_start();
    if value.len() < raw.len() && value.starts_with('#') {
        return Ok(Zeroizing::default());
    }
    let (value, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(Zeroizing::new(value.to_owned()))
    } else {
        Err(SPACE)
    }
}

/// One or more quoted parts side by side, as shells join them: `'it'\''s'`. Gives the value and how
/// many bytes it and the rest of its last line took.
fn unquote(text: &str) -> Result<(Zeroizing<String>, usize), &'static str> {
    const OPEN: &str = "opens a quote that is never closed";
    const TRAILING: &str = "has text behind its quotes";
    let mut value = Zeroizing::new(String::new());
    let mut characters = text.chars();
    loop {
        let rest = characters.as_str();
        match characters.next() {
            Some('\'') => loop {
                match characters.next().ok_or(OPEN)? {
                    '\'' => break,
                    other => value.push(other),
                }
            },
            Some('"') => loop {
                match characters.next().ok_or(OPEN)? {
                    '"' => break,
                    '\\' => match characters.next().ok_or(OPEN)? {
                        'n' => value.push('\n'),
                        escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                        other => value.extend(['\\', other]),
                    },
                    other => value.push(other),
                }
            },
            Some('\\') => value.push(characters.next().ok_or(TRAILING)?),
            Some(other) if !other.is_whitespace() => return Err(TRAILING),
            _ => {
                let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
                let behind = rest[..end].trim();
                return if behind.is_empty() || behind.starts_with('#') {
                    Ok((value, text.len() - rest.len() + end))
                } else {
                    Err(TRAILING)
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Variables {
        Variables::parse(text.as_bytes())
    }

    #[test]
    fn values_are_read_as_other_clients_read_them() {
        for (line, expected) in [
            ("A=plain", "plain"),
            ("export A=plain", "plain"),
            ("  A = spaced  ", "spaced"),
            ("A=a=b==", "a=b=="),
            ("A=it's#1", "it's#1"),
            ("A=plain # comment", "plain"),
            ("A='single $HOME \\n' # comment", "single $HOME \\n"),
            (
                "A=\"double \\\"quoted\\\" \\$ \\d\"",
                "double \"quoted\" $ \\d",
            ),
            ("A='it'\\''s'", "it's"),
            ("A=${HOME}", "${HOME}"),
            ("A=C:\\certs\\ca.pem", "C:\\certs\\ca.pem"),
            ("A='two\nlines'", "two\nlines"),
        ] {
            let found = read(line);
            assert_eq!(found.value("A"), Some(expected), "{line}");
            assert!(found.problems().is_empty(), "{line}");
        }
        for line in ["A=", "A=''", "A= # comment", "# A=x", "B=x"] {
            assert_eq!(read(line).value("A"), None, "{line}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_value() {
        let found = read("\u{feff}A=one\r\nB='two'\r\n\r\nC=three\r\n");
        assert_eq!(found.value("A"), Some("one"));
        assert_eq!(found.value("B"), Some("two"));
        assert_eq!(found.value("C"), Some("three"));
        assert!(found.problems().is_empty());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_without_its_value_and_the_others_hold() {
        for (line, expected) in [
            (
                "A=hunter2 hunter3",
                "line 2: A has a space outside quotes: put the value in quotes",
            ),
            ("A='hunter2", "line 2: A opens a quote that is never closed"),
            ("A='hunter2'hunter3", "line 2: A has text behind its quotes"),
            ("hunter2", "line 2 is not NAME=value"),
            ("[hunter2]", "line 2 is not NAME=value"),
            ("hunter2: hunter3=4", "line 2 is not NAME=value"),
        ] {
            let found = read(&format!("B=before\n{line}\nC=after\n"));
            let problems: Vec<String> = found.problems().iter().map(Problem::to_string).collect();
            assert_eq!(problems, [expected], "{line}");
            assert_eq!(found.value("B"), Some("before"), "{line}");
            assert_eq!(found.value("C"), Some("after"), "{line}");
            assert_eq!(found.value("A"), None, "{line}");
        }
        let found = Variables::parse(b"A=\xff\xfe\nB=b\n");
        assert_eq!(found.problems()[0].to_string(), "line 1 is not UTF-8");
        assert_eq!(found.value("B"), Some("b"));
        let wide: Vec<u8> = "\u{feff}A=x\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let found = Variables::parse(&wide);
        assert_eq!(found.problems().len(), 1);
    }
}
