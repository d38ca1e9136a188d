//! How errors and bytes read in a record: one line, nothing that could rewrite a terminal.

use std::io;

/// An error and its root cause in one line. What lies between is the plumbing of libraries.
pub fn chain(error: &dyn std::error::Error) -> String {
    let text = without_numbers(&error.to_string());
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let cause = without_numbers(&root.to_string());
    if text.contains(&cause) {
        one_line(&text)
    } else {
        one_line(&format!("{text}: {cause}"))
    }
}

/// An error of the SDK and its cause, without the correlation id: the record has it already.
pub fn sdk_error(error: &athena_client::Error) -> String {
    let text = chain(error);
    match error.correlation_id() {
        // Its causes may name it as well.
        Some(id) => text.replace(&format!("image {id:?}: "), ""),
        None => text,
    }
}

/// An I/O error in the words of the system.
pub fn reason(error: &io::Error) -> String {
    without_numbers(&error.to_string())
}

/// Characters with which a hostile file name or server could rewrite the terminal, break a line or turn
/// the order of what is read around become visible escapes.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Separators of lines, marks and overrides of direction, and characters without a width.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    )
}

/// The system's messages in a text: in lower case, and without the numbers that Rust appends.
fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((words, behind)) = rest.split_once(" (os error ") {
        let start = words.rfind(": ").map_or(0, |at| at + 2);
        plain.push_str(&words[..start]);
        plain.push_str(&words[start..].to_lowercase());
        rest = behind.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_are_made_visible() {
        assert_eq!(one_line("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(one_line("photo\u{202e}gpj.exe"), "photo\\u{202e}gpj.exe");
        assert_eq!(one_line("写真 é"), "写真 é");
    }

    #[test]
    fn system_errors_read_as_words() {
        let error = std::fs::File::open("/no/such/file").expect_err("the file is missing");
        assert_eq!(reason(&error), "no such file or directory");
    }

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug)]
        struct Outer(String, io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.1)
            }
        }
        let missing = || std::fs::File::open("/no/such/file").expect_err("the file is missing");
        let said = Outer(format!("cannot open x: {}", missing()), missing());
        assert_eq!(chain(&said), "cannot open x: no such file or directory");
        let silent = Outer("cannot open x".to_owned(), missing());
        assert_eq!(chain(&silent), "cannot open x: no such file or directory");
    }
}
