//! Files that are not images of the service's, told by their first bytes, so that a refusal can say what they are.

/// What to do about a file that is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Picture,
    Video,
    Document,
    Archive,
}

impl Kind {
    fn advice(self) -> &'static str {
        match self {
            Self::Picture => "convert it",
            Self::Video => "classify frames of it",
            Self::Document => "classify its pages or pictures",
            Self::Archive => "unpack it",
        }
    }
}

use Kind::{Archive, Document, Picture, Video};

/// Signatures at the start of a file.
const SIGNATURES: &[(&[u8], &str, Kind)] = &[
    (b"\xFF\x0A", "JPEG XL", Picture),
    (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL", Picture),
    (b"II\xBC", "JPEG XR", Picture),
    (b"\x76\x2F\x31\x01", "OpenEXR", Picture),
    (b"8BPS", "Photoshop document", Picture),
    (b"\0\0\x01\0", "Windows icon", Picture),
    (b"\0\0\x02\0", "Windows cursor", Picture),
    (b"qoif", "QOI", Picture),
    (b"BPG\xFB", "BPG", Picture),
    (b"FLIF", "FLIF", Picture),
    (b"DDS ", "DirectDraw surface", Picture),
    (b"gimp xcf", "GIMP image", Picture),
    (b"farbfeld", "farbfeld", Picture),
    (b"/* XPM */", "XPM", Picture),
    (b"SIMPLE  =", "FITS", Picture),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw", Picture),
    (b"IIRO", "Olympus raw", Picture),
    (b"IIU\0", "Panasonic raw", Picture),
    (b"\x97JB2\r\n\x1A\n", "JBIG2", Picture),
    (b"AT&TFORM", "DjVu", Document),
    (b"\xD7\xCD\xC6\x9A", "Windows metafile", Picture),
    (b"\x8AMNG\r\n\x1A\n", "MNG", Video),
    (b"\x1A\x45\xDF\xA3", "WebM or Matroska video", Video),
    (b"FLV\x01", "Flash video", Video),
    (b"\0\0\x01\xBA", "MPEG video", Video),
    (b"\0\0\x01\xB3", "MPEG video", Video),
    (
        b"\x30\x26\xB2\x75\x8E\x66\xCF\x11",
        "Windows media video",
        Video,
    ),
    (b"OggS", "Ogg", Video),
    (b"%PDF-", "PDF", Document),
    (b"%!PS", "PostScript", Document),
    (b"\xC5\xD0\xD3\xC6", "PostScript", Document),
    (
        b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
        "Microsoft Office document",
        Document,
    ),
    (b"PK\x03\x04", "ZIP archive or Office document", Archive),
    (b"\x1F\x8B", "gzip archive", Archive),
    (b"Rar!\x1A\x07", "RAR archive", Archive),
    (b"7z\xBC\xAF\x27\x1C", "7z archive", Archive),
    (b"BZh", "bzip2 archive", Archive),
    (b"\xFD7zXZ\0", "xz archive", Archive),
    (b"\x28\xB5\x2F\xFD", "Zstandard archive", Archive),
];

/// Brands of files that begin with a box of the type `ftyp` (ISO/IEC 14496-12): the first bytes of a brand.
const BRANDS: &[(&[u8], &str, Kind)] = &[
    (b"heic", "HEIC", Picture),
    (b"heix", "HEIC", Picture),
    (b"heim", "HEIC", Picture),
    (b"heis", "HEIC", Picture),
    (b"hevc", "HEIC sequence", Picture),
    (b"hevx", "HEIC sequence", Picture),
    (b"mif1", "HEIF", Picture),
    (b"mif2", "HEIF", Picture),
    (b"msf1", "HEIF sequence", Picture),
    (b"crx ", "Canon raw", Picture),
    (b"jxl ", "JPEG XL", Picture),
    (b"qt  ", "QuickTime video", Video),
    (b"3g", "3GP video", Video),
    (b"", "MP4 video", Video),
];

/// The name of such a file, and what to do about it.
pub(crate) fn recognise(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let starts = |table: &[(&[u8], &'static str, Kind)], bytes: &[u8]| {
        let entry = table.iter().find(|entry| bytes.starts_with(entry.0))?;
        Some((entry.1, entry.2))
    };
    let found = match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => starts(BRANDS, brand),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'A',
            b'V',
            b'I',
            b' ',
            ..,
        ] => Some(("AVI video", Video)),
        // A transport stream's packets begin alike, 188 bytes apart.
        [0x47, ..] if bytes.get(188) == Some(&0x47) => Some(("MPEG video", Video)),
        _ if bytes.get(128..132) == Some(b"DICM") => Some(("DICOM", Picture)),
        _ => starts(SIGNATURES, bytes).or_else(|| markup(bytes)),
    };
    found.map(|(name, kind)| (name, kind.advice()))
}

/// SVG or HTML, which may begin with a byte order mark, white space, a declaration or comments.
fn markup(bytes: &[u8]) -> Option<(&'static str, Kind)> {
    const LOOKED_AT: usize = 1024;
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = &text[..text.len().min(LOOKED_AT)];
    let text = text.trim_ascii_start();
    if !text.starts_with(b"<") {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let contains = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    if contains(b"<svg") {
        Some(("SVG", Picture))
    } else if contains(b"<!doctype html") || contains(b"<html") {
        Some(("HTML", Document))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageErrorKind, Limits, decode};

    #[test]
    fn what_is_no_image_of_the_service_is_refused_by_name() {
        let padded = |start: &[u8], len| [start, &vec![0; len]].concat();
        let mut dicom = vec![0; 132];
        dicom[128..].copy_from_slice(b"DICM");
        let mut stream = vec![0; 200];
        (stream[0], stream[188]) = (0x47, 0x47);
        for (file, expected) in [
            (padded(b"\0\0\0\x24ftypheic", 24), "HEIC: "),
            (padded(b"\0\0\0\x24ftypmif1", 24), "HEIF: "),
            (padded(b"\0\0\0\x18ftypisom", 24), "MP4 video: "),
            (padded(b"\0\0\0\x18ftypqt  ", 24), "QuickTime video: "),
            (padded(b"\0\0\0\x18ftyp3gp5", 24), "3GP video: "),
            (padded(b"\0\0\0\x0CJXL \r\n\x87\n", 24), "JPEG XL: "),
            (padded(b"\xFF\x0A", 40), "JPEG XL: "),
            (b"%PDF-1.7 ".to_vec(), "PDF: "),
            (
                b"<?xml version=\"1.0\"?>\n<!-- x -->\n<svg/>".to_vec(),
                "SVG: ",
            ),
            (b"\xEF\xBB\xBF <!DOCTYPE html>".to_vec(), "HTML: "),
            (padded(b"RIFF\0\0\0\0AVI ", 24), "AVI video: "),
            (
                b"\x1A\x45\xDF\xA3 webm".to_vec(),
                "WebM or Matroska video: ",
            ),
            (
                b"PK\x03\x04 word".to_vec(),
                "ZIP archive or Office document: ",
            ),
            (dicom, "DICOM: "),
            (stream, "MPEG video: "),
        ] {
            let error = decode(&file, &Limits::default()).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), ImageErrorKind::Unsupported, "{text}");
            assert!(text.starts_with(expected), "{text}");
            assert!(text.ends_with("or send hashes only"), "{text}");
        }
    }

    #[test]
    fn no_signature_hides_another_or_a_format_that_is_decoded() {
        for (nth, (signature, name, _)) in SIGNATURES.iter().enumerate() {
            assert_eq!(crate::Format::detect(signature), None, "{name}");
            let earlier = &SIGNATURES[..nth];
            assert!(
                earlier.iter().all(|entry| !signature.starts_with(entry.0)),
                "{name}"
            );
        }
    }
}
