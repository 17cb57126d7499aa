//! Package folders, seen as the one file system that they would be installed as.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders over each other; of two files with one path, the first folder's counts.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    roots: Vec<PathBuf>,
}

/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;

impl Overlay {
    pub(super) fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots }
    }

    /// The file that `path` leads to. Links stay within: even absolute ones never lead to a file
    /// of this machine.
    pub(super) fn resolve(&self, path: &str) -> Option<PathBuf> {
        let mut ahead = parts(path);
        let mut walked = PathBuf::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                walked.pop();
                continue;
            }
            walked.push(part);
            let found = self.find(&walked)?;
            let Ok(target) = fs::read_link(&found) else {
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return None;
            }
            walked.pop();
            if target.is_absolute() {
                walked.clear();
            }
            let mut turned = parts(target.to_str()?);
            turned.append(&mut ahead);
            ahead = turned;
        }
        self.find(&walked)
    }

    fn find(&self, path: &Path) -> Option<PathBuf> {
        let mut candidates = self.roots.iter().map(|root| root.join(path));
        candidates.find(|candidate| candidate.symlink_metadata().is_ok())
    }
}

fn parts(path: &str) -> VecDeque<String> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_from_package_to_package_and_never_out() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        fs::create_dir_all(a.join("lib64")).unwrap();
        fs::create_dir_all(a.join("usr/lib")).unwrap();
        fs::create_dir_all(b.join("usr/lib/deep")).unwrap();
        fs::write(b.join("usr/lib/ld-2.31.so"), "").unwrap();
        symlink("/usr/lib/ld.so", a.join("lib64/ld.so")).unwrap();
        symlink("deep/../ld-2.31.so", a.join("usr/lib/ld.so")).unwrap();
        symlink("/etc/passwd", a.join("escape")).unwrap();
        symlink("../../../../../usr/lib/ld.so", a.join("climb")).unwrap();
        symlink("loop", a.join("loop")).unwrap();
        let overlay = Overlay::new(vec![a.clone(), b.clone()]);
        let check = |path: &str, expected: Option<PathBuf>| {
            assert_eq!(overlay.resolve(path), expected, "{path}");
        };
        check("/lib64/ld.so", Some(b.join("usr/lib/ld-2.31.so")));
        check("climb", Some(b.join("usr/lib/ld-2.31.so")));
        check("/usr/./lib/deep", Some(b.join("usr/lib/deep")));
        check("escape", None);
        check("loop", None);
        check("usr/lib/nothing", None);
    }
}
