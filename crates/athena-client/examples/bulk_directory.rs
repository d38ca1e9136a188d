//! Classifies every file of a folder, as fast as the machine and the service allow, in little
//! memory: files are read when their turn comes.
//!
//! `cargo run -p athena-client --example bulk_directory -- FOLDER`, with the account in
//! `OAUTH_CLIENT_ID`, `OAUTH_CLIENT_SECRET`, `ATHENA_AFFILIATE`; see `docs/authentication.md`.

use std::error::Error;
use std::path::PathBuf;

use athena_client::{Client, Image};
use futures_util::{StreamExt, stream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: bulk_directory FOLDER")?;
    let client = Client::from_env()?;

    let files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    let images = stream::iter(files)
        .filter(|path| std::future::ready(path.is_file()))
        .map(|path| (path.clone(), Image::from_file(path)));

    let mut results = client.classify_all(images);
    let mut failed = 0;
    while let Some((path, result)) = results.next().await {
        match result {
            Ok(verdict) => println!(
                "{}\t{}\t{}",
                path.display(),
                verdict.pcsam().map_or("-".to_owned(), |p| p.to_string()),
                if verdict.known_match() { "known" } else { "" },
            ),
            // No file is passed over: each has a line here or above.
            Err(error) => {
                failed += 1;
                let known = error.hash_verdict().is_some_and(|v| v.known_match());
                eprintln!("{}: {error} (known content: {known})", path.display());
            }
        }
    }
    let stats = results.session().stats();
    eprintln!("{} classified, {failed} failed", stats.verdicts);
    Ok(())
}
