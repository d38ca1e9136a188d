//! Keys as they are. A key is any text of up to 1,024 bytes: `a//b`, `/a`, `a/` and `..` are keys, and anybody who
//! may upload can make such ones. object_store's `Path` takes none of them, and one would end the whole listing.
//!
//! So the keys of a page are escaped before object_store reads it, and read back afterwards.

use std::borrow::Cow;

use bytes::Bytes;
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything that XML or a `Path` could take for more than a letter, `/` above all.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The page with its keys escaped: each is one segment of a path then, and plain ASCII.
pub(super) fn made_safe(page: Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(&page) else {
        // XML in another encoding, of no store that we know: object_store says so.
        return page;
    };
    let tag = match text.contains("<EnumerationResults") {
        true => "Name",
        false => "Key",
    };
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(at) = rest.find(&open) {
        let (before, from) = rest.split_at(at);
        safe.push_str(before);
        let (Some(end), Some(begin)) = (from.find(&close), from.find('>')) else {
            rest = from;
            break;
        };
        let attributes = &from[open.len()..begin.min(end)];
        let is_the_tag = attributes.is_empty() || attributes.starts_with(' ');
        if !is_the_tag || begin > end {
            let (name, after) = from.split_at(open.len());
            safe.push_str(name);
            rest = after;
            continue;
        }
        let key = unescape(&from[begin + 1..end]);
        // Azure writes what XML cannot hold in percent.
        let key = match attributes.contains("Encoded=\"true\"") {
            true => percent_decode_str(&key).decode_utf8_lossy().into_owned(),
            false => key.into_owned(),
        };
        safe.push_str(&open);
        safe.push('>');
        safe.extend(utf8_percent_encode(&key, ESCAPED));
        safe.push_str(&close);
        rest = &from[end + close.len()..];
    }
    safe.push_str(rest);
    safe.into()
}

/// The key of a listed object.
pub(super) fn of_listed(path: &Path) -> String {
    percent_decode_str(path.as_ref())
        .decode_utf8_lossy()
        .into_owned()
}

/// The path of a key, if object_store can ask for exactly this key.
pub(super) fn path_of(key: &str) -> Option<Path> {
    Path::parse(key).ok().filter(|path| path.as_ref() == key)
}

/// The text that an XML text stands for.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let entity = after.split_once(';');
        let found = entity.and_then(|(name, _)| character(name));
        match (found, entity) {
            (Some(found), Some((_, after))) => {
                plain.push(found);
                rest = after;
            }
            _ => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain.into()
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn xml(text: &str) -> String {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('\r', "&#13;").replace('\u{1}', "&#x1;")
    }

    fn through(tag: &str, key: &str) -> String {
        let page = format!(
            "<L><Size>1</Size><{tag}>{}</{tag}><KeyCount>1</KeyCount></L>",
            xml(key)
        );
        let page = match tag {
            "Name" => format!("<EnumerationResults>{page}</EnumerationResults>"),
            _ => page,
        };
        let safe = made_safe(page.into());
        let text = std::str::from_utf8(&safe).expect("text");
        let (before, rest) = text.split_once(&format!("<{tag}>")).expect("a key");
        assert!(before.ends_with("</Size>") && rest.ends_with("</L>") || tag == "Name");
        let (escaped, _) = rest.split_once('<').expect("its end");
        let path = Path::parse(escaped).expect("any key is a path");
        of_listed(&path)
    }

    #[test]
    fn keys_that_are_no_paths_are_listed_all_the_same() {
        for key in [
            "a//b",
            "/a",
            "a/",
            "..",
            "../x",
            "a/./b",
            "a\u{1}\r\n",
            "100%25",
            "a&amp;b",
            "<Key>",
            "é \u{1f600}",
        ] {
            assert_eq!(through("Key", key), key);
            assert_eq!(through("Name", key), key);
        }
    }

    #[test]
    fn a_name_that_xml_cannot_hold_comes_in_percent() {
        let page =
            "<EnumerationResults><Name Encoded=\"true\">a%EF%BF%BE</Name></EnumerationResults>";
        let safe = made_safe(page.into());
        assert!(
            std::str::from_utf8(&safe)
                .expect("text")
                .contains("<Name>a%EF%BF%BE</Name>")
        );
    }

    #[test]
    fn a_page_that_is_none_stays_as_it_is() {
        for page in [
            "",
            "<Key>",
            "<Key",
            "</Key>",
            "<KeyCount>3</KeyCount>",
            "<Key>a<Key>",
        ] {
            assert_eq!(made_safe(page.into()), page.as_bytes());
        }
    }

    #[test]
    fn only_exact_keys_are_asked_for() {
        for key in ["a/b.jpg", "a b", "100%", "é"] {
            assert_eq!(path_of(key).expect(key).as_ref(), key);
        }
        for key in ["/a", "a/", "a//b", "..", ""] {
            assert!(
                path_of(key).is_none_or(|path| path.as_ref() == key),
                "{key}"
            );
        }
        assert!(path_of("/a").is_none() && path_of("a/").is_none());
    }

    proptest! {
        #[test]
        fn any_key_survives(key in "[^\\x00]{1,60}") {
            prop_assert_eq!(through("Key", &key), key);
        }
    }
}
