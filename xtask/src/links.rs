//! Checks that every relative link in the Markdown documents leads to a file, and to a heading of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Result;

pub(crate) fn run(root: &Path) -> Result {
    let mut broken = Vec::new();
    for document in documents(root)? {
        let text = fs::read_to_string(&document)?;
        for target in links(&text) {
            if let Some(problem) = check(&document, target) {
                let shown = document.strip_prefix(root)?.display();
                broken.push(format!("{shown}: {target}: {problem}"));
            }
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("\n       ").into())
    }
}

/// The Markdown files at the root, in `docs/` and in each crate.
fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = vec![root.to_path_buf(), root.join("docs"), root.join("examples")];
    for krate in fs::read_dir(root.join("crates"))? {
        folders.push(krate?.path());
    }
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The targets of inline links, outside fenced code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| {
        line.split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
    })
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn check(document: &Path, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        document.to_path_buf()
    } else {
        document.parent()?.join(file)
    };
    if !path.exists() {
        return Some("no such file");
    }
    if anchor.is_empty() {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let found = prose(&text)
        .filter(|line| line.starts_with('#'))
        .any(|line| slug(line) == anchor);
    (!found).then_some("no such heading")
}

/// A heading's anchor as GitHub makes it: lower case, punctuation dropped, spaces as hyphens.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
