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

/// The page with its keys and folders escaped: each is one segment of a path then, and plain ASCII.
pub(super) fn made_safe(page: Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(&page) else {
        // XML in another encoding, of no store that we know: object_store says so.
        return page;
    };
    let names: &[&str] = match text.contains("<EnumerationResults") {
        true => &["Name"],
        // The prefix that was asked for is called as the folders are, and nobody reads it.
        false => &["Key", "Prefix"],
    };
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        safe.push_str(before);
        let element = names.iter().find_map(|name| Element::at(from, name));
        let Some(element) = element else {
            safe.push('<');
            rest = &from[1..];
            continue;
        };
        let key = unescape(element.content);
        // Azure writes what XML cannot hold in percent.
        let key = match element.attributes.contains("Encoded=\"true\"") {
            true => percent_decode_str(&key).decode_utf8_lossy().into_owned(),
            false => key.into_owned(),
        };
        let name = element.name;
        safe.push_str(&format!("<{name}>"));
        safe.extend(utf8_percent_encode(&key, ESCAPED));
        safe.push_str(&format!("</{name}>"));
        rest = element.rest;
    }
    safe.push_str(rest);
    safe.into()
}

/// An element of XML that holds text.
struct Element<'a> {
    name: &'a str,
    attributes: &'a str,
    content: &'a str,
    /// What comes after it.
    rest: &'a str,
}

impl<'a> Element<'a> {
    /// The element that a text begins with, if it is one of that name.
    fn at(text: &'a str, name: &'a str) -> Option<Self> {
        let inside = text.strip_prefix('<')?.strip_prefix(name)?;
        let (attributes, inside) = inside.split_once('>')?;
        let (content, rest) = inside.split_once('<')?;
        let rest = rest
            .strip_prefix('/')?
            .strip_prefix(name)?
            .strip_prefix('>')?;
        let named = attributes.is_empty() || attributes.starts_with(' ');
        (named && !attributes.ends_with('/')).then_some(Self {
            name,
            attributes,
            content,
            rest,
        })
    }
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
            for tag in ["Key", "Prefix", "Name"] {
                assert_eq!(through(tag, key), key);
            }
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
            "<Prefix/><KeyCount>1</KeyCount>",
            "<Prefix />",
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
