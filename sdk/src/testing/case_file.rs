//! Case files: what an operator sets, and what then becomes of which packets, and why.
//!
//! Read strictly: a key that is not known is an error, for it might have been the one that
//! mattered. Every error names the file, the line, what was found and what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use portreeve_model::address::{AddressSet, Family, Prefix};
use portreeve_model::description::{Description, FeedSpec};
use portreeve_model::diagnostic::{Quoted, Said};
use portreeve_model::inputs::{Feed, Inputs};
use portreeve_model::packet::Packet;
use portreeve_model::ruleset::Reject;
use portreeve_model::validate::Feeds;
use serde::Deserialize;
use toml::Spanned;

use super::value;
use crate::Refusal;

/// One case file, read.
///
/// ```
/// use portreeve_sdk::describe;
/// use portreeve_sdk::testing::{CaseFile, Expected};
///
/// let description = describe("example", "1", "An example.")
///     .port("ssh-port", 22, "where sshd listens")
///     .feed("cdn", "who may open HTTPS")
///     .build();
/// let text = r#"
///     [settings]
///     ssh-port = 22022
///
///     [feeds]
///     cdn = ["192.0.2.0/24", "2001:db8::/32"]
///
///     [[case]]
///     packet = "tcp 198.51.100.7 > 203.0.113.1:22022"
///     verdict = "accept"
///     by = "ssh"
///     why = "an operator who cannot log in cannot mend anything"
/// "#;
/// let file = CaseFile::parse("cases/example.toml", text, &description)?;
/// assert_eq!(file.inputs.feeds[0].ip_prefixes, 1);
/// assert!(matches!(file.expected, Expected::Packets(cases) if cases.len() == 1));
/// # Ok::<(), portreeve_sdk::testing::CaseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// Where it was read.
    pub path: PathBuf,
    /// What the policy gets.
    pub inputs: Inputs,
    /// The addresses of the feeds, for the sets of the draft.
    pub feeds: Feeds,
    /// What comes out.
    pub expected: Expected,
}

/// What a case file expects of a policy.
///
/// ```
/// use portreeve_sdk::describe;
/// use portreeve_sdk::testing::{CaseFile, Expected};
///
/// let description = describe("example", "1", "An example.").build();
/// let file = CaseFile::parse("a.toml", "refusal = 'holds no IPv6 prefix'", &description)?;
/// assert!(matches!(file.expected, Expected::Refusal(_)));
/// # Ok::<(), portreeve_sdk::testing::CaseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expected {
    /// It refuses to draft.
    Refusal(ExpectedRefusal),
    /// It drafts a rule set that does this.
    Packets(Vec<Case>),
}

/// A refusal that a case file expects: a part of its message, and perhaps its kind.
///
/// ```
/// use portreeve_sdk::describe;
/// use portreeve_sdk::testing::{CaseFile, Expected, ExpectedRefusal};
///
/// let description = describe("example", "1", "An example.").build();
/// let text = "refusal = { unsupported = 'no interface' }";
/// let file = CaseFile::parse("a.toml", text, &description)?;
/// let expected = ExpectedRefusal::Unsupported("no interface".to_owned());
/// assert_eq!(file.expected, Expected::Refusal(expected));
/// # Ok::<(), portreeve_sdk::testing::CaseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExpectedRefusal {
    /// `refusal = "…"`: of either kind, with a message that contains this.
    Either(String),
    /// `refusal = { inputs = "…" }`: one that the operator can mend.
    Inputs(String),
    /// `refusal = { unsupported = "…" }`: the policy does not know the situation.
    Unsupported(String),
}

impl ExpectedRefusal {
    /// Whether `refusal` is of the kind and its message contains the part.
    ///
    /// ```
    /// use portreeve_sdk::{Refusal, testing::ExpectedRefusal};
    ///
    /// let expected = ExpectedRefusal::Inputs("IPv6".to_owned());
    /// assert!(expected.is_met_by(&Refusal::inputs("no IPv6 prefix")));
    /// assert!(!expected.is_met_by(&Refusal::unsupported("no IPv6 prefix")));
    /// ```
    #[must_use]
    pub fn is_met_by(&self, refusal: &Refusal) -> bool {
        match (self, refusal) {
            (Self::Either(part) | Self::Inputs(part), Refusal::Inputs(message))
            | (Self::Either(part) | Self::Unsupported(part), Refusal::Unsupported(message)) => {
                message.contains(part)
            }
            (Self::Inputs(_), Refusal::Unsupported(_))
            | (Self::Unsupported(_), Refusal::Inputs(_)) => false,
        }
    }
}

impl fmt::Display for ExpectedRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Either(part) => write!(f, "`{part}`"),
            Self::Inputs(part) => write!(f, "`{part}` (inputs)"),
            Self::Unsupported(part) => write!(f, "`{part}` (unsupported)"),
        }
    }
}

/// One packet and what becomes of it.
///
/// ```
/// # use portreeve_sdk::describe;
/// # use portreeve_sdk::testing::{CaseFile, Expected};
/// # let description = describe("example", "1", "An example.").build();
/// # let text = "[[case]]
/// # packet = 'icmp echo-request 192.0.2.1 > 192.0.2.2'
/// # verdict = 'accept'
/// # why = 'people ping'";
/// # let file = CaseFile::parse("a.toml", text, &description)?;
/// if let Expected::Packets(cases) = file.expected {
///     assert_eq!(cases[0].why, "people ping");
/// }
/// # Ok::<(), portreeve_sdk::testing::CaseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Case {
    /// The line in the file where it begins.
    pub line: usize,
    /// The packet.
    pub packet: Packet,
    /// What becomes of it.
    pub verdict: ExpectedVerdict,
    /// The label of the rule that decides, or `chain policy`.
    pub by: Option<String>,
    /// What `reject` tells the sender.
    pub reject: Option<Reject>,
    /// Whether a line about it is logged.
    pub log: Option<Logging>,
    /// Every `limit` that it meets, in nft's words, as in a snapshot: no packet shows a number.
    pub limit: Option<String>,
    /// Every `log` that it meets, in nft's words, as in a snapshot.
    pub log_line: Option<String>,
    /// What somebody loses when it comes out otherwise.
    pub why: String,
}

/// What becomes of a packet, in one word.
///
/// ```
/// use portreeve_sdk::testing::ExpectedVerdict;
///
/// assert_eq!(ExpectedVerdict::Reject.to_string(), "reject");
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedVerdict {
    /// It is accepted, whatever a limit says.
    Accept,
    /// It is dropped in silence, whatever a limit says.
    Drop,
    /// It is dropped and its sender is told, whatever a limit says.
    Reject,
    /// A limit decides.
    Maybe,
}

impl fmt::Display for ExpectedVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::Maybe => "maybe",
        })
    }
}

/// Whether a packet is logged on its way, in one word.
///
/// ```
/// use portreeve_sdk::testing::Logging;
///
/// assert_eq!(Logging::Limited.to_string(), "limited");
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum Logging {
    /// No rule with a `log` statement matches.
    Never,
    /// One does, but a limit comes before it and may hold the line back.
    Limited,
    /// One does, and no limit comes before it.
    Always,
}

impl fmt::Display for Logging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Limited => "limited",
            Self::Always => "always",
        })
    }
}

/// Why a case file cannot be used.
///
/// ```
/// use portreeve_sdk::describe;
/// use portreeve_sdk::testing::CaseFile;
///
/// let description = describe("example", "1", "An example.").build();
/// let error = CaseFile::parse("a.toml", "\n[settings]\nssh = 22", &description).unwrap_err();
/// assert_eq!(error.to_string(), "a.toml:3: there is no setting `ssh`; the policy has none");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaseError {
    path: PathBuf,
    line: Option<usize>,
    message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for CaseError {}

/// A case file as TOML has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    settings: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    #[serde(default)]
    feeds: BTreeMap<Spanned<String>, Spanned<WrittenFeed>>,
    refusal: Option<WrittenRefusal>,
    #[serde(default)]
    case: Vec<Spanned<WrittenCase>>,
}

/// A part of a refusal's message, or that with the refusal's kind.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"PART\", `{ inputs = \"PART\" }` or `{ unsupported = \"PART\" }`"
)]
enum WrittenRefusal {
    Either(String),
    Kind(WrittenKind),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenKind {
    Inputs(String),
    Unsupported(String),
}

impl From<WrittenRefusal> for ExpectedRefusal {
    fn from(written: WrittenRefusal) -> Self {
        match written {
            WrittenRefusal::Either(part) => Self::Either(part),
            WrittenRefusal::Kind(WrittenKind::Inputs(part)) => Self::Inputs(part),
            WrittenRefusal::Kind(WrittenKind::Unsupported(part)) => Self::Unsupported(part),
        }
    }
}

/// The addresses of a feed: prefixes, or files that hold one prefix a line.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list of prefixes, or `{ files = [\"PATH\"] }`"
)]
enum WrittenFeed {
    Prefixes(Vec<String>),
    Files(WrittenFiles),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFiles {
    files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenCase {
    packet: Spanned<String>,
    verdict: ExpectedVerdict,
    by: Option<String>,
    reject: Option<Spanned<String>>,
    log: Option<Logging>,
    limit: Option<String>,
    log_line: Option<String>,
    why: String,
}

impl CaseFile {
    /// Reads every `*.toml` in `dir`, sorted by name.
    ///
    /// ```
    /// use portreeve_sdk::{describe, testing::CaseFile};
    ///
    /// let description = describe("example", "1", "An example.").build();
    /// let error = CaseFile::read_dir("no/such/folder".as_ref(), &description).unwrap_err();
    /// assert!(error.to_string().starts_with("no/such/folder: cannot be read"));
    /// ```
    ///
    /// # Errors
    /// When the folder or a file cannot be read, a file is not a case file, or there is none.
    pub fn read_dir(dir: &Path, description: &Description) -> Result<Vec<Self>, CaseError> {
        let unreadable = |error: &std::io::Error| CaseError {
            path: dir.to_owned(),
            line: None,
            message: format!("cannot be read: {error}"),
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|error| unreadable(&error))? {
            let path = entry.map_err(|error| unreadable(&error))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(CaseError {
                path: dir.to_owned(),
                line: None,
                message: "holds no case file, `*.toml`".to_owned(),
            });
        }
        paths.sort();
        paths
            .iter()
            .map(|path| Self::read(path, description))
            .collect()
    }

    /// Reads one case file.
    ///
    /// ```
    /// use portreeve_sdk::{describe, testing::CaseFile};
    ///
    /// let description = describe("example", "1", "An example.").build();
    /// assert!(CaseFile::read("no/such.toml".as_ref(), &description).is_err());
    /// ```
    ///
    /// # Errors
    /// When it cannot be read or is not a case file for this description.
    pub fn read(path: &Path, description: &Description) -> Result<Self, CaseError> {
        let text = std::fs::read_to_string(path).map_err(|error| CaseError {
            path: path.to_owned(),
            line: None,
            message: format!("cannot be read: {error}"),
        })?;
        Self::parse(path, &text, description)
    }

    /// The case file whose text is `text`. Files that it names are looked up beside `path`.
    ///
    /// ```
    /// use portreeve_sdk::{describe, testing::CaseFile};
    ///
    /// let description = describe("example", "1", "An example.").build();
    /// let error = CaseFile::parse("a.toml", "cases = 1", &description).unwrap_err();
    /// assert!(error.to_string().starts_with("a.toml:1: unknown field `cases`, expected one of"));
    /// ```
    ///
    /// # Errors
    /// When it is not a case file for this description.
    pub fn parse(
        path: impl AsRef<Path>,
        text: &str,
        description: &Description,
    ) -> Result<Self, CaseError> {
        let reader = Reader {
            path: path.as_ref(),
            text,
            description,
        };
        let written: Written = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| reader.line(span.start));
            let message = error.message().replace('\n', " ");
            reader.error_at(line, Said(&message).to_string())
        })?;
        let mut inputs = super::inputs(description);
        reader.settings(&written, &mut inputs)?;
        let feeds = reader.feeds(&written, &mut inputs)?;
        let expected = reader.expected(written)?;
        let path = path.as_ref().to_owned();
        Ok(Self {
            path,
            inputs,
            feeds,
            expected,
        })
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    description: &'a Description,
}

impl Reader<'_> {
    /// The line, counted from 1, on which the byte at `offset` stands.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn error_at(&self, line: Option<usize>, message: String) -> CaseError {
        let path = self.path.to_owned();
        CaseError {
            path,
            line,
            message,
        }
    }

    fn error<T>(&self, place: &Spanned<T>, message: String) -> CaseError {
        self.error_at(Some(self.line(place.span().start)), message)
    }

    fn settings(&self, written: &Written, inputs: &mut Inputs) -> Result<(), CaseError> {
        for (name, found) in &written.settings {
            let specs = &self.description.settings;
            let place = specs.iter().position(|spec| spec.name == *name.get_ref());
            let Some(place) = place else {
                let names = specs.iter().map(|spec| spec.name.as_str());
                return Err(self.error(name, unknown("setting", name.get_ref(), names)));
            };
            inputs.settings[place].value = value::read(&specs[place], found.get_ref())
                .map_err(|message| self.error(found, format!("{}: {message}", name.get_ref())))?;
        }
        Ok(())
    }

    fn feeds(&self, written: &Written, inputs: &mut Inputs) -> Result<Feeds, CaseError> {
        let specs = &self.description.feeds;
        for name in written.feeds.keys() {
            if specs.iter().all(|spec| spec.name != *name.get_ref()) {
                let names = specs.iter().map(|spec| spec.name.as_str());
                return Err(self.error(name, unknown("feed", name.get_ref(), names)));
            }
        }
        let mut feeds = Vec::with_capacity(specs.len());
        for (spec, summary) in specs.iter().zip(&mut inputs.feeds) {
            let Some(written) = written.feeds.get(spec.name.as_str()) else {
                let message = format!("feed `{}` is missing; `[]` is an empty one", spec.name);
                return Err(self.error_at(None, message));
            };
            let addresses = self.feed(written)?;
            *summary = summary_of(spec, &addresses);
            feeds.push((spec.name.clone(), addresses));
        }
        Ok(feeds.into_iter().collect())
    }

    fn feed(&self, written: &Spanned<WrittenFeed>) -> Result<AddressSet, CaseError> {
        let texts = match written.get_ref() {
            WrittenFeed::Prefixes(texts) => texts.clone(),
            WrittenFeed::Files(WrittenFiles { files }) => {
                let mut lines = Vec::new();
                for file in files {
                    let beside = self.path.with_file_name("").join(file);
                    let text = std::fs::read_to_string(&beside).map_err(|error| {
                        self.error(written, format!("{}: {error}", beside.display()))
                    })?;
                    lines.extend(
                        text.lines()
                            .map(str::to_owned)
                            .filter(|line| !line.is_empty()),
                    );
                }
                lines
            }
        };
        let prefix = |text: &String| {
            let parsed = text.parse::<Prefix>();
            parsed.map_err(|error| self.error(written, format!("{}: {error}", Quoted(text))))
        };
        texts.iter().map(prefix).collect()
    }

    fn expected(&self, written: Written) -> Result<Expected, CaseError> {
        match (written.refusal, written.case) {
            (Some(refusal), cases) if cases.is_empty() => Ok(Expected::Refusal(refusal.into())),
            (Some(_), _) => {
                let message = "a policy that refuses has no cases; remove one of the two";
                Err(self.error_at(None, message.to_owned()))
            }
            (None, cases) if cases.is_empty() => {
                let message = "there is neither a `[[case]]` nor a `refusal`";
                Err(self.error_at(None, message.to_owned()))
            }
            (None, cases) => {
                let cases: Result<_, _> = cases.into_iter().map(|case| self.case(case)).collect();
                Ok(Expected::Packets(cases?))
            }
        }
    }

    fn case(&self, written: Spanned<WrittenCase>) -> Result<Case, CaseError> {
        let case = written.into_inner();
        let packet = case.packet.get_ref().parse();
        let packet = packet.map_err(|error| self.error(&case.packet, format!("{error}")))?;
        if case.why.trim().is_empty() {
            let message = "`why` is empty; say what somebody loses when it comes out otherwise";
            return Err(self.error(&case.packet, message.to_owned()));
        }
        let reject = case
            .reject
            .as_ref()
            .map(|kind| self.reject(kind, case.verdict));
        Ok(Case {
            line: self.line(case.packet.span().start),
            packet,
            verdict: case.verdict,
            by: case.by,
            reject: reject.transpose()?,
            log: case.log,
            limit: case.limit,
            log_line: case.log_line,
            why: case.why,
        })
    }

    fn reject(
        &self,
        kind: &Spanned<String>,
        verdict: ExpectedVerdict,
    ) -> Result<Reject, CaseError> {
        if matches!(verdict, ExpectedVerdict::Accept | ExpectedVerdict::Drop) {
            let message = format!("with the verdict {verdict} nobody is told; remove `reject`");
            return Err(self.error(kind, message));
        }
        let found = kind.get_ref();
        let known = Reject::ALL
            .into_iter()
            .find(|known| known.to_string() == *found);
        known.ok_or_else(|| {
            let known = Reject::ALL.map(|kind| kind.to_string()).join(", ");
            self.error(
                kind,
                format!("reject: found {}, allowed is {known}", Quoted(found)),
            )
        })
    }
}

fn unknown<'a>(what: &str, found: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    format!(
        "there is no {what} {}; the policy has {known}",
        Quoted(found)
    )
}

fn summary_of(spec: &FeedSpec, addresses: &AddressSet) -> Feed {
    let prefixes = |family: Family| {
        let intervals = addresses.of(family).iter();
        intervals.flat_map(move |interval| Prefix::covering(family, *interval))
    };
    let count = |family| prefixes(family).count() as u64;
    Feed {
        name: spec.name.clone(),
        ip_prefixes: count(Family::Ip),
        ip6_prefixes: count(Family::Ip6),
        digest: "0".repeat(64),
        age: None,
        elements: spec
            .needs_elements
            .then(|| Family::BOTH.into_iter().flat_map(prefixes).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let description = describe("example", "1", "An example.")
            .port("ssh-port", 22, "where sshd listens")
            .feed("cdn", "who may open HTTPS")
            .build();
        let found = CaseFile::parse("a.toml", text, &description);
        assert_eq!(found.unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_mistake_in_a_case_file_is_found_where_it_stands() {
        check(
            "refusal = 'x'",
            "a.toml: feed `cdn` is missing; `[]` is an empty one",
        );
        check(
            "[feeds]\ncdn = []\ncnd = []",
            "a.toml:3: there is no feed `cnd`; the policy has `cdn`",
        );
        check(
            "[feeds]\ncdn = ['192.0.2.1/24']",
            "a.toml:2: `192.0.2.1/24`: bits are set after the prefix length; \
             the prefix is 192.0.2.0/24",
        );
        check(
            "[feeds]\ncdn = 5",
            "a.toml:2: expected a list of prefixes, or `{ files = [\"PATH\"] }`",
        );
        check(
            "[settings]\nssh-port = 0\n[feeds]\ncdn = []",
            "a.toml:2: ssh-port: found 0, allowed is a port from 1 to 65535",
        );
        check(
            "[feeds]\ncdn = []",
            "a.toml: there is neither a `[[case]]` nor a `refusal`",
        );
    }

    #[test]
    fn a_kind_of_reject_is_one_that_nft_knows() {
        let case = |verdict: &str, kind: &str| {
            format!(
                "feeds.cdn = []\n[[case]]\npacket = 'tcp ::1 > [::1]:22'\nverdict = '{verdict}'\n\
                 reject = '{kind}'\nwhy = 'x'"
            )
        };
        check(
            &case("reject", "reset"),
            "a.toml:5: reject: found `reset`, allowed is icmpx type port-unreachable, icmpx type \
             admin-prohibited, icmpx type host-unreachable, icmpx type no-route, tcp reset",
        );
        check(
            &case("drop", "tcp reset"),
            "a.toml:5: with the verdict drop nobody is told; remove `reject`",
        );
    }

    #[test]
    fn a_misspelt_key_does_not_make_a_case_pass() {
        let case = |key: &str, packet: &str| {
            format!("feeds.cdn = []\n[[case]]\npacket = '{packet}'\nverdict = 'drop'\n{key} = 'x'")
        };
        check(
            &case("wy", "tcp ::1 > [::1]:22"),
            "a.toml:5: unknown field `wy`, expected one of `packet`, `verdict`, `by`, \
             `reject`, `log`, `limit`, `log-line`, `why`",
        );
        check(
            &case("why", "tcp ::1 > ::1"),
            "a.toml:3: the destination has no port; write ADDRESS:PORT",
        );
    }
}
