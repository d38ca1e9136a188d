//! `move:` and `copy:`: what arrives is what was judged, and nothing is ever overwritten.
//!
//! A file is moved by a hard link and the removal of its old name: mode, times and owner stay, and until
//! the last step nothing is lost. Where that cannot be, across file systems for example, a copy with the
//! same mode, times and owner takes the place of the link.

use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use athena_outcome::Record;

use super::Taken;
use super::evidence::{Judged, digest};
use crate::failure::reason;

pub(super) fn move_into(path: &Path, record: &Record, folder: &Path) -> Result<Taken, String> {
    let linked = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if linked {
        let target = std::fs::canonicalize(path).unwrap_or_default();
        return Err(format!(
            "it is a symbolic link, and a move is not made through one: the file that was judged is {}",
            target.display()
        ));
    }
    let judged = match Judged::open(path, record) {
        Ok(judged) => judged,
        // Taken up again after a crash: it may have been moved already.
        Err(why) => return arrived(path, record, folder).ok_or(why),
    };
    let to = put(&judged, path, folder, Way::LinkOrCopy)?;
    let after = read_back(&judged, &to)?;
    if judged.is_at(path) {
        std::fs::remove_file(path).map_err(|error| {
            let _ = std::fs::remove_file(&to);
            format!("cannot remove it from where it was: {}", reason(&error))
        })?;
    }
    Ok(Taken {
        to: Some(to),
        before: judged.sha256,
        after: Some(after),
    })
}

pub(super) fn copy_into(path: &Path, record: &Record, folder: &Path) -> Result<Taken, String> {
    let judged = Judged::open(path, record)?;
    if let Some(taken) = arrived(path, record, folder) {
        return Ok(taken);
    }
    let to = put(&judged, path, folder, Way::Copy)?;
    let after = read_back(&judged, &to)?;
    Ok(Taken {
        to: Some(to),
        before: judged.sha256,
        after: Some(after),
    })
}

/// What is at the new place must be what was judged, to the byte.
fn read_back(judged: &Judged, to: &Path) -> Result<String, String> {
    let read = crate::input::open(to).and_then(|(mut file, _)| digest(&mut file));
    match read {
        Ok(after) if after == judged.sha256 => Ok(after),
        outcome => {
            let _ = std::fs::remove_file(to);
            Err(match outcome {
                Ok(_) => "it changed while it was being moved: it stays where it was".to_owned(),
                Err(error) => format!("cannot read {}: {}", to.display(), reason(&error)),
            })
        }
    }
}

/// Names for a file below the folder: its own path, then with numbers.
fn names(path: &Path, folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    // `..` and the root would lead out of the folder.
    let inside: PathBuf = (path.components())
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let wanted = folder.join(inside);
    let numbered = {
        let wanted = wanted.clone();
        (1_u32..).map(move |number| {
            let mut name = wanted.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        })
    };
    std::iter::once(wanted).chain(numbered)
}

/// A file with the judged content that an earlier run has put there.
fn arrived(path: &Path, record: &Record, folder: &Path) -> Option<Taken> {
    let sha256 = record.sha256.as_ref()?;
    let mut there = names(path, folder).take_while(|name| name.symlink_metadata().is_ok());
    let to = there.find(|name| {
        let read = crate::input::open(name).and_then(|(mut file, _)| digest(&mut file));
        read.is_ok_and(|found| found == *sha256)
    })?;
    Some(Taken {
        to: Some(to),
        before: sha256.clone(),
        after: Some(sha256.clone()),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    LinkOrCopy,
    Copy,
}

/// Puts the judged file under the first free name.
fn put(judged: &Judged, path: &Path, folder: &Path, way: Way) -> Result<PathBuf, String> {
    let cannot =
        |error: &io::Error| format!("cannot put it into {}: {}", folder.display(), reason(error));
    for name in names(path, folder) {
        if let Some(parent) = name.parent() {
            std::fs::create_dir_all(parent).map_err(|error| cannot(&error))?;
        }
        match put_as(judged, path, &name, way) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot(&error)),
        }
    }
    Err("there is no free name".to_owned())
}

fn put_as(judged: &Judged, path: &Path, name: &Path, way: Way) -> io::Result<()> {
    if way == Way::LinkOrCopy {
        match std::fs::hard_link(path, name) {
            Ok(()) if judged.is_at(name) => return Ok(()),
            Ok(()) => {
                // The path has become another file meanwhile.
                std::fs::remove_file(name)?;
                return Err(io::Error::other("it is no longer the file that was judged"));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A run that died after the link and before the removal has left this.
                return if judged.is_at(name) {
                    Ok(())
                } else {
                    Err(error)
                };
            }
            // Another file system, or one without hard links.
            Err(_) => {}
        }
    }
    copy(judged, name)
}

/// Copies under a name of its own first, so that half a file never stands under the real one.
fn copy(judged: &Judged, name: &Path) -> io::Result<()> {
    if name.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut part = name.to_owned().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    // A run that died has left it.
    let _ = std::fs::remove_file(&part);
    let mut target = File::create_new(&part)?;
    let copied = fill(judged, &mut target).and_then(|()| publish(&part, name));
    if copied.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    copied
}

fn fill(judged: &Judged, target: &mut File) -> io::Result<()> {
    let mut source = &judged.file;
    source.seek(SeekFrom::Start(0))?;
    io::copy(&mut source, target)?;
    keep_owner(&judged.metadata, target)?;
    target.set_permissions(judged.metadata.permissions())?;
    let mut times = std::fs::FileTimes::new().set_modified(judged.metadata.modified()?);
    if let Ok(accessed) = judged.metadata.accessed() {
        times = times.set_accessed(accessed);
    }
    target.set_times(times)?;
    target.sync_all()
}

/// Gives the copy the owner of the original. Only a privileged user may; for others it is theirs.
#[cfg(unix)]
fn keep_owner(of: &Metadata, target: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    match fchown(target, Some(of.uid()), Some(of.gid())) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(uid = of.uid(), gid = of.gid(), "a copy has another owner");
            Ok(())
        }
        done => done,
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &Metadata, _: &File) -> io::Result<()> {
    Ok(())
}

/// Gives the finished copy its name, unless that is taken.
fn publish(part: &Path, name: &Path) -> io::Result<()> {
    match std::fs::hard_link(part, name) {
        Ok(()) => std::fs::remove_file(part),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // No hard links here: nobody else writes names like these.
        Err(_) if name.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(part, name),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use sha2::{Digest, Sha256};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::time::{Duration, UNIX_EPOCH};

    struct Place {
        folder: tempfile::TempDir,
        file: PathBuf,
    }

    impl Place {
        fn with(content: &str) -> (Self, Record) {
            let folder = tempfile::tempdir().expect("folder");
            let file = folder.path().join("photos/a.jpg");
            std::fs::create_dir_all(folder.path().join("photos")).expect("folder");
            let place = Self { folder, file };
            let record = place.write(content);
            (place, record)
        }

        fn write(&self, content: &str) -> Record {
            std::fs::write(&self.file, content).expect("write");
            let mut record = Record::of_path(&self.file);
            record.bytes = Some(content.len() as u64);
            record.sha256 = Some(HEXLOWER.encode(&Sha256::digest(content)));
            record
        }

        fn quarantine(&self) -> PathBuf {
            self.folder.path().join("quarantine")
        }
    }

    fn content(path: &Path) -> String {
        std::fs::read_to_string(path).expect("read")
    }

    #[test]
    fn a_moved_file_keeps_its_path_and_overwrites_nothing() {
        let (place, one) = Place::with("one");
        let first = move_into(&place.file, &one, &place.quarantine()).expect("moved");
        let two = place.write("two");
        let second = move_into(&place.file, &two, &place.quarantine()).expect("moved");
        assert!(!place.file.exists());
        let (first, second) = (first.to.expect("to"), second.to.expect("to"));
        assert_eq!(content(&first), "one");
        assert_eq!(content(&second), "two");
        assert_eq!(second, PathBuf::from(format!("{}.1", first.display())));
        let again = move_into(&place.file, &two, &place.quarantine()).expect("moved already");
        assert_eq!(again.to, Some(second));
    }

    #[test]
    fn what_is_not_what_was_judged_stays() {
        let (place, record) = Place::with("judged");
        for other in ["JUDGED", "longer than that"] {
            std::fs::write(&place.file, other).expect("write");
            let why = move_into(&place.file, &record, &place.quarantine()).expect_err("changed");
            assert!(why.contains("no longer the file"), "{why}");
            assert_eq!(content(&place.file), other);
        }
        std::fs::remove_file(&place.file).expect("remove");
        assert!(move_into(&place.file, &record, &place.quarantine()).is_err());
        assert!(!place.quarantine().exists());
    }

    #[test]
    fn a_link_is_refused_and_names_what_was_judged() {
        let (place, record) = Place::with("judged");
        let link = place.folder.path().join("link.jpg");
        std::os::unix::fs::symlink(&place.file, &link).expect("link");
        let why = move_into(&link, &record, &place.quarantine()).expect_err("a link");
        assert!(why.contains("photos/a.jpg"), "{why}");
        assert!(link.exists() && place.file.exists());
        let copied = copy_into(&link, &record, &place.quarantine()).expect("copied");
        assert_eq!(content(&copied.to.expect("to")), "judged");
    }

    #[test]
    fn a_copy_has_mode_and_times_and_is_made_once() {
        let (place, record) = Place::with("judged");
        let file = File::open(&place.file).expect("open");
        file.set_permissions(std::fs::Permissions::from_mode(0o640))
            .expect("mode");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000))
            .expect("time");
        let copied = copy_into(&place.file, &record, &place.quarantine()).expect("copied");
        let to = copied.to.expect("to");
        let (old, new) = (
            std::fs::metadata(&place.file).expect("there"),
            std::fs::metadata(&to).expect("there"),
        );
        assert_ne!(old.ino(), new.ino());
        assert_eq!(old.mode(), new.mode());
        assert_eq!((old.uid(), old.gid()), (new.uid(), new.gid()));
        assert_eq!(old.modified().ok(), new.modified().ok());
        assert_eq!(copied.after, record.sha256);
        let again = copy_into(&place.file, &record, &place.quarantine()).expect("copied");
        assert_eq!(again.to, Some(to));
    }

    #[test]
    fn half_a_copy_of_a_dead_run_is_no_obstacle() {
        let (place, record) = Place::with("judged");
        let to = names(&place.file, &place.quarantine())
            .next()
            .expect("a name");
        std::fs::create_dir_all(to.parent().expect("parent")).expect("folder");
        std::fs::write(format!("{}.part", to.display()), "ju").expect("write");
        let copied = copy_into(&place.file, &record, &place.quarantine()).expect("copied");
        assert_eq!(copied.to.as_deref(), Some(to.as_path()));
        let parent = std::fs::read_dir(to.parent().expect("parent")).expect("list");
        assert_eq!(parent.count(), 1);
    }

    #[test]
    fn a_run_that_died_between_link_and_removal_is_finished() {
        let (place, record) = Place::with("judged");
        let to = names(&place.file, &place.quarantine())
            .next()
            .expect("a name");
        std::fs::create_dir_all(to.parent().expect("parent")).expect("folder");
        std::fs::hard_link(&place.file, &to).expect("link");
        let moved = move_into(&place.file, &record, &place.quarantine()).expect("moved");
        assert_eq!(moved.to, Some(to));
        assert!(!place.file.exists());
    }
}
