//! Snapshots: the rule set of each case file as nft text, so that a reviewer sees what changed.

use std::collections::BTreeMap;
use std::path::Path;

use portreeve_model::ruleset::text::Elements;

use super::{Expected, case_files, ruleset_of};
use crate::Policy;

/// Set this variable in the environment, and [`assert_snapshots`] writes what it would compare.
///
/// ```
/// use portreeve_sdk::testing::UPDATE_VARIABLE;
///
/// assert_eq!(UPDATE_VARIABLE, "PORTREEVE_UPDATE_SNAPSHOTS");
/// ```
pub const UPDATE_VARIABLE: &str = "PORTREEVE_UPDATE_SNAPSHOTS";

/// Compares the rule set that `P` drafts for each case file in `cases` with `NAME.nft` in
/// `snapshots`. A snapshot without a case file is a mistake too.
///
/// ```
/// # use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
/// # use portreeve_sdk::{describe, draft, rule};
/// # struct SshOnly;
/// # impl Policy for SshOnly {
/// #     fn describe() -> Description { describe("ssh-only", "1", "SSH only.").build() }
/// #     fn decide(_: &Inputs) -> Result<Draft, Refusal> {
/// #         let ssh = rule("ssh").tcp_dport(22).accept();
/// #         Ok(draft([Chain::input(ChainPolicy::Drop).rule(ssh)]))
/// #     }
/// # }
/// # let dir = std::env::temp_dir().join(format!("portreeve-doc-snap-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let case = "[[case]]\npacket = 'tcp ::1 > [::1]:22'\nverdict = 'accept'\nwhy = 'ssh'";
/// # std::fs::write(dir.join("default.toml"), case)?;
/// # let snapshot = [
/// #     "table inet portreeve {",
/// #     "\tchain input {",
/// #     "\t\ttype filter hook input priority 0; policy drop;",
/// #     "\t\ttcp dport 22 accept comment \"ssh\"",
/// #     "\t}",
/// #     "}",
/// #     "",
/// # ];
/// # std::fs::write(dir.join("default.nft"), snapshot.join("\n"))?;
/// portreeve_sdk::testing::assert_snapshots::<SshOnly>(&dir, &dir);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// When a snapshot differs, is missing, or is left over.
pub fn assert_snapshots<P: Policy>(cases: impl AsRef<Path>, snapshots: impl AsRef<Path>) {
    let snapshots = snapshots.as_ref();
    let drafted = drafted::<P>(cases.as_ref());
    if std::env::var_os(UPDATE_VARIABLE).is_some() {
        for (name, text) in &drafted {
            let path = snapshots.join(name);
            std::fs::write(&path, text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    for (name, text) in &drafted {
        let path = snapshots.join(name);
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(difference) = first_difference(&kept, text) {
            panic!(
                "{}: {difference}\nset {UPDATE_VARIABLE}=1 to accept it, then review the change",
                path.display()
            );
        }
    }
    let entries = std::fs::read_dir(snapshots)
        .unwrap_or_else(|error| panic!("{}: {error}", snapshots.display()));
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let left_over = name.ends_with(".nft") && !drafted.contains_key(&name);
        assert!(
            !left_over,
            "{}: no case file drafts it",
            entry.path().display()
        );
    }
}

/// The rule set of each case file that expects one, by the name of its snapshot.
fn drafted<P: Policy>(cases: &Path) -> BTreeMap<String, String> {
    let mut drafted = BTreeMap::new();
    for file in case_files::<P>(cases) {
        if matches!(file.expected, Expected::Refusal(_)) {
            continue;
        }
        let ruleset = ruleset_of::<P>(&file);
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        drafted.insert(
            format!("{stem}.nft"),
            ruleset.to_nft("portreeve", Elements::All),
        );
    }
    drafted
}

/// The first line in which two texts differ.
fn first_difference(kept: &str, found: &str) -> Option<String> {
    if kept == found {
        return None;
    }
    let mut lines = (1..).zip(kept.lines().zip(found.lines()));
    Some(match lines.find(|(_, (kept, found))| kept != found) {
        Some((number, (kept, found))) => {
            format!("line {number} differs\n  kept   {kept}\n  found  {found}")
        }
        None => format!(
            "{} lines kept, {} found",
            kept.lines().count(),
            found.lines().count()
        ),
    })
}
