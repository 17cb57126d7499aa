//! The dependency rules of `host/docs/architecture.md`, as functions of values.
//!
//! [`Project::read`] takes the tree in; [`check`] never looks at anything else, so a test can
//! change one value and see the rule that it breaks.

mod code;
mod crates;
mod document;
mod modules;
mod read;
mod sources;
mod values;

pub use code::{Code, Mention};

use std::collections::BTreeSet;
use std::fmt;

/// Every rule that is checked.
pub const RULES: [&str; 12] = [
    "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12",
];

/// Where the rules are written down.
pub const DOCUMENT: &str = "host/docs/architecture.md";

/// All that the rules speak about.
#[derive(Clone, Debug)]
pub struct Project {
    /// The packages of the workspace.
    pub packages: Vec<Package>,
    /// Every Rust file.
    pub sources: Vec<Source>,
    /// Every file and folder, relative to the root.
    pub paths: BTreeSet<String>,
    /// The text of [`DOCUMENT`].
    pub document: String,
}

/// A package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder, relative to the root.
    pub folder: String,
    /// The packages it depends on to be built; what its own tests need is not among them.
    pub dependencies: Vec<String>,
}

/// A Rust file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path, relative to the root.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A rule that is broken.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Violation {
    /// Which one.
    pub rule: &'static str,
    /// A package, or a file with a line.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule, self.place, self.message)
    }
}

/// Every rule that is broken anywhere, sorted.
#[must_use]
pub fn check(project: &Project) -> Vec<Violation> {
    let code: Vec<Code> = project.sources.iter().map(Code::of).collect();
    let mut found = crates::check(&project.packages);
    found.extend(sources::check(&code));
    found.extend(modules::check(&code));
    found.extend(values::check(&code));
    found.extend(document::check(project, &code));
    found.sort();
    found
}
