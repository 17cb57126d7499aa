//! What portreeve is told: the same configuration on every machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use portreeve_model::address::Prefix;

/// What portreeve is told.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The policy.
    pub policy: Policy,
    /// Its settings, as `--set` takes them.
    pub settings: BTreeMap<String, String>,
    /// Feeds that come from files, by name.
    pub feeds: BTreeMap<String, Vec<Prefix>>,
}

/// The program that decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Policy {
    /// One that portreeve carries.
    BuiltIn(String),
    /// The component in a file of this machine.
    Component(PathBuf),
}

/// What portreeve takes without a configuration.
impl Default for Policy {
    fn default() -> Self {
        Self::BuiltIn("strict-origin".to_owned())
    }
}

impl Policy {
    /// The policy that a word names: a path, from a folder, or a built-in's name. portreeve tells them
    /// apart in the same way.
    #[must_use]
    pub fn named(word: &str, folder: &Path) -> Self {
        if word.contains('/') || word.ends_with(".wasm") {
            Self::Component(folder.join(word))
        } else {
            Self::BuiltIn(word.to_owned())
        }
    }
}

/// The name of the configuration's file.
pub const CONFIGURATION: &str = "portreeve.toml";

impl Plan {
    /// The configuration and what it names, as files of a folder.
    ///
    /// # Errors
    /// When the policy cannot be read.
    pub fn files(&self, folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        let policy = match &self.policy {
            Policy::BuiltIn(name) => name.clone(),
            Policy::Component(path) => {
                let component = fs::read(path);
                let component = component.with_context(|| format!("policy {}", path.display()))?;
                let path = folder.join("policy.wasm");
                files.push((path.clone(), component));
                path.display().to_string()
            }
        };
        let mut configuration = format!("policy = {}\n", quoted(&policy));
        for (name, prefixes) in &self.feeds {
            let path = folder.join("feeds").join(name);
            let source = format!("file:{}", path.display());
            let (name, source) = (quoted(name), quoted(&source));
            configuration += &format!("[feeds.{name}]\nsource = {source}\n");
            let lines: String = prefixes.iter().map(|it| format!("{it}\n")).collect();
            files.push((path, lines.into_bytes()));
        }
        files.push((folder.join(CONFIGURATION), configuration.into_bytes()));
        Ok(files)
    }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losing this, an author's own policy would be looked for among the built-in ones, or one with a
    /// dot in its name nowhere.
    #[test]
    fn a_path_and_a_name_are_told_apart() {
        let folder = Path::new("/home/me");
        let component = |path: &str| Policy::Component(path.into());
        for (word, expected) in [
            ("strict-origin", Policy::BuiltIn("strict-origin".to_owned())),
            ("mine.wasm", component("/home/me/mine.wasm")),
            ("target/mine", component("/home/me/target/mine")),
            ("/opt/mine.wasm", component("/opt/mine.wasm")),
        ] {
            assert_eq!(Policy::named(word, folder), expected, "{word}");
        }
    }

    #[test]
    fn a_configuration_names_the_files_beside_it() {
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("mine.wasm"), b"\0asm").unwrap();
        let plan = Plan {
            policy: Policy::named("mine.wasm", here.path()),
            settings: BTreeMap::from([("ssh-port".to_owned(), "22".to_owned())]),
            feeds: BTreeMap::from([("office".to_owned(), vec!["192.0.2.0/24".parse().unwrap()])]),
        };
        let files = plan.files(Path::new("/etc/portreeve")).unwrap();
        let files: Vec<_> = files
            .iter()
            .map(|(path, bytes)| (path.to_str().unwrap(), std::str::from_utf8(bytes).unwrap()))
            .collect();
        let configuration = "policy = \"/etc/portreeve/policy.wasm\"\n[feeds.\"office\"]\n\
                             source = \"file:/etc/portreeve/feeds/office\"\n";
        assert_eq!(
            files,
            [
                ("/etc/portreeve/policy.wasm", "\0asm"),
                ("/etc/portreeve/feeds/office", "192.0.2.0/24\n"),
                ("/etc/portreeve/portreeve.toml", configuration),
            ]
        );
    }
}
