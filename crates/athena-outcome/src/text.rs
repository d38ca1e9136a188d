//! How errors and bytes read in a record: one line, nothing that could rewrite a terminal.

use std::io;

/// An error and its root cause in one line. What lies between is the plumbing of libraries.
pub fn chain(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let cause = without_number(&root.to_string());
    if text.contains(&cause) {
        one_line(&text)
    } else {
        one_line(&format!("{text}: {cause}"))
    }
}

/// An error of the SDK and its cause, without the correlation id: the record has it already.
pub fn sdk_error(error: &athena_client::Error) -> String {
    let text = chain(error);
    let prefix = error.correlation_id().map(|id| format!("image {id:?}: "));
    match prefix.and_then(|prefix| text.strip_prefix(&prefix).map(str::to_owned)) {
        Some(rest) => rest,
        None => text,
    }
}

/// An I/O error in the words of the system.
pub fn reason(error: &io::Error) -> String {
    without_number(&error.to_string())
}

/// Control characters, which a hostile file name or server could use to rewrite the terminal,
/// become visible escapes.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Bytes in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A system's message without the number that Rust appends.
fn without_number(text: &str) -> String {
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_are_made_visible() {
        assert_eq!(one_line("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }

    #[test]
    fn system_errors_read_as_words() {
        let error = std::fs::File::open("/no/such/file").expect_err("the file is missing");
        assert_eq!(reason(&error), "no such file or directory");
    }
}
