//! From the bytes of a list to prefixes, or to the lines that are none.

use portreeve_model::address::{Family, Prefix, PrefixError};
use portreeve_model::diagnostic::{Diagnostic, Quoted};
use portreeve_model::intervals::Interval;
use serde::Deserialize;

use super::Source;
use super::reserved::Reserved;

/// Bytes in one line. Ours: the longest prefix has 43, the rest is for a comment.
const LINE_BYTES_MAX: usize = 1_000;

/// Defects of one feed that are shown; the others are counted.
const SHOWN_MAX: usize = 10;

/// What a list turns into, file by file.
pub(super) struct Parser<'a> {
    feed: &'a str,
    reserved: Option<Reserved>,
    /// The addresses so far, IPv4 first, as they came.
    intervals: [Vec<Interval>; 2],
    found: Vec<Diagnostic>,
    hidden: usize,
}

impl<'a> Parser<'a> {
    /// A parser for the feed of this name. In a public one, reserved addresses are wrong.
    pub(super) fn new(feed: &'a str, public: bool) -> Self {
        Self {
            feed,
            reserved: public.then(Reserved::new),
            intervals: [Vec::new(), Vec::new()],
            found: Vec::new(),
            hidden: 0,
        }
    }

    /// The addresses of each family, or everything that is wrong.
    pub(super) fn finish(mut self) -> Result<[Vec<Interval>; 2], Vec<Diagnostic>> {
        if self.found.is_empty() {
            return Ok(self.intervals);
        }
        if self.hidden > 0 {
            self.found.push(Diagnostic {
                code: "F013",
                subject: format!("feed {}", Quoted(self.feed)),
                message: format!("{} more entries are wrong and not shown", self.hidden),
                help: "correct the list, or ask its publisher".to_owned(),
            });
        }
        Err(self.found)
    }

    /// Reads one file.
    pub(super) fn source(&mut self, source: &Source<'_>) {
        let origin = source.origin.as_str();
        let text = match std::str::from_utf8(source.bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}'),
            Err(error) => {
                let message = format!("byte {} is not text", error.valid_up_to() + 1);
                let help = "give the list as plain text or JSON, not compressed";
                return self.say("F003", origin, message, help);
            }
        };
        match text.trim_start().as_bytes().first() {
            Some(b'<') => {
                let message = "found a web page, allowed is a list of prefixes".to_owned();
                let help = "look at the page: a login or an error may have answered instead";
                self.say("F004", origin, message, help);
            }
            Some(b'{') => self.json(origin, text),
            _ => self.lines(origin, text),
        }
    }

    fn lines(&mut self, origin: &str, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            let place = Place::Line(origin, index + 1);
            if line.len() > LINE_BYTES_MAX {
                let (found, most) = (line.len(), LINE_BYTES_MAX);
                let message = format!("the line has {found} bytes, at most {most} are allowed");
                self.say_at("F011", place, message, "write one prefix on each line");
                continue;
            }
            let entry = line.split('#').next().unwrap_or_default().trim();
            if !entry.is_empty() {
                self.entry(place, entry, None);
            }
        }
    }

    fn json(&mut self, origin: &str, text: &str) {
        let answer: Answer = match serde_json::from_str(text) {
            Ok(answer) => answer,
            Err(error) => {
                // serde's own backticks would be escaped inside ours.
                let cause = error.to_string().replace('`', "'");
                let message = format!("not the JSON expected: {}", Quoted(&cause));
                let help = "allowed is `result` with the lists `ipv4_cidrs` and `ipv6_cidrs`";
                return self.say("F012", origin, message, help);
            }
        };
        if answer.success == Some(false) {
            let message = "the answer says itself that it failed".to_owned();
            return self.say("F012", origin, message, "ask the publisher again");
        }
        let lists = [
            ("ipv4_cidrs", Family::Ip, answer.result.ipv4_cidrs),
            ("ipv6_cidrs", Family::Ip6, answer.result.ipv6_cidrs),
        ];
        for (list, family, entries) in lists {
            for (index, entry) in entries.iter().enumerate() {
                let place = Place::Item(origin, list, index + 1);
                self.entry(place, entry, Some(family));
            }
        }
    }

    /// One prefix; `wanted` is the family of the list it is in, if that has one.
    fn entry(&mut self, place: Place<'_>, text: &str, wanted: Option<Family>) {
        let prefix = match text.parse::<Prefix>() {
            Ok(prefix) => prefix,
            Err(error) => return self.not_a_prefix(place, text, &error),
        };
        if let Some(family) = wanted.filter(|family| *family != prefix.family()) {
            let message = format!("`{prefix}` is not an {} prefix", family.nfproto());
            return self.say_at("F005", place, message, "move it to the list of its family");
        }
        if prefix.length() == 0 {
            let message = format!("`{prefix}` is a default route");
            return self.say_at("F007", place, message, "a feed never holds every address");
        }
        let reserved = self.reserved.as_ref();
        if let Some((block, what, document)) = reserved.and_then(|table| table.shares(prefix)) {
            let message = format!("`{prefix}` shares addresses with {block}: {what}, {document}");
            let help = "remove it, or set `public = false` for a feed of your own network";
            return self.say_at("F008", place, message, help);
        }
        self.intervals[usize::from(prefix.family() == Family::Ip6)].push(prefix.interval());
    }

    fn not_a_prefix(&mut self, place: Place<'_>, text: &str, error: &PrefixError) {
        if let Some((first, second)) = glued(text) {
            let message = format!("`{first}` and `{second}` stand together without a line break");
            let help = "end each file with a line break before joining it to another";
            return self.say_at("F002", place, message, help);
        }
        let message = format!("{}: {error}", Quoted(text));
        match error {
            PrefixError::HostBits { .. } => {
                let help = "write the prefix, or the address with its full length";
                self.say_at("F006", place, message, help);
            }
            PrefixError::NotAPrefix | PrefixError::TooLong { .. } => {
                let help = "write a prefix such as 192.0.2.0/24 or 2001:db8::/32";
                self.say_at("F005", place, message, help);
            }
        }
    }

    fn say_at(&mut self, code: &'static str, place: Place<'_>, message: String, help: &str) {
        if self.found.len() < SHOWN_MAX {
            self.say(code, &place.to_string(), message, help);
        } else {
            self.hidden += 1;
        }
    }

    fn say(&mut self, code: &'static str, place: &str, message: String, help: &str) {
        self.found.push(Diagnostic {
            code,
            subject: format!("feed {}, {place}", Quoted(self.feed)),
            message,
            help: help.to_owned(),
        });
    }
}

/// What Cloudflare's API answers, as far as it matters here.
#[derive(Deserialize)]
struct Answer {
    success: Option<bool>,
    result: Lists,
}

#[derive(Deserialize)]
struct Lists {
    ipv4_cidrs: Vec<String>,
    ipv6_cidrs: Vec<String>,
}

/// Where an entry stands; written out only when something is wrong with it.
#[derive(Clone, Copy)]
enum Place<'a> {
    Line(&'a str, usize),
    Item(&'a str, &'static str, usize),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(origin, line) => write!(f, "{origin} line {line}"),
            Self::Item(origin, list, number) => write!(f, "{origin} {list} entry {number}"),
        }
    }
}

/// The two prefixes that a list ran together because its last line had no end:
/// `131.0.72.0/222400:cb00::/32`.
fn glued(text: &str) -> Option<(Prefix, Prefix)> {
    let slash = text.find('/')?;
    (2..=4).find_map(|digits| {
        let (first, second) = text.split_at_checked(slash + digits)?;
        Some((first.parse().ok()?, second.parse().ok()?))
    })
}
