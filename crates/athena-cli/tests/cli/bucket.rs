//! A small store that speaks S3's protocol, with an order of keys, refusals and faults of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::common::{Run, athena, run};

/// What the store has, and how it answers.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// A folder comes before all that its name goes on to, as in a tree of files.
    pub(crate) by_path: bool,
    /// Listings of this prefix, or that go on after a key that begins so, are refused.
    pub(crate) refused: Option<String>,
    /// Objects that are answered with 503.
    pub(crate) away: BTreeSet<String>,
    /// Such listings are answered with 503 instead.
    pub(crate) overloaded: bool,
    /// Every page of such a prefix is empty, and names another one.
    pub(crate) endless: Option<String>,
    /// Where each page began that was asked for.
    pub(crate) listed: Vec<String>,
}

/// A running store. Ends with the process.
pub(crate) struct Bucket {
    port: u16,
    store: Arc<Mutex<Store>>,
}

/// Keys on a page.
const PAGE: usize = 20;

impl Bucket {
    pub(crate) fn start(objects: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let store = Arc::new(Mutex::new(Store {
            objects,
            ..Store::default()
        }));
        let shared = Arc::clone(&store);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(connection, &shared));
            }
        });
        Self { port, store }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("lock")
    }

    /// Runs `athena`, for which this is S3.
    pub(crate) fn athena(&self, folder: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Run {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        run(athena(folder, arguments)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-east-1")
            .envs(more.iter().copied()))
    }
}

fn serve(connection: TcpStream, store: &Mutex<Store>) -> Option<()> {
    let mut stream = BufReader::new(connection);
    loop {
        let mut head = String::new();
        stream.read_line(&mut head).ok().filter(|read| *read > 0)?;
        let mut line = String::new();
        while stream.read_line(&mut line).ok()? > 2 {
            line.clear();
        }
        let mut words = head.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // After the bucket's name.
        let key = decoded(
            path.trim_start_matches('/')
                .split_once('/')
                .map_or("", |key| key.1),
        );
        let (status, etag, body) = match key.as_str() {
            "" => list(&mut store.lock().expect("lock"), query),
            key => match &*store.lock().expect("lock") {
                store if store.away.contains(key) => error("503 Service Unavailable", "SlowDown"),
                store => match store.objects.get(key) {
                    Some(object) => ("200 OK", format!("\"{:x}\"", object.len()), object.clone()),
                    None => error("404 Not Found", "NoSuchKey"),
                },
            },
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: {etag}\r\nlast-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n",
            body.len()
        );
        let mut answer = head.into_bytes();
        if method != "HEAD" {
            answer.extend(body);
        }
        stream.get_mut().write_all(&answer).ok()?;
    }
}

type Answer = (&'static str, String, Vec<u8>);

fn error(status: &'static str, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code></Error>");
    (status, "\"-\"".to_owned(), body.into_bytes())
}

fn list(store: &mut Store, query: &str) -> Answer {
    let query: BTreeMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, decoded(value)))
        .collect();
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let prefix = text("prefix");
    let after = match query.get("continuation-token") {
        Some(token) => token.clone(),
        None => text("start-after"),
    };
    store.listed.push(after.clone());
    if let Some(refused) = &store.refused
        && (prefix == *refused || after.starts_with(refused.as_str()))
    {
        return match store.overloaded {
            true => error("503 Service Unavailable", "SlowDown"),
            false => error("403 Forbidden", "AccessDenied"),
        };
    }
    let mut xml = "<?xml version='1.0'?><ListBucketResult><Name>b</Name><Prefix/>".to_owned();
    let mut next = None;
    if store
        .endless
        .as_deref()
        .is_some_and(|endless| prefix.starts_with(endless))
    {
        next = Some(store.listed.len().to_string());
    } else {
        let order = |key: &str| match store.by_path {
            true => key.replace('/', "\0"),
            false => key.to_owned(),
        };
        let begin = |key: &&String| {
            key.starts_with(&prefix) && (after.is_empty() || order(key) > order(&after))
        };
        let mut keys: Vec<&String> = store.objects.keys().filter(begin).collect();
        keys.sort_by_cached_key(|key| order(key));
        // Each key, or the folder in its place.
        let mut names: Vec<(String, bool)> = Vec::new();
        for key in keys {
            let folder = text("delimiter").chars().next().and_then(|delimiter| {
                let inside = key[prefix.len()..].find(delimiter)?;
                Some(key[..=prefix.len() + inside].to_owned())
            });
            let name = (
                folder.clone().unwrap_or_else(|| key.clone()),
                folder.is_some(),
            );
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        if names.len() > PAGE {
            names.truncate(PAGE);
            next = names.last().map(|(name, folder)| match folder {
                true => format!("{name}\u{10ffff}"),
                false => name.clone(),
            });
        }
        for (name, folder) in names {
            xml += &match folder {
                true => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
                false => format!(
                    "<Contents><Key>{name}</Key><LastModified>2015-10-21T07:28:00.000Z</LastModified>\
                     <ETag>&quot;{:x}&quot;</ETag><Size>{0}</Size></Contents>",
                    store.objects[&name].len()
                ),
            };
        }
    }
    if let Some(next) = next {
        xml += &format!("<NextContinuationToken>{next}</NextContinuationToken>");
    }
    (
        "200 OK",
        "\"-\"".to_owned(),
        (xml + "</ListBucketResult>").into_bytes(),
    )
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (after.get(..2))
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    String::from_utf8(bytes).expect("UTF-8")
}
