//! What the hostile guests share: bindings, an honest description, an honest draft, and a panic
//! hook.
//!
//! The guests are the examples of this package. They use the bindings as anybody could, not the
//! sdk: that one would keep them from most of what they try.

#[expect(
    missing_docs,
    clippy::too_many_arguments,
    reason = "generated from `wit/`, which has the documentation"
)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "policy",
        path: "../../wit/v0.1",
        pub_export_macro: true,
        default_bindings_module: "hostile_guests::bindings",
    });
}

pub use bindings::portreeve::policy::description::{Description, Facts};
pub use bindings::portreeve::policy::draft::{
    Base, Chain, ChainPolicy, ChainType, Draft, Rule, Set, SetNode, Statement,
};
pub use bindings::portreeve::policy::inputs::Inputs;
pub use bindings::portreeve::policy::log::{Level, log};
pub use bindings::portreeve::policy::types::{Family, Hook, Match};
pub use bindings::{Guest, Refusal};

/// Makes two functions a policy.
#[macro_export]
macro_rules! policy {
    ($describe:path, $decide:path) => {
        struct Hostile;

        impl $crate::Guest for Hostile {
            fn describe() -> $crate::Description {
                $crate::hook();
                $describe()
            }

            fn decide(_: $crate::Inputs) -> Result<$crate::Draft, $crate::Refusal> {
                $crate::hook();
                $decide()
            }
        }

        $crate::bindings::export!(Hostile);
    };
}

/// Lets a panic leave its message, as the sdk does.
pub fn hook() {
    std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
}

/// A description with nothing wrong.
#[must_use]
pub fn honest_description() -> Description {
    Description {
        name: "hostile".to_owned(),
        version: "1".to_owned(),
        summary: "Misbehaves on purpose.".to_owned(),
        settings: Vec::new(),
        feeds: Vec::new(),
        facts: Facts::empty(),
        goals: Vec::new(),
    }
}

/// A draft of one base chain with these rules.
#[must_use]
pub fn draft_of(rules: Vec<Rule>) -> Draft {
    Draft {
        sets: Vec::new(),
        field_sets: Vec::new(),
        chains: vec![Chain {
            name: "input_all".to_owned(),
            base: Some(Base {
                chain_type: ChainType::Filter,
                hook: Hook::Input,
                priority: 0,
                policy: ChainPolicy::Drop,
            }),
            rules,
        }],
    }
}

/// A rule that accepts everything.
#[must_use]
pub fn rule(label: &str) -> Rule {
    Rule {
        label: label.to_owned(),
        matches: Vec::new(),
        statements: vec![Statement::Accept],
    }
}

/// A draft with nothing wrong.
///
/// # Errors
/// Never; the type is that of `decide`.
pub fn honest_draft() -> Result<Draft, Refusal> {
    Ok(draft_of(vec![rule("all")]))
}
