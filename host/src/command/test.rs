//! `portreeve test`: tries scenarios, by becoming the program that does. What comes of them, and how that
//! ends, it says itself.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use crate::apply::nft::become_harness;
use crate::cli::{Format, Options, Test};
use crate::report::Failure;

/// The program that tries scenarios.
const HARNESS: &str = "portreeve-harness";

/// Returns only where that program cannot be started.
pub(super) fn run(arguments: &Test, options: &Options) -> Failure {
    if options.config.is_some() || !options.settings.is_empty() {
        return Failure::usage(
            "--config and --set are given, but a scenario says its policy and settings itself",
            "write `policy` and `[settings]` in its file",
        );
    }
    let own = match env::current_exe() {
        Ok(own) => own,
        Err(error) => return Failure::no_harness(&error),
    };
    let Some(harness) = find(&own, env::var_os("PATH")) else {
        let beside = own.parent().unwrap_or(Path::new("/")).display();
        let message = format!("{HARNESS} is neither in {beside} nor in PATH");
        return Failure::no_harness(&std::io::Error::other(message));
    };
    let error = become_harness(&harness, &words(arguments, options, &own));
    Failure::no_harness(&error)
}

/// The program beside this one, or else the first of its name in `PATH`.
fn find(own: &Path, path: Option<OsString>) -> Option<PathBuf> {
    let folder = own.parent().map(Path::to_path_buf);
    let path = path.unwrap_or_default();
    let folders = folder.into_iter().chain(env::split_paths(&path));
    let mut candidates = folders.map(|folder| folder.join(HARNESS));
    candidates.find(|candidate| candidate.is_file())
}

/// What it is told: which portreeve is tested, and what somebody asked this one.
fn words(arguments: &Test, options: &Options, own: &Path) -> Vec<OsString> {
    let tier = arguments.on.to_possible_value();
    let tier = tier.expect("every tier has a name");
    // What is asked for and cannot be tried is no success.
    let mut words: Vec<OsString> = ["--require", "--on", tier.get_name()]
        .map(OsString::from)
        .to_vec();
    words.extend(["--portreeve".into(), own.into()]);
    for kernel in &arguments.kernels {
        words.extend(["--kernel".into(), kernel.into()]);
    }
    if let Some(junit) = &arguments.junit {
        words.extend(["--junit".into(), junit.into()]);
    }
    if options.format == Format::Json {
        words.push("--json".into());
    }
    // A file that is called like an option or a command is a file all the same.
    words.extend(
        arguments
            .files
            .iter()
            .map(|file| Path::new(".").join(file).into()),
    );
    words
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn told(line: &str) -> String {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Test(arguments) = &cli.command else {
            panic!("{line}");
        };
        let words = words(arguments, &cli.options, Path::new("/bin/portreeve"));
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    }

    /// Losing this, another portreeve than the one that was called would be tested, or elsewhere.
    #[test]
    fn what_is_asked_is_passed_on() {
        assert_eq!(
            told("portreeve test mine.toml"),
            "--require --on model --portreeve /bin/portreeve ./mine.toml"
        );
        assert_eq!(
            told("portreeve test --on vm --kernel 6.1 --junit out --format json fetch /a"),
            "--require --on vm --portreeve /bin/portreeve --kernel 6.1 --junit out --json ./fetch /a"
        );
    }

    #[test]
    fn the_harness_beside_this_program_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let [beside, elsewhere] = ["beside", "elsewhere"].map(|it| folder.path().join(it));
        for place in [&beside, &elsewhere] {
            fs::create_dir(place).unwrap();
            fs::write(place.join(HARNESS), "").unwrap();
        }
        let own = beside.join("portreeve");
        let path = Some(elsewhere.clone().into_os_string());
        assert_eq!(find(&own, path.clone()), Some(beside.join(HARNESS)));
        fs::remove_file(beside.join(HARNESS)).unwrap();
        assert_eq!(find(&own, path), Some(elsewhere.join(HARNESS)));
        assert_eq!(find(&own, None), None);
    }
}
