use athena_proto::{ClassificationInput, HashType, ImageFormat};
use serde::{Deserialize, Serialize};

use super::digest::Digests;
use crate::error::Error;

/// Which inputs are meant: those that fit everything that is said here, all of them when nothing is.
///
/// An image is named by any of its digests: it fits if one of [`md5`](Self::md5),
/// [`sha1`](Self::sha1) and [`pixels`](Self::pixels) does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Selector {
    /// MD5 of the original file, in hexadecimal, as the client sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// SHA-1 of the original file, in hexadecimal, as the client sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// SHA-256 of the 448 x 448 BGR frame, in hexadecimal: the same in every lossless payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<String>,
    /// The correlation id; `*` stands for any text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The affiliate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affiliate: Option<String>,
    /// The deployment of the stream that the input came on; none of them for single calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// The image format by its name in the contract, without the prefix: `RAW_UINT8_BGR`, `WEBP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

impl Selector {
    /// Every input.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// The image in `file`, in whatever payload and with or without hashes it is sent.
    ///
    /// # Errors
    /// When it cannot be decoded: then name it by its hashes alone.
    pub fn image(file: &[u8]) -> Result<Self, Error> {
        Ok(Digests::of_file(file)?.into())
    }

    /// Inputs whose correlation id fits; `*` stands for any text.
    #[must_use]
    pub fn correlation_id(mut self, pattern: impl Into<String>) -> Self {
        self.correlation_id = Some(pattern.into());
        self
    }

    /// Inputs for this affiliate.
    #[must_use]
    pub fn affiliate(mut self, affiliate: impl Into<String>) -> Self {
        self.affiliate = Some(affiliate.into());
        self
    }

    /// Inputs of streams on this deployment.
    #[must_use]
    pub fn deployment(mut self, id: impl Into<String>) -> Self {
        self.deployment = Some(id.into());
        self
    }

    /// Inputs with this MD5 digest.
    #[must_use]
    pub fn md5(mut self, digest: impl Into<String>) -> Self {
        self.md5 = Some(digest.into());
        self
    }

    /// Inputs with this SHA-1 digest.
    #[must_use]
    pub fn sha1(mut self, digest: impl Into<String>) -> Self {
        self.sha1 = Some(digest.into());
        self
    }

    /// Folds case and refuses what could never fit.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        for (name, digest, digits) in [
            ("md5", &mut self.md5, 32),
            ("sha1", &mut self.sha1, 40),
            ("pixels", &mut self.pixels, 64),
        ] {
            let Some(digest) = digest else { continue };
            digest.make_ascii_lowercase();
            if digest.len() != digits || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Error::setting(
                    name,
                    format!("{digest:?} is not {digits} hexadecimal digits"),
                ));
            }
        }
        if let Some(format) = &mut self.format {
            format.make_ascii_uppercase();
            if ImageFormat::from_str_name(&format!("IMAGE_FORMAT_{format}")).is_none() {
                return Err(Error::setting(
                    "format",
                    format!("the contract has no image format {format:?}"),
                ));
            }
        }
        Ok(())
    }

    /// The digests of which one must be the input's, if any are named.
    pub(super) fn digests(&self) -> impl Iterator<Item = &str> {
        [&self.md5, &self.sha1, &self.pixels]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Whether everything but the image fits.
    pub(super) fn fits_circumstances(&self, of: &Circumstances<'_>) -> bool {
        let mut aspects = self.aspects(of).into_iter();
        aspects.all(|aspect| aspect.fits)
    }

    /// Whether the image fits, told by these digests.
    pub(crate) fn fits_image(&self, digests: &[String]) -> bool {
        let mut named = self.digests().peekable();
        named.peek().is_none() || named.any(|one| digests.iter().any(|digest| digest == one))
    }

    /// Whether an input fits that came so and has these digests.
    pub(crate) fn fits(&self, of: &Circumstances<'_>, digests: &[String]) -> bool {
        self.fits_image(digests) && self.fits_circumstances(of)
    }

    /// How an input came, and which of it fits.
    pub(crate) fn aspects<'a>(&self, of: &Circumstances<'a>) -> [Aspect<'a>; 4] {
        let aspect = |name, wanted: &Option<String>, actual: Option<&'a str>| Aspect {
            name,
            actual,
            fits: wanted.is_none() || wanted.as_deref() == actual,
        };
        let pattern = self.correlation_id.as_deref();
        [
            Aspect {
                name: "correlation_id",
                actual: Some(of.correlation_id),
                fits: pattern.is_none_or(|pattern| glob(pattern, of.correlation_id)),
            },
            aspect("affiliate", &self.affiliate, Some(of.affiliate)),
            aspect("deployment", &self.deployment, of.deployment),
            aspect("format", &self.format, Some(of.format)),
        ]
    }
}

/// One thing that is known of how an input came.
pub(crate) struct Aspect<'a> {
    pub(crate) name: &'static str,
    pub(crate) actual: Option<&'a str>,
    pub(crate) fits: bool,
}

/// How an input came.
pub(crate) struct Circumstances<'a> {
    pub(crate) correlation_id: &'a str,
    pub(crate) affiliate: &'a str,
    pub(crate) deployment: Option<&'a str>,
    /// The format's short name.
    pub(crate) format: &'a str,
}

/// The digests that a client sent with an input, in lower case.
pub(crate) fn sent_digests(input: &ClassificationInput) -> Vec<String> {
    let hashes = input.hashes.iter();
    hashes
        .filter(|hash| matches!(hash.r#type(), HashType::Md5 | HashType::Sha1))
        .map(|hash| hash.value.to_ascii_lowercase())
        .collect()
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(last) = parts.next_back() else {
        return text == pattern;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    // Leftmost finds leave the most for the parts that follow.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("a*", "a"),
            ("a*c", "abc"),
            ("*b*", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("**", "x"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("a*", "b"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("", "x"),
        ] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }
}
