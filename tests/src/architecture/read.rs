//! The real tree, as a value.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

use super::{DOCUMENT, Package, Project, Source};

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 2] = ["target", ".git"];

impl Project {
    /// Reads the workspace in the folder `root`, without the network.
    ///
    /// # Errors
    /// When cargo cannot read the workspace or a file cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut paths = BTreeSet::new();
        walk(root, root, &mut paths)?;
        let sources = paths
            .iter()
            .filter(|path| path.ends_with(".rs"))
            .map(|path| {
                Ok(Source {
                    path: path.clone(),
                    text: fs::read_to_string(root.join(path))?,
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            packages: packages(root)?,
            sources,
            document: fs::read_to_string(root.join(DOCUMENT))?,
            paths,
        })
    }
}

fn walk(root: &Path, folder: &Path, paths: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let relative = path.strip_prefix(root).map_err(io::Error::other)?;
        paths.insert(relative.to_string_lossy().into_owned());
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}

fn packages(root: &Path) -> io::Result<Vec<Package>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .other_options(["--locked".to_owned(), "--offline".to_owned()])
        .exec()
        .map_err(io::Error::other)?;
    let package = |package: &cargo_metadata::Package| {
        let folder = package.manifest_path.parent().map(AsRef::as_ref);
        let folder = folder.and_then(|folder: &Path| folder.strip_prefix(root).ok());
        let needed = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development);
        Package {
            name: package.name.to_string(),
            folder: folder.unwrap_or(root).to_string_lossy().into_owned(),
            dependencies: needed.map(|dependency| dependency.name.clone()).collect(),
        }
    };
    Ok(metadata.packages.iter().map(package).collect())
}
