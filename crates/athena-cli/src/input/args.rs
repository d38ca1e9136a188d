//! What the command line names: files, folders, URLs, lists, and which of it is wanted.

use std::path::{Path, PathBuf};

use athena_sources::Location;
use clap::Args;

use super::filter::Filter;
use super::{location_of, real};

/// The images to work on.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Image files, folders (read recursively), URLs (s3://BUCKET/PREFIX/, gs://…, az://…, https://…), or `-` for an
    /// image on standard input
    #[arg(value_name = "PATH|URL", required_unless_present = "from")]
    pub(super) paths: Vec<PathBuf>,
    /// Also read paths and URLs from a file or object: one a line (`-`: from standard input), or an inventory
    /// (.csv, .jsonl, .ndjson, manifest.json of S3 Inventory; .gz too)
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,
    /// Paths in the --from file are separated by NUL, as `find -print0` writes them
    #[arg(long, short = '0', requires = "from")]
    pub(super) null: bool,
    /// The column of the inventory that names the image, by a path or URL
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(super) column: Option<String>,
    /// The columns of an inventory without a first line that names them, such as Bucket,Key,Size
    #[arg(long, value_name = "NAME,…", requires = "from", value_delimiter = ',')]
    pub(super) columns: Vec<String>,
    /// In folders, only files that match; `!GLOB` leaves files out. May be repeated
    #[arg(long, short, value_name = "GLOB")]
    pub(super) glob: Vec<String>,
    /// In folders, include hidden files and folders
    #[arg(long)]
    pub(super) hidden: bool,
    /// In folders, follow symbolic links
    #[arg(long, short = 'L')]
    pub(super) follow: bool,
    /// Ask object stores without credentials, as for public buckets
    #[arg(long)]
    pub(super) anonymous: bool,
    #[command(flatten)]
    pub(super) filter: Filter,
}

impl InputArgs {
    /// Whether standard input holds an image or the list: it can be read once only.
    pub(crate) fn takes_standard_input(&self) -> bool {
        let mut named = self.paths.iter().chain(&self.from);
        named.any(|path| path.as_os_str() == "-")
    }

    /// Whether a walk of the named folders comes by this path, links resolved.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        let Some(path) = real(path) else {
            return false;
        };
        let mut folders = self.paths.iter().filter(|folder| folder.is_dir());
        folders.any(|folder| real(folder).is_some_and(|folder| path.starts_with(folder)))
    }

    /// The prefixes whose listings are all that is worked on; nothing where there is anything else. One that
    /// another comes by is left out.
    pub(crate) fn listings(&self) -> Option<Vec<Location>> {
        let prefix = |path: &PathBuf| {
            let location = location_of(path)?.ok()?;
            location.is_prefix().then_some(location)
        };
        let named: Vec<Location> = self.paths.iter().map(prefix).collect::<Option<_>>()?;
        let mut prefixes: Vec<Location> = Vec::new();
        for location in named {
            if !prefixes.iter().any(|prefix| prefix.covers(&location)) {
                prefixes.retain(|prefix| !location.covers(prefix));
                prefixes.push(location);
            }
        }
        // Without an order no key says what came before it.
        let ordered = prefixes.iter().all(Location::is_ordered);
        (self.from.is_none() && ordered && !prefixes.is_empty()).then_some(prefixes)
    }

    /// The stream of jobs that is named in the place of images: `nats:STREAM`, alone.
    #[cfg(feature = "worker")]
    pub(crate) fn stream(&self) -> Option<&str> {
        match &self.paths[..] {
            [path] if self.from.is_none() => path.to_str()?.strip_prefix("nats:"),
            _ => None,
        }
    }

    /// What decides about which images of a prefix are taken, as text.
    pub(crate) fn listing_rules(&self) -> String {
        format!("{:?} {}", self.glob, self.filter.as_given())
    }

    /// Whether anything is named by a URL, as far as that is known without reading a list.
    pub(crate) fn names_urls(&self) -> bool {
        let mut named = self.paths.iter().chain(&self.from);
        named.any(|path| location_of(path).is_some())
    }

    /// What is named on the command line: the place in a store, or nothing for a path. What is not a sound URL is left
    /// out.
    pub(crate) fn named(&self) -> Vec<Option<Location>> {
        let named = self.paths.iter().map(|path| location_of(path).transpose());
        named.filter_map(Result::ok).collect()
    }

    /// The places in stores among them.
    pub(crate) fn locations(&self) -> Vec<Location> {
        self.named().into_iter().flatten().collect()
    }

    /// Whether a list names more paths.
    pub(crate) fn is_listed(&self) -> bool {
        self.from.is_some()
    }

    /// How the input is named in messages.
    pub(super) fn describe(&self) -> String {
        let mut names: Vec<String> = self.paths.iter().map(|p| p.display().to_string()).collect();
        names.extend(self.from.iter().map(|list| list.display().to_string()));
        names.join(", ")
    }
}
