//! What one machine has and its image has not: an archive after the image's, which the kernel unpacks
//! over it (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use crate::image::archive::Tree;

/// Files of one machine, which take the place of whatever has their paths.
#[derive(Clone, Debug, Default)]
pub struct Own(Tree);

impl Own {
    /// Adds a file that everybody may read.
    pub fn file(&mut self, path: &str, text: &str) {
        self.0.file(path, 0o644, text);
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, to: &str) {
        self.0.link(path, to);
    }

    /// The files of an image and these, until it is dropped.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn after(&self, initrd: &Path) -> Result<NamedTempFile> {
        let failed = || format!("failed to add files to {}", initrd.display());
        let folder = initrd.parent().unwrap_or(Path::new("."));
        let mut both = NamedTempFile::new_in(folder).with_context(failed)?;
        let mut first = File::open(initrd).with_context(failed)?;
        io::copy(&mut first, both.as_file_mut()).with_context(failed)?;
        let mut second = io::Cursor::new(self.0.to_bytes());
        io::copy(&mut second, both.as_file_mut()).with_context(failed)?;
        Ok(both)
    }
}
