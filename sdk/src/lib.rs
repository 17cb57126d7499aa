//! Write portreeve policies in Rust.
//!
//! A policy is two pure functions: [`Policy::describe`] says what it needs, [`Policy::decide`]
//! makes a draft of the values it gets. [`policy!`] exports both as a WebAssembly component; on
//! every other target they are ordinary functions, so a policy is tested without WebAssembly.
//!
//! ```
//! use portreeve_sdk::{
//!     Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal, Settings, describe, draft,
//!     essentials, feed, policy, rule,
//! };
//!
//! struct WebServer;
//!
//! impl Policy for WebServer {
//!     fn describe() -> Description {
//!         describe("web-server", "0.1.0", "SSH for all, HTTPS for the CDN, nothing else.")
//!             .port("ssh-port", 22, "where sshd listens")
//!             .feed("cdn", "who may open HTTPS")
//!             .settings(essentials::settings())
//!             .build()
//!     }
//!
//!     fn decide(inputs: &Inputs) -> Result<Draft, Refusal> {
//!         let input = Chain::input(ChainPolicy::Drop)
//!             .rules(essentials::first(inputs))
//!             .rule(rule("ssh").tcp_dport(inputs.port("ssh-port")).accept())
//!             .rule(rule("https").saddr(feed("cdn")).tcp_dport(443).accept())
//!             .rules(essentials::last(inputs));
//!         Ok(draft([input]))
//!     }
//! }
//!
//! policy!(WebServer);
//! ```
//!
//! The words are nft(8)'s. A rule about addresses becomes one rule for each family, and the sets
//! it names join the draft by themselves. The feature `testing` adds [`testing`]: case files,
//! mutants, goals and snapshots.

mod address;
mod bindings;
mod chain;
mod convert;
mod describe;
pub mod essentials;
pub mod log;
mod numbers;
mod operand;
mod rule;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod together;
mod translate;

use std::fmt;

pub use portreeve_model::address::{Family, Prefix};
pub use portreeve_model::description::{Description, SettingSpec};
pub use portreeve_model::draft::{BitField, Draft, ExtensionHeader, FieldSet, Selector, Verdict};
pub use portreeve_model::field::PortProtocol;
pub use portreeve_model::goal::{Clause, GoalTemplate};
pub use portreeve_model::inputs::{Feed, Inputs, Interface, Listener};
pub use portreeve_model::packet::{CtState, Hook};
pub use portreeve_model::ruleset::{ChainPolicy, Limit, LogLevel, Reject, TimeUnit};

pub use crate::address::{Addresses, NotAddresses, feed, prefixes};
pub use crate::chain::{Chain, draft};
pub use crate::describe::{Describe, GoalBuilder, describe, goal};
pub use crate::operand::{Icmp, Icmpv6, Numbers, Ports, Values};
pub use crate::rule::{Acting, Label, Matches, Promise, Rule, TakesMatches, packets, rule};
pub use crate::settings::Settings;
pub use crate::together::{Part, dynamic_set, field_set, sources};

/// A policy: two functions of values, the same on every machine.
///
/// ```
/// use portreeve_sdk::{Chain, ChainPolicy, Draft, Inputs, Policy, Refusal};
/// use portreeve_sdk::{Description, describe, draft, rule};
///
/// struct SshOnly;
///
/// impl Policy for SshOnly {
///     fn describe() -> Description {
///         describe("ssh-only", "1", "New SSH connections, nothing else.").build()
///     }
///
///     fn decide(_: &Inputs) -> Result<Draft, Refusal> {
///         let ssh = rule("ssh").tcp_dport(22).accept();
///         Ok(draft([Chain::input(ChainPolicy::Drop).rule(ssh)]))
///     }
/// }
///
/// let draft = SshOnly::decide(&Inputs::default())?;
/// assert_eq!(draft.chains[0].rules[0].label, "ssh");
/// # Ok::<(), Refusal>(())
/// ```
pub trait Policy {
    /// What the policy is and what it needs. It is asked once, before any input is collected.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
    /// # use portreeve_sdk::{describe, draft};
    /// # struct Nothing;
    /// # impl Policy for Nothing {
    /// fn describe() -> Description {
    ///     describe("nothing", "1", "Lets nothing in.").build()
    /// }
    /// #     fn decide(_: &Inputs) -> Result<Draft, Refusal> {
    /// #         Ok(draft([Chain::input(ChainPolicy::Drop)]))
    /// #     }
    /// # }
    /// # assert_eq!(Nothing::describe().name, "nothing");
    /// ```
    fn describe() -> Description;

    /// The rule set that follows from `inputs`. The same inputs give the same draft.
    ///
    /// ```
    /// # use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
    /// # use portreeve_sdk::{describe, draft};
    /// # struct Nothing;
    /// # impl Policy for Nothing {
    /// #     fn describe() -> Description { describe("nothing", "1", "Nothing.").build() }
    /// fn decide(_: &Inputs) -> Result<Draft, Refusal> {
    ///     Ok(draft([Chain::input(ChainPolicy::Drop)]))
    /// }
    /// # }
    /// # assert_eq!(Nothing::decide(&Inputs::default())?.chains.len(), 1);
    /// # Ok::<(), Refusal>(())
    /// ```
    ///
    /// # Errors
    /// When the policy drafts nothing, with the reason for the operator.
    fn decide(inputs: &Inputs) -> Result<Draft, Refusal>;
}

/// Why a policy drafts nothing.
///
/// ```
/// use portreeve_sdk::Refusal;
///
/// let refusal = Refusal::inputs("feed `cdn` holds no IPv6 prefix; wait for a whole one");
/// assert_eq!(refusal.to_string(), "feed `cdn` holds no IPv6 prefix; wait for a whole one");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The settings contradict each other, or the feeds cannot be used. The operator can mend it.
    Inputs(String),
    /// The policy does not know this situation.
    Unsupported(String),
}

impl Refusal {
    /// A refusal that the operator can mend; `message` says how.
    ///
    /// ```
    /// use portreeve_sdk::Refusal;
    ///
    /// assert!(matches!(Refusal::inputs("port 22 is listed twice"), Refusal::Inputs(_)));
    /// ```
    #[must_use]
    pub fn inputs(message: impl Into<String>) -> Self {
        Self::Inputs(message.into())
    }

    /// A refusal because the policy does not know this situation.
    ///
    /// ```
    /// use portreeve_sdk::Refusal;
    ///
    /// assert!(matches!(Refusal::unsupported("no interface"), Refusal::Unsupported(_)));
    /// ```
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs(message) | Self::Unsupported(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Refusal {}

/// Exports a [`Policy`] as a component. Does nothing on other targets than WebAssembly.
///
/// ```
/// use portreeve_sdk::{Chain, ChainPolicy, Description, Draft, Inputs, Policy, Refusal};
/// use portreeve_sdk::{describe, draft, policy};
///
/// struct Nothing;
///
/// impl Policy for Nothing {
///     fn describe() -> Description {
///         describe("nothing", "1", "Lets nothing in.").build()
///     }
///
///     fn decide(_: &Inputs) -> Result<Draft, Refusal> {
///         Ok(draft([Chain::input(ChainPolicy::Drop)]))
///     }
/// }
///
/// policy!(Nothing);
/// ```
#[macro_export]
macro_rules! policy {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::__private::Component<$policy>;
    $crate::__private::export!(Exported with_types_in $crate::__private);
        };
    };
}

/// What [`policy!`] expands to needs these; nobody else does.
#[doc(hidden)]
pub mod __private {
    use core::marker::PhantomData;

    pub use crate::bindings::{
        __export_world_policy_cabi, __post_return_decide, __post_return_describe,
        _export_decide_cabi, _export_describe_cabi, Guest, export,
    };
    use crate::{Policy, bindings, convert, log};

    /// The component's exports, on behalf of a policy.
    #[derive(Debug)]
    pub struct Component<P>(PhantomData<P>);

    impl<P: Policy> Guest for Component<P> {
        fn describe() -> bindings::Description {
            log::give_panics_a_voice();
            convert::description(P::describe())
        }

        fn decide(inputs: bindings::Inputs) -> Result<bindings::Draft, bindings::Refusal> {
            log::give_panics_a_voice();
            P::decide(&convert::inputs(inputs))
                .map(convert::draft)
                .map_err(convert::refusal)
        }
    }
}

/// The policy that the README shows is compiled and run as any other example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
