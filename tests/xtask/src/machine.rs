//! What this machine has.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::step::{cargo, program};

/// The target that policies are compiled for.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// The target of the static binary.
pub(crate) const MUSL: &str = "x86_64-unknown-linux-musl";

/// What this machine has, asked when it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine;

impl Machine {
    /// Whether this process may install packages.
    pub(crate) fn is_root(self) -> bool {
        fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
    }

    /// Whether packages come from Debian's `apt-get`.
    pub(crate) fn has_apt(self) -> bool {
        self.has_tool("apt-get")
    }

    /// Whether `apt-get` has ever fetched what it can install.
    pub(crate) fn has_package_lists(self) -> bool {
        let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten();
        let mut names = lists.flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().contains("_Packages"))
    }

    pub(crate) fn has_tool(self, name: &str) -> bool {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(name).is_file())
    }

    /// Whether this compiler is here, with a C library's headers.
    pub(crate) fn compiles_c(self, compiler: &str) -> bool {
        let look = ["-E", "-include", "stdlib.h", "-x", "c", "/dev/null"];
        program(Path::new(compiler)).args(&look).works()
    }

    pub(crate) fn has_rustup(self) -> bool {
        program(Path::new("rustup")).args(&["--version"]).works()
    }

    pub(crate) fn has_nextest(self) -> bool {
        cargo(&["nextest", "--version"]).works()
    }

    pub(crate) fn has_cargo_command(self, name: &str) -> bool {
        cargo(&[name, "--version"]).works()
    }

    /// Whether a policy can be compiled: with a standard library for wasm, or with its source.
    pub(crate) fn compiles_to_wasm(self) -> bool {
        let library = program(Path::new("rustc"))
            .args(&["--print", "target-libdir", "--target", WASM])
            .prints();
        let compiled = library.is_some_and(|path| Path::new(&path).is_dir());
        compiled || self.has_debian_wasm()
    }

    /// Whether the distribution's compiler has the source of the standard library, and a linker
    /// that knows wasm: what `portreeve-build` looks for.
    fn has_debian_wasm(self) -> bool {
        let asked = |arguments: &[&str]| {
            program(Path::new("/usr/bin/rustc"))
                .args(arguments)
                .prints()
        };
        let source = asked(&["--print", "sysroot"]).is_some_and(|sysroot| {
            Path::new(&sysroot)
                .join("lib/rustlib/src/rust/library/Cargo.lock")
                .is_file()
        });
        let beside_library = asked(&["--print", "target-libdir"])
            .is_some_and(|library| Path::new(&library).with_file_name("bin/rust-lld").is_file());
        source && (beside_library || Path::new("/usr/bin/wasm-ld").is_file())
    }
}
