//! What is promised of files of this machine.

use athena_sources::{Condition, Location, SourceErrorKind, Sources};

fn at(path: &std::path::Path) -> Location {
    let url = url::Url::from_file_path(path).expect("an absolute path");
    url.as_str().parse().expect("a location")
}

async fn with_files() -> Sources {
    let sources = Sources::builder().files(true).build().await;
    sources.expect("sources")
}

#[tokio::test]
async fn a_file_is_read_by_its_url_whatever_its_name_is_like() {
    let folder = tempfile::tempdir().expect("folder");
    let sources = with_files().await;
    for name in ["a.jpg", "a photo #1?.jpg", "é%20+&.jpg"] {
        let path = folder.path().join(name);
        std::fs::write(&path, b"seven b").expect("written");
        let fetched = sources.fetch(&at(&path), &Condition::default(), 7).await;
        assert_eq!(fetched.expect("its bytes").bytes, "seven b");
        let listed = sources.head(&at(&path), &Condition::default()).await;
        let listed = listed.expect("what is known of it");
        assert_eq!((listed.size, listed.location), (7, at(&path)));
        assert!(listed.modified.is_some());
    }
}

#[tokio::test]
async fn what_is_no_file_or_too_large_is_said_so_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let large = folder.path().join("large.jpg");
    std::fs::File::create(&large)
        .and_then(|file| file.set_len(1 << 40))
        .expect("sparse");
    let sources = with_files().await;
    let kind = async |path: &std::path::Path| {
        let fetched = sources.fetch(&at(path), &Condition::default(), 8).await;
        fetched.expect_err("none").kind()
    };
    assert_eq!(kind(&large).await, SourceErrorKind::TooLarge);
    assert_eq!(
        kind(&folder.path().join("gone.jpg")).await,
        SourceErrorKind::NotFound
    );
    assert_eq!(kind(folder.path()).await, SourceErrorKind::Refused);
    #[cfg(target_os = "linux")]
    assert_eq!(kind("/dev/zero".as_ref()).await, SourceErrorKind::Refused);
}

#[tokio::test]
async fn files_are_read_only_where_that_was_asked_for() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.jpg");
    std::fs::write(&path, b"bytes").expect("written");
    let sources = Sources::builder().build().await.expect("sources");
    let fetched = sources.fetch(&at(&path), &Condition::default(), 8).await;
    assert_eq!(fetched.expect_err("none").kind(), SourceErrorKind::Refused);
}
