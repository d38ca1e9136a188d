//! From page to page, as long as that leads anywhere.

use crate::error::Error;
use crate::location::Location;

/// Pages in a row that may have no key while there is said to be another one. Stores have some where much was deleted.
const MOST_EMPTY: u32 = 1000;

/// The pages of a listing so far, as far as it takes to see that they go round in a circle: a server may answer for ever,
/// and whoever reads what it says would ask for ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// Pages so far.
    pages: u64,
    /// Pages in a row without a key.
    empty: u32,
    /// The last page whose number is a power of two. A circle of any length comes by it once the powers are longer than
    /// the circle (Brent's algorithm), so that one page is enough.
    mark: Mark,
}

/// What a page does not have in common with any other.
#[derive(Clone, Debug, Default)]
struct Mark {
    /// Its first key.
    first: Option<String>,
    /// What the page after it is called.
    next: Option<String>,
}

impl Turns {
    /// A page has come, whose first key is this one, and the next one is called so.
    pub(super) fn turn(
        &mut self,
        prefix: &Location,
        first: Option<&str>,
        next: Option<&str>,
    ) -> Result<(), Error> {
        let Some(next) = next else {
            return Ok(());
        };
        self.pages += 1;
        self.empty = if first.is_some() { 0 } else { self.empty + 1 };
        if self.empty >= MOST_EMPTY {
            let why = format!("{MOST_EMPTY} pages in a row had no key, each with one more to come");
            return Err(Error::endless(prefix, &why));
        }
        let same_key = first.is_some() && self.mark.first.as_deref() == first;
        if same_key || self.mark.next.as_deref() == Some(next) {
            return Err(Error::endless(prefix, "its pages come round again"));
        }
        if self.pages.is_power_of_two() {
            self.mark = Mark {
                first: first.map(str::to_owned),
                next: Some(next.to_owned()),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SourceErrorKind;

    /// How many pages are read whose next ones are called so, of so many at most, if some have keys.
    fn read(most: u64, name: impl Fn(u64) -> u64, keys: impl Fn(u64) -> bool) -> u64 {
        pages(most, name, |page| keys(page).then_some(page))
    }

    fn pages(most: u64, name: impl Fn(u64) -> u64, key: impl Fn(u64) -> Option<u64>) -> u64 {
        let prefix: Location = "s3://bucket/".parse().expect("URL");
        let mut turns = Turns::default();
        for page in 0..most {
            let next = name(page).to_string();
            let key = key(page).map(|key| key.to_string());
            if let Err(error) = turns.turn(&prefix, key.as_deref(), Some(&next)) {
                assert_eq!(error.kind(), SourceErrorKind::Endless);
                return page + 1;
            }
        }
        most
    }

    #[test]
    fn pages_that_lead_on_are_read_however_many_they_are() {
        assert_eq!(read(100_000, |page| page, |_| true), 100_000);
        let now_and_then = |page: u64| page % 1000 == 999;
        assert_eq!(read(100_000, |page| page, now_and_then), 100_000);
    }

    #[test]
    fn a_circle_is_left_whatever_its_length_and_wherever_it_begins() {
        for (before, length) in [
            (0, 1),
            (0, 2),
            (0, 3),
            (5, 1),
            (7, 100),
            (1000, 3),
            (3, 1000),
        ] {
            let name = |page: u64| match page < before {
                true => page,
                false => before + (page - before) % length,
            };
            let read = read(100_000, name, |_| true);
            assert!(read <= 4 * (before + length), "{before}, {length}: {read}");
            // Nor does it help to call each page by another name.
            let read = pages(100_000, |page| page, |page| Some(name(page)));
            assert!(read <= 4 * (before + length), "{before}, {length}: {read}");
        }
    }

    #[test]
    fn pages_without_a_key_come_to_an_end() {
        assert_eq!(read(100_000, |page| page, |_| false), u64::from(MOST_EMPTY));
        let later = |page: u64| page < 5000;
        assert_eq!(
            read(100_000, |page| page, later),
            5000 + u64::from(MOST_EMPTY)
        );
    }
}
