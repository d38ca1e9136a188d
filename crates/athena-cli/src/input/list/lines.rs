//! The lines of a list, of which none is held beyond a bound.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use super::{broken, odd};
use crate::failure::reason;
use crate::input::Unreadable;

/// The longest line that is read. No path or URL comes near it.
pub(super) const LONGEST_LINE: u64 = 1 << 20;

/// Windows' editors begin a text file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line and its number, or what is wrong with it. Nothing follows an error of reading: a decoder of gzip would
/// repeat it for ever.
pub(super) struct Lines<R> {
    reader: R,
    list: PathBuf,
    end: u8,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, list: PathBuf, end: u8) -> Self {
        Self {
            reader,
            list,
            end,
            number: 0,
            ended: false,
        }
    }

    /// The next line without its end, and whether it was too long and was passed over.
    fn read(&mut self) -> std::io::Result<(Vec<u8>, bool)> {
        let mut line = Vec::new();
        let mut limited = self.reader.by_ref().take(LONGEST_LINE + 1);
        self.ended = limited.read_until(self.end, &mut line)? == 0;
        let ends = line.last() == Some(&self.end);
        let too_long = !ends && line.len() as u64 > LONGEST_LINE;
        if too_long {
            self.reader.skip_until(self.end)?;
        }
        if ends {
            line.pop();
        }
        if self.number == 1 && self.end == b'\n' && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok((line, too_long))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<(u64, Vec<u8>), Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.number += 1;
        match self.read() {
            Ok(_) if self.ended => None,
            Ok((_, true)) => Some(Err(odd(&self.list, Some(self.number)))),
            Ok((line, false)) => Some(Ok((self.number, line))),
            Err(error) => {
                self.ended = true;
                Some(Err(broken(&self.list, reason(&error))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader};

    use super::*;

    fn lines(reader: impl BufRead) -> Vec<Result<(u64, Vec<u8>), String>> {
        let lines = Lines::new(reader, "list".into(), b'\n');
        lines
            .take(10)
            .map(|line| line.map_err(|error| format!("{}: {}", error.path.display(), error.reason)))
            .collect()
    }

    /// Fails whenever it is asked, as a decoder does whose input is broken.
    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    #[test]
    fn nothing_follows_an_error_of_reading() {
        let found = lines(BufReader::new(b"a\nhalf".chain(Broken)));
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], Ok((1, b"a".to_vec())));
        assert!(found[1].is_err());
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let longest = vec![b'x'; LONGEST_LINE as usize];
        let mut text = longest.clone();
        text.extend_from_slice(b"\n\n");
        text.extend_from_slice(&longest);
        text.extend_from_slice(b"yz\nlast");
        let found = lines(text.as_slice());
        assert_eq!(
            found,
            [
                Ok((1, longest)),
                Ok((2, Vec::new())),
                Err("list:3: this row of the list cannot be read".to_owned()),
                Ok((4, b"last".to_vec())),
            ]
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let found = lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n".as_slice());
        let second = b"\xef\xbb\xbfb".to_vec();
        assert_eq!(found, [Ok((1, b"a".to_vec())), Ok((2, second))]);
    }
}
