//! A small S3 on a socket: objects, conditions, listings by pages, and faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use athena_sources::{Location, Sources};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// This status and code, so many times.
    Status(u16, &'static str, u32),
    /// The body stops and never goes on.
    Stalls,
    /// The body has no length and no end.
    Endless,
    /// Another object comes when the tags are written.
    Overwritten,
}

/// Pages that never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circle {
    /// Each without a key, and another name for the next one.
    Empty,
    /// The same one again and again.
    Same,
    /// Two by turns.
    Two,
    /// The same keys, and another name for the next one.
    Keys,
}

#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    pub(crate) fault: Fault,
    /// The tags of each, as they were sent.
    pub(crate) tags: BTreeMap<String, String>,
    /// Requests so far: `GET key`, `LIST after`.
    pub(crate) seen: Vec<String>,
    pub(crate) page: usize,
    /// Who asks needs no key.
    pub(crate) public: bool,
    /// Listings begin with the first key, wherever they are to begin.
    pub(crate) from_the_first: bool,
    /// A folder comes before all that its name goes on to, as in a tree of files.
    pub(crate) by_path: bool,
    /// Listings that go on after a key that begins so are refused.
    pub(crate) refused: String,
    /// Listings never end.
    pub(crate) circle: Option<Circle>,
    /// Those that begin after this key never end.
    pub(crate) circle_after: Option<(String, Circle)>,
    /// How long a page takes.
    pub(crate) delay: Duration,
    /// Pages that are on their way, and the most that ever were at a time.
    pub(crate) pages: (usize, usize),
}

/// A running server.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) port: u16,
    shared: Arc<Mutex<Objects>>,
}

pub(crate) const BUCKET: &str = "uploads";

impl Fake {
    pub(crate) async fn start(keys: &[&str]) -> Self {
        let shared = Arc::new(Mutex::new(Objects {
            objects: keys
                .iter()
                .map(|key| ((*key).to_owned(), key.as_bytes().to_vec()))
                .collect(),
            page: 3,
            ..Objects::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("address").port();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, shared }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Objects> {
        self.shared.lock().expect("lock")
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            set(
                "AWS_ENDPOINT_URL",
                &format!("http://127.0.0.1:{}", self.port),
            ),
            set("AWS_ACCESS_KEY_ID", "AKIATEST"),
            set("AWS_SECRET_ACCESS_KEY", "hunter2"),
            set("AWS_REGION", "us-east-1"),
        ]
    }

    pub(crate) async fn sources(&self) -> Sources {
        let builder = Sources::builder().environment(self.variables());
        builder
            .timeout(Duration::from_secs(5))
            .build()
            .await
            .expect("sources")
    }
}

pub(crate) fn at(key: &str) -> Location {
    format!("s3://{BUCKET}/{key}").parse().expect("a location")
}

fn etag(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(7_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    format!("\"{sum:016x}\"")
}

async fn answer(State(shared): State<Arc<Mutex<Objects>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("body");
    let is_page = parts
        .uri
        .query()
        .is_some_and(|query| query.contains("list-type"));
    if is_page {
        let delay = {
            let mut store = shared.lock().expect("lock");
            store.pages.0 += 1;
            store.pages.1 = store.pages.1.max(store.pages.0);
            store.delay
        };
        tokio::time::sleep(delay).await;
    }
    let mut store = shared.lock().expect("lock");
    let authorized = parts.headers.get("authorization").is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains("AKIATEST/"))
    });
    let path = parts
        .uri
        .path()
        .strip_prefix(&format!("/{BUCKET}"))
        .map(decode);
    let Some(path) = path.filter(|_| authorized || store.public) else {
        return error(403, "AccessDenied");
    };
    if let Fault::Status(status, code, times) = &mut store.fault
        && *times > 0
    {
        *times -= 1;
        return error(*status, code);
    }
    if parts
        .uri
        .query()
        .is_some_and(|query| query.starts_with("tagging"))
    {
        return tagging(&mut store, &path[1..], &parts, &body);
    }
    match (
        parts.method,
        path.strip_prefix('/').filter(|key| !key.is_empty()),
    ) {
        (Method::GET, None) => {
            store.pages.0 -= 1;
            list(&mut store, &parts.uri)
        }
        (Method::GET | Method::HEAD, Some(key)) => get(&mut store, key, &parts.headers),
        (Method::PUT, Some(key)) => put(&mut store, key, &parts.headers, body),
        _ => error(405, "MethodNotAllowed"),
    }
}

fn get(store: &mut Objects, key: &str, headers: &HeaderMap) -> Response {
    store.seen.push(format!("GET {key}"));
    let Some(bytes) = store.objects.get(key).cloned() else {
        return error(404, "NoSuchKey");
    };
    let etag = etag(&bytes);
    if headers
        .get("if-match")
        .is_some_and(|wanted| wanted != etag.as_str())
    {
        return error(412, "PreconditionFailed");
    }
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    let headers = [("etag", etag), ("last-modified", date.to_owned())];
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes.clone()))]);
    match store.fault {
        Fault::Stalls => {
            let body = Body::from_stream(first.chain(futures_util::stream::pending()));
            let length = ("content-length", "1000".to_owned());
            (headers, [length], body).into_response()
        }
        Fault::Endless => {
            let body = futures_util::stream::repeat_with(|| {
                Ok::<_, std::io::Error>(Bytes::from_static(&[0; 4096]))
            });
            (
                headers,
                [("content-length", (1_u64 << 40).to_string())],
                Body::from_stream(body),
            )
                .into_response()
        }
        _ => (headers, bytes).into_response(),
    }
}

/// As S3 has it: all tags at once, and a checksum with them.
fn tagging(
    store: &mut Objects,
    key: &str,
    parts: &axum::http::request::Parts,
    body: &[u8],
) -> Response {
    store.seen.push(format!("{} {key}?tagging", parts.method));
    if !store.objects.contains_key(key) {
        return error(404, "NoSuchKey");
    }
    if parts.method == Method::GET {
        let none = || "<Tagging><TagSet></TagSet></Tagging>".to_owned();
        return store
            .tags
            .get(key)
            .cloned()
            .unwrap_or_else(none)
            .into_response();
    }
    if !parts.headers.contains_key("content-md5") {
        return error(400, "InvalidRequest");
    }
    if matches!(store.fault, Fault::Overwritten) {
        store.objects.insert(key.to_owned(), b"another".to_vec());
    }
    let text = String::from_utf8(body.to_vec()).expect("text");
    store.tags.insert(key.to_owned(), text);
    StatusCode::OK.into_response()
}

fn put(store: &mut Objects, key: &str, headers: &HeaderMap, body: Bytes) -> Response {
    store.seen.push(format!("PUT {key}"));
    if headers.contains_key("if-none-match") && store.objects.contains_key(key) {
        return error(412, "PreconditionFailed");
    }
    let etag = etag(&body);
    store.objects.insert(key.to_owned(), body.to_vec());
    [("etag", etag)].into_response()
}

fn list(store: &mut Objects, uri: &Uri) -> Response {
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes())
            .into_owned()
            .collect();
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let start = query.get("start-after").filter(|_| !store.from_the_first);
    let after = query.get("continuation-token").or(start).cloned();
    store
        .seen
        .push(format!("LIST {}", after.clone().unwrap_or_default()));
    let after = after.unwrap_or_default();
    if !store.refused.is_empty() && after.starts_with(&store.refused) {
        return error(403, "AccessDenied");
    }
    let token = query.get("continuation-token").map(String::as_str);
    let from_there = (store.circle_after.as_ref())
        .filter(|(key, _)| start == Some(key) || token.is_some_and(|token| token.starts_with('~')))
        .map(|(_, circle)| *circle);
    if let Some(circle) = store.circle.or(from_there) {
        return turn(circle, token);
    }
    let delimiter = query.get("delimiter");
    // A key, or the folder in its place; then the next one is the first after the folder.
    let name = |key: &str| {
        let inside = key.strip_prefix(&prefix)?;
        let end = delimiter.and_then(|delimiter| inside.find(delimiter.as_str()))?;
        Some(key[..prefix.len() + end + 1].to_owned())
    };
    let order = |key: &str| match store.by_path {
        true => key.replace('/', "\0"),
        false => key.to_owned(),
    };
    let mut keys: Vec<&String> = (store.objects.keys())
        .filter(|key| key.starts_with(&prefix))
        .collect();
    keys.sort_by_cached_key(|key| order(key));
    let first = match after.is_empty() {
        true => 0,
        false => keys.partition_point(|key| order(key) <= order(&after)),
    };
    let mut page: Vec<(String, Option<&Vec<u8>>)> = Vec::new();
    for key in &keys[first..] {
        let entry = match name(key) {
            Some(folder) => (folder, None),
            None => ((*key).clone(), Some(&store.objects[*key])),
        };
        if page.last() != Some(&entry) {
            page.push(entry);
        }
        if page.len() > store.page {
            break;
        }
    }
    let more = page.len() > store.page;
    page.truncate(store.page);
    let escape = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('\u{1}', "&#x1;")
    };
    let mut xml =
        "<?xml version=\"1.0\"?><ListBucketResult><Name>uploads</Name><Prefix/>".to_owned();
    for (name, bytes) in &page {
        let name = escape(name);
        xml += &match bytes {
            Some(bytes) => format!(
                "<Contents><Key>{name}</Key><LastModified>2026-01-31T00:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
                etag(bytes).replace('"', "&quot;"),
                bytes.len()
            ),
            None => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
        };
    }
    if let Some((last, bytes)) = page.last().filter(|_| more) {
        // After a folder comes what is after all that is in it.
        let inside = if bytes.is_none() { "\u{10ffff}" } else { "" };
        xml += &format!(
            "<NextContinuationToken>{}{inside}</NextContinuationToken>",
            escape(last)
        );
    }
    (xml + "</ListBucketResult>").into_response()
}

/// A page of those that never end, after the one that named this token.
fn turn(circle: Circle, token: Option<&str>) -> Response {
    let turns = token.and_then(|token| token.trim_start_matches('~').parse().ok());
    let turns: u64 = turns.unwrap_or(0);
    let (key, next) = match circle {
        Circle::Empty => (None, turns + 1),
        Circle::Same => (Some("in/2026/02/same"), 1),
        Circle::Keys => (Some("in/2026/02/same"), turns + 1),
        Circle::Two => (Some("in/2026/02/two"), 1 + turns % 2),
    };
    let key = key.map_or_else(String::new, |key| {
        format!("<Contents><Key>{key}</Key><LastModified>2026-01-31T00:00:00.000Z</LastModified><Size>1</Size></Contents>")
    });
    format!("<?xml version=\"1.0\"?><ListBucketResult><Name>uploads</Name><Prefix/>{key}<NextContinuationToken>~{next}</NextContinuationToken></ListBucketResult>").into_response()
}

fn error(status: u16, code: &str) -> Response {
    let text = format!("<Error><Code>{code}</Code><Message>AKIATEST hunter2</Message></Error>");
    (StatusCode::from_u16(status).expect("status"), text).into_response()
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}
