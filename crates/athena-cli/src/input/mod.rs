//! Which images a command works on: files, folders, lists and standard input.

mod args;
mod files;
mod filter;
mod gaps;
mod list;
mod listing;
mod object;
mod remote;
mod walk;

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use athena_sources::{Location, LocationError, Requests};
use globset::{Glob, GlobSet, GlobSetBuilder};

pub(crate) use self::args::InputArgs;
pub(crate) use self::files::{Roots, open};
use self::gaps::Gaps;
pub(crate) use self::listing::{Place, Rest, Sight};
pub(crate) use self::object::{Object, hopeless, shown_url};
pub(crate) use self::remote::Remote;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::left_out::check_store;

/// One image to work on.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    File(PathBuf),
    Object(Box<Object>),
    Stdin,
}

impl Input {
    /// The file at a path; `-` is standard input.
    pub(crate) fn of(path: PathBuf) -> Self {
        match path.as_os_str() == "-" {
            true => Self::Stdin,
            false => Self::File(path),
        }
    }

    /// The path, or the URL, as the user knows it.
    pub(crate) fn path(&self) -> Cow<'_, Path> {
        match self {
            Self::File(path) => Cow::Borrowed(path),
            Self::Object(object) => Cow::Owned(object.location.to_string().into()),
            Self::Stdin => Cow::Borrowed(Path::new("-")),
        }
    }

    /// Reads the image, up to one byte more than `limit`, which is enough to see that it is larger.
    pub(crate) fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::File(path) => {
                let (file, metadata) = files::open(path)?;
                let length = metadata.len().min(limit);
                bytes.reserve_exact(usize::try_from(length).unwrap_or(0) + 1);
                file.take(limit + 1).read_to_end(&mut bytes)?;
            }
            Self::Object(object) => {
                let fetched = object.fetch_now(limit).map_err(io::Error::other)?;
                return Ok(fetched.bytes.into());
            }
            Self::Stdin => {
                io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }
}

/// A path that could not be looked at: reported like an image that failed.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
    /// Not its own fault, as [`Roots::lost`] says.
    pub(crate) lost: bool,
    /// No other image can be had either: how the command ends.
    pub(crate) hopeless: Option<Exit>,
}

/// What a walk comes across.
pub(crate) type Found = Result<Input, Unreadable>;

/// What [`Selection::images`] comes by.
#[derive(Debug)]
pub(crate) enum Sighting {
    Found(Found),
    /// A store turned out to list in an order of its own: everything comes once more from here on.
    Again,
}

/// The order in which a folder is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By name: each folder's names are held in memory.
    Sorted,
    /// As the file system lists them: for folders of any size.
    AsListed,
}

/// The paths to visit and the rules for visiting them.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    args: InputArgs,
    include: GlobSet,
    exclude: GlobSet,
    order: Order,
    roots: Arc<Roots>,
    skipped: Arc<AtomicU64>,
    gaps: Arc<Gaps>,
    filtered: Arc<AtomicU64>,
    remote: Arc<OnceLock<Arc<Remote>>>,
    /// Whether names are looked into: see [`with_names_as_given`](Self::with_names_as_given).
    asks: bool,
}

impl InputArgs {
    pub(crate) fn select(&self, order: Order) -> Outcome<Selection> {
        let mut include = GlobSetBuilder::new();
        let mut exclude = GlobSetBuilder::new();
        for pattern in &self.glob {
            let (set, pattern) = match pattern.strip_prefix('!') {
                Some(pattern) => (&mut exclude, pattern),
                None => (&mut include, pattern.as_str()),
            };
            set.add(Glob::new(pattern).map_err(|error| invalid_glob(&error))?);
        }
        Ok(Selection {
            args: self.clone(),
            include: include.build().map_err(|error| invalid_glob(&error))?,
            exclude: exclude.build().map_err(|error| invalid_glob(&error))?,
            order,
            roots: Arc::new(Roots::of(self.paths.iter())),
            skipped: Arc::default(),
            gaps: Arc::default(),
            filtered: Arc::default(),
            remote: Arc::default(),
            asks: true,
        })
    }
}

impl Selection {
    /// Every image, found while it is asked for.
    pub(crate) fn inputs(&self) -> Outcome<impl Iterator<Item = Found> + Send + use<>> {
        self.check_stores()?;
        let listed = match &self.args.from {
            Some(path) => Some(list::open(self, path)?),
            None => None,
        };
        let selection = self.clone();
        let named = (self.args.paths.clone().into_iter()).map(|path| (Ok(Input::File(path)), true));
        let of_list = self.clone();
        let listed = listed.into_iter().flatten();
        let listed = listed.flat_map(move |row| object::expand_row(&of_list, row));
        let named = named.flat_map(move |(path, named)| selection.expand(path, named));
        Ok(named.chain(listed))
    }

    /// Every image, as [`inputs`](Self::inputs), and where all are in stores in any order: these list faster. What cannot
    /// be listed there comes last.
    pub(crate) fn images(&self) -> Outcome<Box<dyn Iterator<Item = Sighting> + Send>> {
        self.check_stores()?;
        Ok(match self.args.listings() {
            Some(prefixes) => Box::new(listing::whole(self, prefixes)?),
            None => Box::new(self.inputs()?.map(Sighting::Found)),
        })
    }

    /// Whether this build reaches the stores that will be asked.
    pub(crate) fn check_stores(&self) -> Outcome<()> {
        let list = self
            .args
            .from
            .iter()
            .filter_map(|list| location_of(list)?.ok());
        let named = self.args.locations().into_iter();
        let asked = named.filter(|location| self.asks || location.is_prefix());
        list.chain(asked)
            .try_for_each(|location| check_store(&location))
    }

    /// The stores, ready to be asked.
    pub(crate) fn remote(&self) -> Outcome<Arc<Remote>> {
        if let Some(remote) = self.remote.get() {
            return Ok(Arc::clone(remote));
        }
        let remote = Arc::new(Remote::start(self.args.anonymous)?);
        Ok(Arc::clone(self.remote.get_or_init(|| remote)))
    }

    /// Every image at once; an empty selection is an error.
    pub(crate) fn collect(&self) -> Outcome<Vec<Found>> {
        let mut found: Vec<Found> = Vec::new();
        for input in self.inputs()? {
            if let Err(unreadable) = &input
                && let Some(exit) = unreadable.hopeless
            {
                return Err(Failure::new(exit, unreadable.reason.clone()));
            }
            found.push(input);
        }
        if found.is_empty() {
            return Err(self.nothing());
        }
        Ok(found)
    }

    /// The folders that are walked.
    pub(crate) fn roots(&self) -> Arc<Roots> {
        Arc::clone(&self.roots)
    }

    /// Names as they are: a URL that does not end with `/` is an object, whether or not there is one, and a
    /// JSON object on a line of a list is the caller's to read.
    #[cfg(feature = "worker")]
    pub(crate) fn with_names_as_given(mut self) -> Self {
        self.asks = false;
        self
    }

    /// What was asked of stores so far.
    pub(crate) fn requests(&self) -> Requests {
        self.remote
            .get()
            .map(|remote| remote.requests())
            .unwrap_or_default()
    }

    /// Files in folders that are not images, by name and by content.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Images left out for their size or age.
    pub(crate) fn filtered(&self) -> u64 {
        self.filtered.load(Ordering::Relaxed)
    }

    /// What was left out is counted anew.
    fn forget_counts(&self) {
        self.skipped.store(0, Ordering::Relaxed);
        self.filtered.store(0, Ordering::Relaxed);
    }

    /// What a walk came across that looks like an image and was left out, in words with their number.
    pub(crate) fn gaps(&self) -> Vec<(u64, String)> {
        self.gaps.words()
    }

    /// The error for a selection without an image.
    pub(crate) fn nothing(&self) -> Failure {
        let mut cause = format!("no images in {}", self.args.describe());
        if self.skipped() > 0 {
            cause += &format!(" ({} other files)", self.skipped());
        }
        if self.gaps.links() > 0 {
            cause += &format!(" but {} symbolic links", self.gaps.links());
            return Failure::new(Exit::NoInput, cause).remedy("--follow follows them");
        }
        let remedy = if self.args.glob.is_empty() {
            "name image files, or a folder that holds some; --hidden includes hidden files"
        } else {
            "does the --glob leave everything out?"
        };
        Failure::new(Exit::NoInput, cause).remedy(remedy)
    }

    /// Whether size and age are as asked for. What cannot be looked at is taken, so that its error is seen.
    fn fits(&self, path: &Path) -> bool {
        if !self.args.filter.is_set() {
            return true;
        }
        std::fs::metadata(path).map_or(true, |file| {
            !file.is_file() || self.admits_size(Some(file.len()), file.modified().ok())
        })
    }

    /// Whether size and age are as asked for, as far as they are known.
    fn admits_size(&self, size: Option<u64>, modified: Option<SystemTime>) -> bool {
        let fits = self.args.filter.admits(size, modified);
        if !fits {
            self.filtered.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    /// `named` on the command line: such a file is taken whatever its size.
    fn expand(&self, path: Found, named: bool) -> Box<dyn Iterator<Item = Found> + Send> {
        if let Ok(Input::File(path)) = &path
            && let Some(location) = location_of(path)
        {
            return object::expand(self, path, location, named);
        }
        match path {
            Ok(Input::File(path)) if !named && !self.fits(&path) => Box::new(std::iter::empty()),
            Ok(Input::File(path)) => walk::walk(self, path),
            other => Box::new(std::iter::once(other)),
        }
    }
}

/// The place in a store that a text names, sound or not; nothing where it is a path.
pub(crate) fn location_of(path: &Path) -> Option<Result<Location, LocationError>> {
    let text = path.to_str()?;
    Location::is_meant_by(text).then(|| text.parse())
}

/// The absolute path with its links resolved, as far as it exists.
pub(crate) fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|existing| {
        let rest = path.strip_prefix(existing).ok()?;
        Some(existing.canonicalize().ok()?.join(rest))
    })
}

fn invalid_glob(error: &globset::Error) -> Failure {
    Failure::new(Exit::Usage, format!("--glob: {error}"))
}
