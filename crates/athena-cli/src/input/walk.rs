//! Folders, recursively.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use athena_imaging::Format;
use walkdir::{DirEntry, WalkDir};

use super::files::{self, Kind, Roots};
use super::{Found, Input, Order, Selection, Unreadable};
use crate::failure::reason;

/// Names under which images are kept. Other files in a folder are told by their first bytes.
const EXTENSIONS: [&str; 27] = [
    "avif", "bmp", "dib", "gif", "hdr", "heic", "heif", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg",
    "pam", "pbm", "pfm", "pgm", "pic", "png", "pnm", "ppm", "pxm", "ras", "sr", "tif", "tiff",
    "webp",
];

/// The longest signature that the detection looks at.
const SIGNATURE_BYTES: u64 = 32;

/// The images of a folder, or the path itself: a file named by the user is never left out.
pub(super) fn walk(selection: &Selection, path: PathBuf) -> Box<dyn Iterator<Item = Found> + Send> {
    if path.as_os_str() == "-" || !path.is_dir() {
        return Box::new(std::iter::once(Ok(Input::of(path))));
    }
    let selection = selection.clone();
    let mut entries = WalkDir::new(&path).follow_links(selection.args.follow);
    if selection.order == Order::Sorted {
        entries = entries.sort_by_file_name();
    }
    let hidden = selection.args.hidden;
    let entries = entries
        .into_iter()
        .filter_entry(move |entry| hidden || entry.depth() == 0 || !is_hidden(entry));
    Box::new(entries.filter_map(move |entry| match entry {
        Ok(entry) if entry.file_type().is_file() => {
            let wanted = selection.admits(&path, entry.path());
            wanted.then(|| Ok(Input::File(entry.into_path())))
        }
        Ok(entry) => {
            selection.leave_out(&path, &entry);
            None
        }
        Err(error) => Some(Err(unreadable(&selection.roots, &path, &error))),
    }))
}

impl Selection {
    /// Counts what is not a file and looks like an image all the same. A link may lead to a folder of them.
    fn leave_out(&self, root: &Path, entry: &DirEntry) {
        let (kind, path) = (Kind::of(entry.file_type()), entry.path());
        let relative = path.strip_prefix(root).unwrap_or(path);
        let admitted = !self.exclude.is_match(relative)
            && (self.include.is_empty() || self.include.is_match(relative));
        let looks_like_one = || match kind {
            Kind::Link => {
                path.is_dir()
                    || has_image_name(path)
                    || (path.is_file() && has_image_signature(path))
            }
            _ => has_image_name(path),
        };
        if kind != Kind::Folder && admitted && looks_like_one() {
            self.gaps.note(kind, path);
        }
    }

    fn admits(&self, root: &Path, path: &Path) -> bool {
        let relative = path.strip_prefix(root).unwrap_or(path);
        if self.exclude.is_match(relative) {
            return false;
        }
        if !self.include.is_empty() {
            return self.include.is_match(relative) && self.fits(path);
        }
        let image = has_image_name(path) || has_image_signature(path);
        if !image {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        image && self.fits(path)
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn has_image_name(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.binary_search(&extension.as_str()).is_ok())
}

/// A file that cannot be read is taken, so that its error is seen.
fn has_image_signature(path: &Path) -> bool {
    let mut first = Vec::new();
    match files::open(path).and_then(|(file, _)| file.take(SIGNATURE_BYTES).read_to_end(&mut first))
    {
        Ok(_) => Format::detect(&first).is_some(),
        Err(_) => true,
    }
}

fn unreadable(roots: &Roots, root: &Path, error: &walkdir::Error) -> Unreadable {
    let path = error.path().unwrap_or(root);
    let why = match (error.io_error(), error.loop_ancestor()) {
        (Some(error), _) => reason(error),
        (None, Some(ancestor)) => format!("a link back to {}", ancestor.display()),
        (None, None) => "cannot be read".to_owned(),
    };
    Unreadable {
        path: path.to_owned(),
        reason: why,
        lost: error
            .io_error()
            .is_some_and(|error| roots.lost(error, path)),
        hopeless: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::InputArgs;
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        input: InputArgs,
    }

    const GIF: &[u8] = b"GIF89a";

    fn names(folder: &Path, flags: &[&str]) -> (Vec<String>, u64) {
        let mut arguments = vec!["athena".to_owned(), folder.display().to_string()];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let args = Wrapper::parse_from(arguments).input;
        let selection = args.select(Order::Sorted).expect("valid flags");
        let found = selection.inputs().expect("no list to open");
        let names = found.map(|input| {
            let input = input.expect("readable");
            let path = input.path();
            let relative = path.strip_prefix(folder).expect("inside the folder");
            relative.to_string_lossy().replace('\\', "/")
        });
        (names.collect(), selection.skipped())
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, bytes).expect("write");
        };
        write("b.JPG", b"not looked at");
        write("a/no-extension", GIF);
        write("a/notes.txt", b"text");
        write(".hidden/c.png", GIF);
        write(".d.png", GIF);
        folder
    }

    #[test]
    fn images_are_told_by_name_or_by_content() {
        let folder = tree();
        let (found, skipped) = names(folder.path(), &[]);
        assert_eq!(found, ["a/no-extension", "b.JPG"]);
        assert_eq!(skipped, 1);
    }

    #[test]
    fn hidden_files_are_taken_when_asked_for() {
        let folder = tree();
        let (found, _) = names(folder.path(), &["--hidden"]);
        assert_eq!(
            found,
            [".d.png", ".hidden/c.png", "a/no-extension", "b.JPG"]
        );
    }

    #[test]
    fn globs_take_and_leave_out() {
        let folder = tree();
        let (taken, _) = names(folder.path(), &["--glob", "*.txt"]);
        assert_eq!(taken, ["a/notes.txt"]);
        let (left, _) = names(folder.path(), &["--glob", "!a/**"]);
        assert_eq!(left, ["b.JPG"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_when_asked_for_and_loops_are_reported() {
        let folder = tree();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).expect("link");
        assert_eq!(names(folder.path(), &[]).0.len(), 2);

        let path = folder.path().display().to_string();
        let args = Wrapper::parse_from(["athena", &path, "--follow"]).input;
        let selection = args.select(Order::Sorted).expect("valid flags");
        let failed = selection.inputs().expect("inputs").filter(Result::is_err);
        assert_eq!(failed.count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_looks_like_an_image_and_is_no_file_is_counted() {
        let folder = tree();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, folder.path().join(name)).expect("link");
        };
        link("b.JPG", "link.png");
        link("a/no-extension", "link");
        link("a", "folder-link");
        link("a/notes.txt", "notes");
        let socket = folder.path().join("socket.gif");
        let _listener = std::os::unix::net::UnixListener::bind(socket).expect("socket");
        let path = folder.path().display().to_string();
        let gaps = |flags: &[&str]| {
            let arguments = [&["athena", path.as_str()], flags].concat();
            let args = Wrapper::parse_from(arguments).input;
            let selection = args.select(Order::Sorted).expect("valid flags");
            let found = selection.inputs().expect("inputs").count();
            let gaps: Vec<u64> = selection
                .gaps()
                .into_iter()
                .map(|(number, _)| number)
                .collect();
            (found, gaps)
        };
        assert_eq!(gaps(&[]), (2, vec![3, 1]));
        assert_eq!(gaps(&["--glob", "!*link*"]), (2, vec![1]));
        assert_eq!(gaps(&["--follow"]), (5, vec![1]));
    }

    #[cfg(unix)]
    #[test]
    fn lists_hold_any_path_when_separated_by_nul() {
        use std::os::unix::ffi::OsStrExt;
        let list = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(list.path(), b"a\nb.png\0\xff.png\0").expect("write");
        let path = list.path().display().to_string();
        let args = Wrapper::parse_from(["athena", "--from", &path, "-0"]).input;
        let selection = args.select(Order::Sorted).expect("valid flags");
        let found: Vec<Vec<u8>> = (selection.inputs().expect("inputs"))
            .map(|input| {
                input
                    .expect("readable")
                    .path()
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            })
            .collect();
        assert_eq!(found, [b"a\nb.png".to_vec(), b"\xff.png".to_vec()]);
    }
}
