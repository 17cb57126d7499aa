//! A round in a file: rules as nft text, packets as hexadecimal, and what the kernel did.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::arena::INTERFACES;
use crate::judge::Judgement;
use crate::shots::{Entry, Salvo, Shot};

/// A round that is worth keeping.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub shows: String,
    /// Whether kernel and model differ: then the ledger says so, and that they agree is an error.
    #[serde(default)]
    pub differs: bool,
    /// The rules, as nft text.
    pub rules: String,
    /// Packets before the rules are loaded.
    #[serde(default)]
    pub before: Vec<String>,
    /// Packets that the rules see.
    pub packets: Vec<String>,
    /// For each packet, the hooks that it passed.
    pub passed: Vec<String>,
}

impl Case {
    /// The case in a file.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| {
            io::Error::other(format!("{}: {error}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        toml::from_str(&text).map_err(|error| wrong(&error))
    }

    /// Its packets.
    ///
    /// # Errors
    /// When a line is no packet.
    pub fn salvo(&self) -> io::Result<Salvo> {
        let shots = |lines: &[String]| -> io::Result<Vec<Shot>> {
            lines.iter().map(|line| shot(line)).collect()
        };
        Ok(Salvo {
            before: shots(&self.before)?,
            shots: shots(&self.packets)?,
        })
    }

    /// What is wrong when the round ends with this judgement, each in a line.
    #[must_use]
    pub fn complaints(&self, judgement: &Judgement) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let passed: Vec<String> = judgement.passed.iter().map(|it| hooks(it)).collect();
        if passed != self.passed {
            found.push(format!(
                "the kernel did {passed:?}, and once did {:?}",
                self.passed
            ));
        }
        match (self.differs, judgement.differences.as_slice()) {
            (true, []) => {
                found.push("kernel and model agree now: the ledger is out of date".into())
            }
            (true, _) => {}
            (false, differences) => found.extend(differences.iter().map(ToString::to_string)),
        }
        found
    }

    /// A round as the text of a case.
    #[must_use]
    pub fn text(shows: &str, rules: &str, salvo: &Salvo, judgement: &Judgement) -> String {
        let mut text = format!("shows = {shows:?}\nrules = '''\n{rules}'''\n");
        let mut list = |name: &str, lines: Vec<String>| {
            let _ = writeln!(text, "{name} = [");
            for line in lines {
                let _ = writeln!(text, "  \"{line}\",");
            }
            text += "]\n";
        };
        if !salvo.before.is_empty() {
            list("before", salvo.before.iter().map(line).collect());
        }
        list("packets", salvo.shots.iter().map(line).collect());
        list(
            "passed",
            judgement.passed.iter().map(|it| hooks(it)).collect(),
        );
        for difference in &judgement.differences {
            let _ = writeln!(text, "# {difference}");
        }
        text
    }
}

fn hooks(passed: &[portreeve_model::packet::Hook]) -> String {
    let words: Vec<&str> = passed.iter().map(|hook| hook.keyword()).collect();
    words.join(" ")
}

/// How a packet enters, and its bytes.
fn line(shot: &Shot) -> String {
    let entry = match shot.entry {
        Entry::Wire(at) => INTERFACES[at].name,
        Entry::Sent => "sent",
    };
    shot.bytes
        .iter()
        .fold(format!("{entry} "), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn shot(line: &str) -> io::Result<Shot> {
    let wrong = || {
        io::Error::other(format!(
            "`{line}` is not an interface and hexadecimal digits"
        ))
    };
    let (entry, digits) = line.split_once(' ').ok_or_else(wrong)?;
    let entry = match INTERFACES.iter().position(|it| it.name == entry) {
        Some(at) => Entry::Wire(at),
        None if entry == "sent" => Entry::Sent,
        None => return Err(wrong()),
    };
    let pairs = (0..digits.len()).step_by(2);
    let byte = |at| {
        digits
            .get(at..at + 2)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    let bytes = bytes.filter(|bytes| bytes.len() >= 20).ok_or_else(wrong)?;
    Ok(Shot { entry, bytes })
}
