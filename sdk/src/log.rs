//! The one thing a policy may call: it shows a line to the operator, and nothing flows back.
//!
//! On other targets than WebAssembly the lines are kept for the thread that logged them, so that
//! a unit test can look at them with [`lines`].
//!
//! ```
//! use portreeve_sdk::log;
//!
//! log::warn("feed `cdn` is nine days old");
//! assert_eq!(log::lines(), ["warn: feed `cdn` is nine days old"]);
//! ```

use crate::bindings::portreeve::policy::log::Level;

/// Shows a line that matters only to the policy's author.
///
/// ```
/// portreeve_sdk::log::debug("3 interfaces");
/// ```
pub fn debug(text: impl AsRef<str>) {
    show(Level::Debug, text.as_ref());
}

/// Shows a line that tells what happened.
///
/// ```
/// portreeve_sdk::log::info("dhcp-client is off: no reply will be let in");
/// ```
pub fn info(text: impl AsRef<str>) {
    show(Level::Info, text.as_ref());
}

/// Shows a line about something that is probably not meant.
///
/// ```
/// portreeve_sdk::log::warn("port 25 is open to everybody");
/// ```
pub fn warn(text: impl AsRef<str>) {
    show(Level::Warn, text.as_ref());
}

/// Shows a line about something that is wrong.
///
/// ```
/// portreeve_sdk::log::error("no interface has an address");
/// ```
pub fn error(text: impl AsRef<str>) {
    show(Level::Error, text.as_ref());
}

/// Lets the message of a panic reach the operator: the trap that follows carries none.
pub(crate) fn give_panics_a_voice() {
    std::panic::set_hook(Box::new(|panic| error(panic.to_string())));
}

#[cfg(target_family = "wasm")]
fn show(level: Level, text: &str) {
    crate::bindings::portreeve::policy::log::log(level, text);
}

#[cfg(not(target_family = "wasm"))]
pub use native::lines;
#[cfg(not(target_family = "wasm"))]
use native::show;

#[cfg(not(target_family = "wasm"))]
mod native {
    use std::cell::RefCell;

    use super::Level;

    thread_local! {
        static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn show(level: Level, text: &str) {
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        LINES.with_borrow_mut(|lines| lines.push(format!("{level}: {text}")));
    }

    /// What this thread has logged since it was last asked. For tests; a component has no memory
    /// of what it said.
    ///
    /// ```
    /// portreeve_sdk::log::info("one");
    /// assert_eq!(portreeve_sdk::log::lines(), ["info: one"]);
    /// assert!(portreeve_sdk::log::lines().is_empty());
    /// ```
    #[must_use]
    pub fn lines() -> Vec<String> {
        LINES.take()
    }
}
