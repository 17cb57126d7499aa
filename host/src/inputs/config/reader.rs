//! From TOML to a configuration, or to everything that is wrong with it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use portreeve_model::diagnostic::{Diagnostic, Quoted};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::period::{self, NoPeriod, confirm_within};
use super::{Config, Entry, FeedConfig, FeedSource};
use crate::inputs::feed::Contract;
use crate::inputs::nearest::did_you_mean;
use crate::inputs::raw::{Place, Raw};

/// The configuration that `text` says; relative paths start where the file at `path` is.
pub(in crate::inputs) fn read(text: &str, path: &Path) -> Result<Config, Vec<Diagnostic>> {
    let mut reader = Reader {
        text,
        path: path.into(),
        found: Vec::new(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.syntax(error.span().map_or(0, |span| span.start), error.message());
    }
    // What recovery made of broken TOML would only bring up errors that are none.
    let config = if errors.is_empty() {
        reader.document(document.get_ref())
    } else {
        Config::default()
    };
    let mut found = reader.found;
    found.sort_by_key(|(offset, _)| *offset);
    if found.is_empty() {
        Ok(config)
    } else {
        Err(found.into_iter().map(|(_, found)| found).collect())
    }
}

pub(super) type Key<'a> = Spanned<Cow<'a, str>>;
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

pub(super) struct Reader<'a> {
    text: &'a str,
    path: Arc<Path>,
    /// What is wrong, with its offset in the text.
    pub(super) found: Vec<(usize, Diagnostic)>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        for (key, value) in document {
            match key.get_ref().as_ref() {
                "policy" => config.policy = self.policy(value).unwrap_or(config.policy),
                "settings" => config.settings = self.settings(value),
                "feeds" => config.feeds = self.feeds(value),
                "apply" => self.apply(value, &mut config),
                "goal" => config.goals = self.goals(value),
                _ => {
                    let known = ["policy", "settings", "feeds", "apply", "goal"];
                    self.unknown(key, "", &known);
                }
            }
        }
        config
    }

    /// A name, or a path, which starts where the file is.
    fn policy(&mut self, value: &Value<'_>) -> Option<String> {
        match value.get_ref().as_str() {
            None | Some("") => {
                let allowed = "the name of a built-in policy, or the path of a component";
                self.refuse("policy", value, allowed);
                None
            }
            Some(path) if path.contains('/') || path.ends_with(".wasm") => {
                Some(self.directory().join(path).to_string_lossy().into_owned())
            }
            Some(name) => Some(name.to_owned()),
        }
    }

    fn apply(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table("apply", value).into_iter().flatten() {
            if key.get_ref() != "confirm-within" {
                self.unknown(key, "apply", &["confirm-within"]);
                continue;
            }
            let text = value.get_ref().as_str().unwrap_or_default();
            match confirm_within(text) {
                Ok(period) => config.confirm_within = period,
                Err(NoPeriod) => self.refuse("apply.confirm-within", value, period::ALLOWED),
            }
        }
    }

    /// Settings are judged later, by the policy's description.
    fn settings(&mut self, value: &Value<'_>) -> Vec<Entry> {
        let table = self.table("settings", value);
        let entry = |(key, value): (&Key<'_>, &Value<'_>)| Entry {
            key: key.get_ref().to_string(),
            value: value.get_ref().into(),
            place: self.place(key.span().start),
        };
        table.into_iter().flatten().map(entry).collect()
    }

    fn feeds(&mut self, value: &Value<'_>) -> Vec<FeedConfig> {
        let mut feeds = Vec::new();
        for (name, value) in self.table("feeds", value).into_iter().flatten() {
            let prefix = format!("feeds.{}", name.get_ref());
            if let Some(table) = self.table(&prefix, value) {
                feeds.push(self.feed(name, &prefix, table));
            }
        }
        feeds
    }

    fn feed(&mut self, name: &Key<'_>, prefix: &str, table: &DeTable<'_>) -> FeedConfig {
        let mut feed = FeedConfig {
            name: name.get_ref().to_string(),
            place: self.place(name.span().start),
            sources: Vec::new(),
            contract: Contract::default(),
        };
        let contract = &mut feed.contract;
        for (key, value) in table {
            let full = format!("{prefix}.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "source" => feed.sources = self.sources(&full, value),
                "min-entries" => self.min_entries(&full, value, &mut contract.min_entries),
                "max-coverage" => {
                    let share = self.share(&full, value);
                    contract.max_coverage = share.unwrap_or(contract.max_coverage);
                }
                "public" => {
                    let public = self.boolean(&full, value);
                    contract.public = public.unwrap_or(contract.public);
                }
                "refresh" | "max-shrink" => self.later(key, &full),
                _ => {
                    let known = ["source", "min-entries", "max-coverage", "public"];
                    self.unknown(key, prefix, &known);
                }
            }
        }
        if !table.iter().any(|(key, _)| key.get_ref() == "source") {
            let message = "the key `source` is missing".to_owned();
            let help = "write `source = \"builtin:cloudflare\"` or `source = \"file:PATH\"`";
            self.say("C006", name.span().start, prefix, message, help);
        }
        feed
    }

    /// One source, or a list of them for a feed that is kept in several files.
    fn sources(&mut self, key: &str, value: &Value<'_>) -> Vec<FeedSource> {
        match value.get_ref() {
            DeValue::Array(items) if !items.is_empty() => items
                .iter()
                .filter_map(|item| self.source(key, item))
                .collect(),
            _ => self.source(key, value).into_iter().collect(),
        }
    }

    fn source(&mut self, key: &str, value: &Value<'_>) -> Option<FeedSource> {
        let text = value.get_ref().as_str().unwrap_or_default();
        match text.split_once(':') {
            Some(("builtin", "cloudflare")) => Some(FeedSource::BuiltInCloudflare),
            Some(("file", path)) if !path.is_empty() => {
                Some(FeedSource::File(self.directory().join(path)))
            }
            Some((scheme @ ("https" | "dns"), _)) => {
                let message = format!("this version does not read feeds from `{scheme}:`");
                let help = "fetch the list by other means and name it as `file:PATH`";
                self.say("C007", value.span().start, key, message, help);
                None
            }
            _ => {
                self.refuse(key, value, "`builtin:cloudflare` or `file:PATH`");
                None
            }
        }
    }

    fn min_entries(&mut self, prefix: &str, value: &Value<'_>, least: &mut [u64; 2]) {
        for (key, value) in self.table(prefix, value).into_iter().flatten() {
            let full = format!("{prefix}.{}", key.get_ref());
            let family = match key.get_ref().as_ref() {
                "v4" => 0,
                "v6" => 1,
                _ => {
                    self.unknown(key, prefix, &["v4", "v6"]);
                    continue;
                }
            };
            match Raw::from(value.get_ref()) {
                Raw::Integer(number @ 0..) => least[family] = number.unsigned_abs(),
                _ => self.refuse(&full, value, "a whole number, 0 or more"),
            }
        }
    }

    fn share(&mut self, key: &str, value: &Value<'_>) -> Option<f64> {
        let share = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let share = share.filter(|share| *share > 0.0 && *share <= 1.0);
        if share.is_none() {
            self.refuse(key, value, "a number above 0, at most 1");
        }
        share
    }

    fn boolean(&mut self, key: &str, value: &Value<'_>) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.refuse(key, value, "true or false");
        }
        boolean
    }

    pub(super) fn table<'v, 'i>(
        &mut self,
        key: &str,
        value: &'v Value<'i>,
    ) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.refuse(key, value, "a table");
                None
            }
        }
    }

    fn syntax(&mut self, offset: usize, message: &str) {
        let diagnostic = Diagnostic {
            code: "C003",
            subject: self.place(offset).to_string(),
            message: format!("not TOML: {}", message.escape_default()),
            help: "correct the line; https://toml.io explains the notation".to_owned(),
        };
        self.found.push((offset, diagnostic));
    }

    pub(super) fn unknown(&mut self, key: &Key<'_>, prefix: &str, known: &[&str]) {
        let name = key.get_ref();
        let full = match prefix {
            "" => name.to_string(),
            prefix => format!("{prefix}.{name}"),
        };
        let message = format!("there is no such key, allowed are `{}`", known.join("`, `"));
        let help = did_you_mean(name, known.iter().copied());
        self.say("C004", key.span().start, &full, message, &help);
    }

    pub(super) fn refuse(&mut self, key: &str, value: &Value<'_>, allowed: &str) {
        let found = Raw::from(value.get_ref());
        let message = format!("found {found}, allowed is {allowed}");
        self.say("C005", value.span().start, key, message, "change the value");
    }

    fn later(&mut self, key: &Key<'_>, full: &str) {
        let message = "this version does not do what the key asks for".to_owned();
        let help = "remove the key; nothing is accepted and then ignored";
        self.say("C007", key.span().start, full, message, help);
    }

    pub(super) fn say(
        &mut self,
        code: &'static str,
        offset: usize,
        key: &str,
        message: String,
        help: &str,
    ) {
        let diagnostic = Diagnostic {
            code,
            subject: format!("{}, key {}", self.place(offset), Quoted(key)),
            message,
            help: help.to_owned(),
        };
        self.found.push((offset, diagnostic));
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let path = Arc::clone(&self.path);
        Place::File { path, line }
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}
