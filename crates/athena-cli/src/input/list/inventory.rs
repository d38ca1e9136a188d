//! Inventories: CSV with named columns, or a JSON object on each line.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use athena_outcome::PathText;
use athena_sources::quoted;
use csv::ByteRecord;
use percent_encoding::percent_decode_str;

use super::lines::{LONGEST_LINE, Lines};
use super::{Row, Rows, broken, cannot_read, odd};
use crate::failure::Outcome;

/// What a column holds, by the words for it: without case, `_`, `-` and blanks.
const MEANINGS: [(Meaning, &[&str]); 9] = [
    (
        Meaning::Name,
        &["url", "uri", "location", "path", "file", "filename"],
    ),
    (Meaning::NameBytes, &["pathbytes"]),
    (Meaning::Bucket, &["bucket", "bucketname", "container"]),
    (Meaning::Key, &["key", "objectkey", "name", "blobname"]),
    (Meaning::Size, &["size", "bytes", "contentlength"]),
    (Meaning::Etag, &["etag"]),
    (
        Meaning::Version,
        &["versionid", "version", "objectversion", "generation"],
    ),
    (
        Meaning::Modified,
        &["lastmodifieddate", "lastmodified", "modified", "updated"],
    ),
    (Meaning::DeleteMarker, &["isdeletemarker", "deleted"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Name,
    /// A path that is not UTF-8, in hexadecimal, as records have it.
    NameBytes,
    Bucket,
    Key,
    Size,
    Etag,
    Version,
    Modified,
    DeleteMarker,
}

/// Which columns there are, and what they mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// The column that names the image, where the user has said so.
    name: Option<String>,
    /// The columns of a file without a header.
    given: Vec<String>,
    /// Keys are written as in URLs, as S3 Inventory does.
    encoded: bool,
}

impl Columns {
    pub(super) fn new(name: Option<String>, given: &[String]) -> Self {
        Self {
            name,
            given: given.to_vec(),
            encoded: !given.is_empty(),
        }
    }

    /// Those that a manifest of S3 Inventory names.
    pub(super) fn of_manifest(name: Option<String>, schema: &str) -> Self {
        let given: Vec<String> = schema
            .split(',')
            .map(|column| column.trim().to_owned())
            .collect();
        Self::new(name, &given)
    }

    pub(super) fn into_name(self) -> Option<String> {
        self.name
    }

    pub(super) fn are_given(&self) -> bool {
        self.name.is_some() || !self.given.is_empty()
    }

    fn meaning(&self, column: &str) -> Option<Meaning> {
        if let Some(name) = &self.name
            && plain(name) == plain(column)
        {
            return Some(Meaning::Name);
        }
        let column = plain(column);
        let found = MEANINGS
            .iter()
            .find(|(_, words)| words.contains(&column.as_str()));
        let meaning = found.map(|(meaning, _)| *meaning)?;
        // Only the column that the user has named holds the image.
        let names = matches!(
            meaning,
            Meaning::Name | Meaning::NameBytes | Meaning::Key | Meaning::Bucket
        );
        (self.name.is_none() || !names).then_some(meaning)
    }

    /// What each column means; nothing where none says what image a row is about.
    fn meanings<'a>(&self, header: impl Iterator<Item = &'a str>) -> Option<Vec<Option<Meaning>>> {
        let meanings: Vec<_> = header.map(|column| self.meaning(column)).collect();
        let has = |wanted| meanings.contains(&Some(wanted));
        (has(Meaning::Name) || has(Meaning::Key)).then_some(meanings)
    }

    /// The row of these values; nothing where it is about an object that was deleted.
    fn row<'a>(
        &self,
        values: impl Iterator<Item = (Option<Meaning>, &'a str)>,
    ) -> Result<Option<Row>, NamesNothing> {
        let mut row = Row::default();
        let (mut name, mut bytes, mut bucket, mut key) = (None, None, None, None);
        for (meaning, value) in values {
            let Some(meaning) = meaning.filter(|_| !value.is_empty()) else {
                continue;
            };
            match meaning {
                Meaning::Name => name = name.or(Some(value)),
                Meaning::NameBytes => bytes = Some(value.to_owned()),
                Meaning::Bucket => bucket = Some(value),
                Meaning::Key => key = Some(value),
                Meaning::Size => row.size = value.parse().ok(),
                Meaning::Etag => row.etag = Some(quoted(value)),
                Meaning::Version => {
                    row.version = (!matches!(value, "null" | "none")).then(|| value.to_owned());
                }
                Meaning::Modified => row.modified = humantime::parse_rfc3339_weak(value).ok(),
                Meaning::DeleteMarker if value.eq_ignore_ascii_case("true") => {
                    return Ok(None);
                }
                Meaning::DeleteMarker => {}
            }
        }
        row.name = match (name, bucket, key) {
            (name, ..) if bytes.is_some() => path_of(name.unwrap_or_default(), bytes)?,
            (Some(name), ..) => name.into(),
            (None, Some(bucket), Some(key)) => {
                let key = match self.encoded {
                    // A blank may be written as `+`; a plus is not.
                    true => percent_decode_str(&key.replace('+', " "))
                        .decode_utf8_lossy()
                        .into_owned(),
                    false => key.to_owned(),
                };
                match bucket.contains("://") {
                    true => format!("{}/{key}", bucket.trim_end_matches('/')).into(),
                    false => format!("s3://{bucket}/{key}").into(),
                }
            }
            (None, None, Some(key)) => key.into(),
            _ => return Err(NamesNothing),
        };
        Ok(Some(row))
    }
}

/// A row says of no image which it is.
#[derive(Debug)]
struct NamesNothing;

fn path_of(path: &str, path_bytes: Option<String>) -> Result<PathBuf, NamesNothing> {
    let path = path.to_owned();
    let path = PathText { path, path_bytes };
    path.to_path().ok_or(NamesNothing)
}

fn plain(column: &str) -> String {
    let letters = column.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

/// The rows of a CSV file, whose first line names the columns unless they are given.
pub(super) fn csv(
    reader: impl Read + Send + 'static,
    list: PathBuf,
    columns: Columns,
) -> Outcome<Rows> {
    let has_header = columns.given.is_empty();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(has_header)
        .flexible(true)
        .from_reader(Limited {
            reader,
            left: LONGEST_LINE,
        });
    let header: Vec<String> = match has_header {
        true => {
            let header = reader
                .headers()
                .map_err(|error| cannot_read(&list, &error.to_string()))?;
            header.iter().map(str::to_owned).collect()
        }
        false => columns.given.clone(),
    };
    let meanings = columns.meanings(header.iter().map(String::as_str)).ok_or_else(|| {
        cannot_read(&list, "no column names the image").remedy(
            "the first line names the columns: url, path, or bucket and key; --column says which one, \
             --columns names those of a file without such a line",
        )
    })?;
    let mut ended = false;
    Ok(Box::new(std::iter::from_fn(move || {
        while !ended {
            let mut record = ByteRecord::new();
            reader.get_mut().left = LONGEST_LINE;
            let line = reader.position().line();
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    ended = true;
                    return Some(Err(broken(&list, format!("line {line}: {error}"))));
                }
            }
            if record.iter().all(<[u8]>::is_empty) {
                continue;
            }
            match csv_row(&record, &meanings, &columns) {
                Ok(None) => {}
                Ok(Some(row)) => return Some(Ok(row)),
                Err(NamesNothing) => return Some(Err(odd(&list, line_of(&record)))),
            }
        }
        None
    })))
}

fn line_of(record: &ByteRecord) -> Option<u64> {
    record.position().map(csv::Position::line)
}

fn csv_row(
    record: &ByteRecord,
    meanings: &[Option<Meaning>],
    columns: &Columns,
) -> Result<Option<Row>, NamesNothing> {
    let values: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
    let values = values.map_err(|_| NamesNothing)?;
    columns.row(meanings.iter().copied().zip(values))
}

/// Ends a row that goes on for too long: the rest of a file is one where a quotation mark is not closed.
struct Limited<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let why = "this row has more than a MiB: is a quotation mark not closed?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let read = self.reader.by_ref().take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// The rows of a file with a JSON object on each line.
pub(super) fn json(reader: impl BufRead + Send + 'static, list: PathBuf, columns: Columns) -> Rows {
    let lines = Lines::new(reader, list.clone(), b'\n');
    Box::new(lines.filter_map(move |line| {
        let (number, text) = match line {
            Ok(line) => line,
            Err(unreadable) => return Some(Err(unreadable)),
        };
        if text.trim_ascii().is_empty() {
            return None;
        }
        let row = json_row(&text, &columns).transpose()?;
        Some(row.map_err(|NamesNothing| odd(&list, Some(number))))
    }))
}

fn json_row(text: &[u8], columns: &Columns) -> Result<Option<Row>, NamesNothing> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(text).map_err(|_| NamesNothing)?;
    let values: Vec<(Option<Meaning>, String)> = object
        .into_iter()
        .filter_map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(truth) => truth.to_string(),
                _ => return None,
            };
            Some((columns.meaning(&name), text))
        })
        .collect();
    columns.row(
        values
            .iter()
            .map(|(meaning, text)| (*meaning, text.as_str())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    fn rows(text: &'static str, columns: Columns) -> Vec<Row> {
        let rows = csv(text.as_bytes(), "list.csv".into(), columns).expect("columns");
        rows.map(|row| row.expect("a row")).collect()
    }

    fn named(name: &str) -> Row {
        Row {
            name: name.into(),
            ..Row::default()
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "Size,Image_URL,url,ETag\n7,s3://b/a.jpg,x,\"\"\"e\"\"\"\n8,b.jpg,y,e\n";
        let all = rows(text, Columns::new(Some("image url".into()), &[]));
        let expected = Row {
            size: Some(7),
            etag: Some("\"e\"".into()),
            ..named("s3://b/a.jpg")
        };
        assert_eq!(all[0], expected);
        assert_eq!(
            (all[1].name.as_path(), all[1].etag.as_deref()),
            (Path::new("b.jpg"), Some("\"e\""))
        );
        assert_eq!(
            rows("key,bucket\na+%20b,c\n", Columns::default()),
            [named("s3://c/a+%20b")]
        );
    }

    #[test]
    fn an_inventory_of_s3_is_read_as_it_is_written() {
        let columns = Columns::of_manifest(
            None,
            "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag",
        );
        let text = "\"b\",\"2026/a%20photo+%231.jpg\",\"v1\",\"true\",\"false\",\"10\",\"1970-01-01T00:00:01.000Z\",\"0f\"\n\
                    \"b\",\"gone\",\"v2\",\"true\",\"true\",\"\",\"1970-01-01T00:00:01.000Z\",\"\"\n";
        let expected = Row {
            name: "s3://b/2026/a photo #1.jpg".into(),
            size: Some(10),
            etag: Some("\"0f\"".into()),
            version: Some("v1".into()),
            modified: Some(UNIX_EPOCH + Duration::from_secs(1)),
        };
        assert_eq!(rows(text, columns), [expected]);
    }

    #[test]
    fn a_list_that_names_no_image_is_an_error() {
        let error = csv(&b"a,b\n1,2\n"[..], "l.csv".into(), Columns::default())
            .err()
            .expect("no column");
        assert!(error.to_string().contains("--column"), "{error}");
    }

    #[test]
    fn json_lines_are_rows_and_what_is_none_is_reported() {
        let text =
            &b"{\"url\":\"s3://b/k\",\"size\":3}\n\n[1]\n{\"other\":1}\n{\"path\":\"a.jpg\"}"[..];
        let rows: Vec<_> = json(text, "l.jsonl".into(), Columns::default()).collect();
        let names: Vec<Result<&Path, &str>> = rows
            .iter()
            .map(|row| {
                row.as_ref()
                    .map(|row| row.name.as_path())
                    .map_err(|error| error.path.to_str().expect("text"))
            })
            .collect();
        assert_eq!(
            names,
            [
                Ok(Path::new("s3://b/k")),
                Err("l.jsonl:3"),
                Err("l.jsonl:4"),
                Ok(Path::new("a.jpg"))
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_records_of_a_scan_name_files_by_their_bytes() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let text = &b"{\"path\":\"a\xef\xbf\xbd\",\"path_bytes\":\"61ff\"}\n{\"path\":\"b\",\"path_bytes\":\"x\"}"[..];
        let mut rows = json(text, "l.jsonl".into(), Columns::default());
        let named = rows.next().expect("a row").expect("a name").name;
        assert_eq!(named.as_os_str(), OsStr::from_bytes(b"a\xff"));
        assert!(rows.next().expect("a row").is_err(), "no hexadecimal");
    }

    #[test]
    fn a_row_that_names_no_image_is_reported_and_an_empty_one_is_none() {
        let text = &b"url,size,deleted\n,,\n,7,\nx,7,true\na.jpg,,\n"[..];
        let rows = csv(text, "l.csv".into(), Columns::default()).expect("columns");
        let found: Vec<_> = rows.map(|row| row.map_err(|error| error.path)).collect();
        assert_eq!(found, [Err("l.csv:3".into()), Ok(named("a.jpg"))]);
    }

    #[test]
    fn a_row_without_an_end_is_not_held_in_memory() {
        let text = io::Cursor::new("url\na.jpg\n\"b.jpg\n").chain(io::repeat(b'x'));
        let rows = csv(text, "l.csv".into(), Columns::default()).expect("columns");
        let found: Vec<_> = rows.collect();
        assert_eq!(found.len(), 2);
        let error = found[1].as_ref().expect_err("no end");
        assert!(error.lost && error.reason.contains("line 3: "), "{error:?}");
        assert!(csv(io::repeat(b'x'), "l.csv".into(), Columns::default()).is_err());
    }
}
