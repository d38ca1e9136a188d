//! Tags of objects. Stores replace them all at once, so that those that are there are read and kept.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::direct::{Ask, Direct, Signer};
use super::service::{Purpose, Wanted};
use super::{Bucket, explain};
use crate::error::{Error, SourceErrorKind};
use crate::location::Location;
use crate::object::{Condition, Tag};

/// What S3 and Azure send and take, but for the name of the outermost element.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tagging {
    #[serde(rename = "TagSet", default)]
    set: Set,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    #[serde(rename = "Tag", default)]
    tags: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Value", default)]
    value: String,
}

impl Bucket {
    /// Puts a tag on an object that meets the condition, beside those that it has.
    pub(crate) async fn tag(
        &self,
        at: &Location,
        condition: &Condition,
        tag: &Tag,
    ) -> Result<(), Error> {
        let Some(direct) = &self.direct else {
            let message = format!("{at}: objects of this store have no tags");
            return Err(Error::new(SourceErrorKind::Unusable, message));
        };
        let before = self.head(at, condition).await?;
        // Where the store names a version, nothing can come in between. `null` is what S3 calls one that can be
        // overwritten.
        let version = (condition.version.clone())
            .or(before.version)
            .filter(|version| version != "null");
        let mut tags = direct.tags(at, version.as_deref()).await?;
        if tags.add(tag) {
            direct.set_tags(at, version.as_deref(), &tags).await?;
        }
        if version.is_some() {
            return Ok(());
        }
        // Neither store takes a condition for tags.
        let same = Condition {
            etag: before.etag,
            version: None,
        };
        let after = self.head(at, &same).await;
        after.map(drop).map_err(|error| match error.kind() {
            SourceErrorKind::Changed | SourceErrorKind::NotFound => Error::new(
                SourceErrorKind::Changed,
                format!("{at}: the object changed while it was tagged: the tag may be on what came after it"),
            ),
            _ => error,
        })
    }
}

impl Direct {
    async fn tags(&self, at: &Location, version: Option<&str>) -> Result<Tagging, Error> {
        let purpose = Purpose::of(Wanted::Small);
        let mut ask = Ask::new(Method::GET);
        (ask.query, ask.version) = (self.query(), version);
        let body = self.ask(at, &ask, &purpose).await?.into_body();
        let text = body.collect().await;
        let text = text.map_err(|_| explain(at, None, &purpose))?.to_bytes();
        let tags = std::str::from_utf8(&text).ok().and_then(Tagging::read);
        // To write without what cannot be read would take it away.
        tags.ok_or_else(|| explain(at, None, &purpose))
    }

    async fn set_tags(
        &self,
        at: &Location,
        version: Option<&str>,
        tags: &Tagging,
    ) -> Result<(), Error> {
        let purpose = Purpose::of(Wanted::Small);
        let mut ask = Ask::new(Method::PUT);
        (ask.query, ask.version) = (self.query(), version);
        let text = tags.write(self.root());
        ask.body = Bytes::from(text.ok_or_else(|| explain(at, None, &purpose))?);
        // S3 wants a checksum with this request, and this is the one that all that speak its protocol know.
        let sum = BASE64_STANDARD.encode(Md5::digest(&ask.body));
        if let Ok(sum) = HeaderValue::from_str(&sum) {
            ask.headers.insert("content-md5", sum);
        }
        let xml = HeaderValue::from_static("application/xml");
        ask.headers.insert(http::header::CONTENT_TYPE, xml);
        self.ask(at, &ask, &purpose).await.map(drop)
    }

    fn query(&self) -> &'static str {
        match self.signer {
            #[cfg(feature = "s3")]
            Signer::Amazon { .. } => "tagging=",
            #[cfg(feature = "azure")]
            Signer::Azure { .. } => "comp=tags",
        }
    }

    fn root(&self) -> &'static str {
        match self.signer {
            #[cfg(feature = "s3")]
            Signer::Amazon { .. } => "Tagging",
            #[cfg(feature = "azure")]
            Signer::Azure { .. } => "Tags",
        }
    }
}

impl Tagging {
    fn read(text: &str) -> Option<Self> {
        quick_xml::de::from_str(text.trim_start_matches('\u{feff}')).ok()
    }

    fn write(&self, root: &str) -> Option<String> {
        quick_xml::se::to_string_with_root(root, self).ok()
    }

    /// False when it is there already.
    fn add(&mut self, tag: &Tag) -> bool {
        let tags = &mut self.set.tags;
        let (key, value) = (tag.key().to_owned(), tag.value().to_owned());
        match tags.iter_mut().find(|entry| entry.key == key) {
            Some(entry) if entry.value == value => return false,
            Some(entry) => entry.value = value,
            None => tags.push(Entry { key, value }),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stores_send_is_read() {
        let amazon = "<?xml version=\"1.0\"?>\n<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag><Key>a</Key><Value>1 &amp; 2</Value></Tag><Tag><Key>b</Key><Value></Value></Tag></TagSet></Tagging>";
        let azure = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Tags>\n  <TagSet>\n    <Tag>\n      <Key>a</Key>\n      <Value>1 &amp; 2</Value>\n    </Tag>\n<Tag><Key>b</Key><Value/></Tag>  </TagSet>\n</Tags>";
        for text in [amazon, azure] {
            let read = Tagging::read(text).expect("sound");
            let found: Vec<_> = (read.set.tags.iter())
                .map(|entry| (&*entry.key, &*entry.value))
                .collect();
            assert_eq!(found, [("a", "1 & 2"), ("b", "")], "{text}");
        }
        for none in [
            "<Tagging><TagSet/></Tagging>",
            "<Tags><TagSet></TagSet></Tags>",
            "<Tags/>",
        ] {
            assert_eq!(Tagging::read(none), Some(Tagging::default()), "{none}");
        }
        for broken in [
            "",
            "<Tagging><TagSet><Tag><Key>a",
            "no",
            "<A><TagSet><Tag><Value>1</Value></Tag></TagSet></A>",
        ] {
            assert_eq!(Tagging::read(broken), None, "{broken}");
        }
    }

    proptest! {
        /// What is there stays as it is, whatever it is.
        #[test]
        fn tags_come_through(tags in proptest::collection::vec(("[ -~é☃]{1,20}", "[ -~é☃]{0,20}"), 0..10)) {
            let tags = tags.into_iter().map(|(key, value)| Entry { key, value }).collect();
            let tagging = Tagging { set: Set { tags } };
            let text = tagging.write("Tagging").expect("text");
            prop_assert_eq!(Tagging::read(&text), Some(tagging));
        }
    }
}
