//! From the packages that a half is named by to all that it is made of.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::fetch::apt::Apt;
use crate::fetch::lock::{Package, Pinned};
use crate::kernels::{Half, Kind};

/// What a kernel and its modules are in. All else that a kernel's package depends on makes a
/// machine start from a disk.
const KERNEL_PACKAGES: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// A package of so few KiB holds nothing: it only leads to others.
const EMPTY_KIB: u32 = 20;

/// The newest version of everything that `half` is made of.
pub(super) fn resolve(apt: &Apt, half: &Half) -> Result<Pinned> {
    let mut known: BTreeSet<String> = half.packages.iter().cloned().collect();
    let mut version = None;
    let mut packages = Vec::new();
    let mut wave = half.packages.clone();
    while !wave.is_empty() {
        let text = apt.describe(&wave)?;
        let entries: BTreeMap<&str, Entry> = text
            .split("\n\n")
            .map(Entry::read)
            .map(|entry| (entry.get("Package"), entry))
            .collect();
        let mut next = Vec::new();
        for name in &wave {
            let entry = entries.get(name.as_str());
            let entry = entry.with_context(|| format!("suite `{}` lacks {name}", half.suite))?;
            let wanted = entry.depends().filter(|depended| match half.kind {
                Kind::Kernel => KERNEL_PACKAGES
                    .iter()
                    .any(|prefix| depended.starts_with(prefix)),
                Kind::Userland | Kind::System => true,
            });
            next.extend(wanted.filter(|depended| known.insert((*depended).to_owned())));
            version = version.or(Some(entry.get("Version").to_owned()));
            packages.extend(entry.holds_something().then(|| entry.package()));
        }
        wave = next.into_iter().map(str::to_owned).collect();
    }
    packages.sort();
    Ok(Pinned {
        name: half.name.clone(),
        architecture: half.architecture,
        suite: half.suite.clone(),
        version: version.unwrap_or_default(),
        packages,
    })
}

/// What an index says about one package.
struct Entry<'a> {
    fields: BTreeMap<&'a str, &'a str>,
}

impl<'a> Entry<'a> {
    fn read(text: &'a str) -> Self {
        // What continues a field begins with a space; no field that is read here goes on.
        let lines = text.lines().filter(|line| !line.starts_with(' '));
        Self {
            fields: lines.filter_map(|line| line.split_once(": ")).collect(),
        }
    }

    fn get(&self, field: &str) -> &'a str {
        self.fields.get(field).copied().unwrap_or_default()
    }

    fn package(&self) -> Package {
        Package {
            name: self.get("Package").to_owned(),
            version: self.get("Version").to_owned(),
            architecture: self.get("Architecture").to_owned(),
            sha256: self.get("SHA256").to_owned(),
        }
    }

    fn holds_something(&self) -> bool {
        let size = self.get("Installed-Size").parse::<u32>();
        size.is_ok_and(|size| size > EMPTY_KIB)
    }

    /// The packages that it cannot be without; of alternatives, the preferred one.
    fn depends(&self) -> impl Iterator<Item = &'a str> {
        let fields = ["Pre-Depends", "Depends"].into_iter();
        let depended = fields.flat_map(|field| self.get(field).split(','));
        depended
            .filter_map(|one| one.trim().split([' ', ':', '|']).next())
            .filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_a_package_and_what_it_depends_on() {
        let entry = Entry::read(
            "Package: nftables\nVersion: 1.0.6-2\nArchitecture: amd64\nInstalled-Size: 180\n\
             Depends: libnftables1 (= 1.0.6-2), perl:any, libedit2|libedit3\n\
             Pre-Depends: libc6 (>= 2.36)\n\
             Description: packets\n Depends: nothing\nSHA256: 0f\n",
        );
        let expected = Package {
            name: "nftables".to_owned(),
            version: "1.0.6-2".to_owned(),
            architecture: "amd64".to_owned(),
            sha256: "0f".to_owned(),
        };
        assert_eq!(entry.package(), expected);
        assert!(entry.holds_something());
        let depends: Vec<&str> = entry.depends().collect();
        assert_eq!(depends, ["libc6", "libnftables1", "perl", "libedit2"]);
        let leading = Entry::read("Package: linux\nInstalled-Size: 13\n");
        assert_eq!(leading.depends().count(), 0);
        assert!(!leading.holds_something());
    }
}
