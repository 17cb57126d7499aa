//! Components that were compiled before.
//!
//! What lies here is machine code that this process runs, outside any sandbox. So nothing is read
//! from a place where anybody but root or this user could have written.

use std::fs::{self, DirBuilder, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;

use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::durable::write_new;

/// Write permission for the group or for all.
const OTHERS_WRITE: u32 = 0o022;

/// What lets only the owner of a file rename it, in `/tmp` for one.
const STICKY: u32 = 0o1000;

/// A directory of compiled components, each named by what it was compiled from and for.
#[derive(Clone, Debug)]
pub struct Cache(Option<PathBuf>);

/// Why the cache cannot be used. Everything works without it, only slower.
#[derive(Debug, Error)]
pub enum CacheError {
    /// None was asked for.
    #[error("no cache is configured")]
    Off,
    /// The system refuses.
    #[error("cache `{}` cannot be used", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody else could have put machine code there.
    #[error("`{}` can be changed by others than root and this user", path.display())]
    NotOurs {
        /// The file or directory.
        path: PathBuf,
    },
    /// The engine cannot say what it compiled.
    #[error("the compiled component cannot be kept: {0}")]
    Engine(String),
}

impl Cache {
    /// The cache in `directory`, which is made when something is first kept.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(Some(directory.into()))
    }

    /// No cache: components are compiled at every start.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// What was compiled of the component with this digest, by this engine.
    pub(super) fn get(
        &self,
        engine: &Engine,
        digest: &str,
    ) -> Result<Option<Component>, CacheError> {
        let directory = self.0.as_ref().ok_or(CacheError::Off)?;
        let path = directory.join(file_name(engine, digest));
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CacheError::Io { path, source }),
        };
        check_directory(directory)?;
        let mut compiled = Vec::new();
        let metadata = file
            .metadata()
            .and_then(|metadata| file.read_to_end(&mut compiled).map(|_| metadata))
            .map_err(|source| CacheError::Io {
                path: path.clone(),
                source,
            })?;
        if !metadata.is_file() || !ours(&metadata)? || metadata.mode() & OTHERS_WRITE != 0 {
            return Err(CacheError::NotOurs { path });
        }
        // SAFETY: only root and this user can have written the file, in a directory that only
        // they can change, and `put` writes nothing but what the engine has compiled.
        #[expect(unsafe_code, reason = "machine code is loaded")]
        let component = unsafe { Component::deserialize(engine, &compiled) };
        // One that does not load, cut off by a full disk perhaps, is compiled and written again.
        Ok(component.ok())
    }

    /// Keeps what was compiled. A reader finds the whole file or none.
    pub(super) fn put(
        &self,
        engine: &Engine,
        digest: &str,
        component: &Component,
    ) -> Result<(), CacheError> {
        let directory = self.0.as_ref().ok_or(CacheError::Off)?;
        let compiled = component
            .serialize()
            .map_err(|error| CacheError::Engine(error.to_string()))?;
        let io = |source| CacheError::Io {
            path: directory.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io)?;
        check_directory(directory)?;
        let name = file_name(engine, digest);
        let unfinished = directory.join(format!("{name}.{}", process::id()));
        let written = write_new(&unfinished, |file| file.write_all(&compiled))
            .and_then(|()| fs::rename(&unfinished, directory.join(name)));
        written.map_err(|source| {
            // Whatever the reason was, nothing half-written stays; that it cannot be removed
            // either would tell nothing new.
            let _ = fs::remove_file(&unfinished);
            io(source)
        })
    }
}

/// Engines of another version or configuration look for another file.
fn file_name(engine: &Engine, digest: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.cwasm", hasher.finish())
}
/// Whether only root and this user can change what the directory holds, or put another directory
/// in its place.
fn check_directory(directory: &Path) -> Result<(), CacheError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CacheError::Io { path, source }
    };
    let real = fs::canonicalize(directory).map_err(io(directory))?;
    for (height, path) in real.ancestors().enumerate() {
        let metadata = fs::symlink_metadata(path).map_err(io(path))?;
        let shared = metadata.mode() & OTHERS_WRITE != 0;
        let harmless = height > 0 && metadata.mode() & STICKY != 0;
        if !ours(&metadata)? || (shared && !harmless) {
            let path = path.to_owned();
            return Err(CacheError::NotOurs { path });
        }
    }
    Ok(())
}

/// Whether the owner is root or this user.
fn ours(metadata: &Metadata) -> Result<bool, CacheError> {
    // The owner of this directory is the effective user.
    let myself = Path::new("/proc/self");
    let me = fs::metadata(myself).map_err(|source| CacheError::Io {
        path: myself.to_owned(),
        source,
    })?;
    Ok(metadata.uid() == 0 || metadata.uid() == me.uid())
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs::OpenOptions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::policy::engine::config;

    const DIGEST: &str = "0123";

    /// A directory that is gone when the test is over.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("portreeve-cache-{name}-{}", process::id()));
            DirBuilder::new().mode(0o700).create(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn engine() -> Engine {
        Engine::new(&config(None).unwrap()).unwrap()
    }

    fn empty_component(engine: &Engine) -> Component {
        Component::new(engine, b"\0asm\x0d\0\x01\0").unwrap()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_was_kept_is_found_by_the_same_engine_only() {
        let directory = Directory::new("kept");
        let (cache, engine) = (Cache::new(directory.0.join("made")), engine());
        assert!(cache.get(&engine, DIGEST).unwrap().is_none());
        cache
            .put(&engine, DIGEST, &empty_component(&engine))
            .unwrap();
        assert!(cache.get(&engine, DIGEST).unwrap().is_some());
        assert!(cache.get(&engine, "4567").unwrap().is_none());
        let other = Engine::new(config(None).unwrap().consume_fuel(false)).unwrap();
        assert!(cache.get(&other, DIGEST).unwrap().is_none());
        let files = fs::read_dir(directory.0.join("made")).unwrap().count();
        assert_eq!(files, 1, "nothing unfinished stays");
    }

    #[test]
    fn code_that_others_could_have_written_is_not_run() {
        let directory = Directory::new("shared");
        let (inner, engine) = (directory.0.join("inner"), engine());
        let cache = Cache::new(&inner);
        cache
            .put(&engine, DIGEST, &empty_component(&engine))
            .unwrap();
        let file = inner.join(file_name(&engine, DIGEST));
        for (path, mode) in [
            (&directory.0, 0o777),
            (&inner, 0o770),
            (&inner, 0o1777),
            (&file, 0o620),
        ] {
            let before = fs::metadata(path).unwrap().permissions().mode();
            set_mode(path, mode);
            let found = cache.get(&engine, DIGEST).map(|_| ());
            set_mode(path, before);
            assert!(matches!(found, Err(CacheError::NotOurs { path: ref named }) if named == path));
        }
        // Where only owners can rename, a shared directory above does no harm.
        set_mode(&directory.0, 0o1777);
        assert!(cache.get(&engine, DIGEST).unwrap().is_some());
    }

    #[test]
    fn a_file_that_was_cut_off_is_compiled_again() {
        let directory = Directory::new("cut");
        let (cache, engine) = (Cache::new(&directory.0), engine());
        cache
            .put(&engine, DIGEST, &empty_component(&engine))
            .unwrap();
        let file = directory.0.join(file_name(&engine, DIGEST));
        let half = fs::metadata(&file).unwrap().len() / 2;
        OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(half)
            .unwrap();
        assert!(cache.get(&engine, DIGEST).unwrap().is_none());
    }
}
