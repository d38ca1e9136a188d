//! Reading what settings name, certificates and keys: files of any kind, and no more of them than makes sense.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// Reads to the end. More than `limit` bytes are an error, however many there are.
pub(crate) fn read(source: impl Read, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for everything from the start: a buffer that grows leaves copies of a secret behind.
    let room = usize::try_from(limit + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    let read = source.take(limit + 1).read_to_end(&mut bytes)?;
    if read as u64 > limit {
        let text = format!("it has more than {} KiB", limit / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_an_error() {
        assert_eq!(**read(&b"1234"[..], 4).expect("short"), *b"1234");
        assert!(read(io::repeat(0), 4096).is_err());
    }
}
