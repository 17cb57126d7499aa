//! Values as the operator wrote them, before anything is known about their type.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use portreeve_model::diagnostic::Quoted;
use toml::de::DeValue;

/// A value of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Raw {
    Boolean(bool),
    Integer(i64),
    Text(String),
    List(Vec<Self>),
    /// TOML that no key of ours takes, as it is called or written.
    Other(String),
    /// The text after `KEY=` on the command line; the description says how to read it.
    Argument(String),
}

impl From<&DeValue<'_>> for Raw {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::Boolean(boolean) => Self::Boolean(*boolean),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) => Self::Integer(number),
                    Err(_) => Self::Other(integer.to_string()),
                }
            }
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| item.get_ref().into()).collect())
            }
            DeValue::Float(float) => Self::Other(float.to_string()),
            DeValue::Datetime(datetime) => Self::Other(datetime.to_string()),
            DeValue::Table(_) => Self::Other("{ … }".to_owned()),
        }
    }
}

impl Raw {
    /// The value in the notation it was written in.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Integer(integer) => integer.to_string(),
            Self::Text(text) => format!("\"{text}\""),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::written).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Other(text) | Self::Argument(text) => text.clone(),
        }
    }
}

/// The value between backticks, safe to print.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(&self.written()).fmt(f)
    }
}

/// Where the operator wrote something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    File { path: Arc<Path>, line: usize },
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => {
                write!(f, "{} line {line}", Quoted(&path.to_string_lossy()))
            }
            Self::CommandLine => f.write_str("`--set`"),
        }
    }
}
