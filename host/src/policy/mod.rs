//! The host side of the WebAssembly boundary: a policy is loaded, described and evaluated here.
//!
//! A policy gets one value and gives one value. It can be refused in many ways and can do
//! nothing else: there is no import but `log`, and each call has a fresh store with every limit
//! set. The same component and inputs give the same draft.

mod bindings;
mod cache;
mod component;
mod convert;
mod description;
pub(crate) mod digest;
mod engine;
mod error;
mod evaluation;
mod log;

use std::fmt;
use std::path::Path;

use portreeve_model::description::Description;
use portreeve_model::draft::Draft;
use portreeve_model::inputs::Inputs;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::inputs::file::{self, ReadError};

use self::bindings::{PolicyPre, Refusal as RefusalBinding};
pub use self::cache::{Cache, CacheError};
use self::engine::COMPONENT_BYTES;
pub use self::error::{Cause, Limit, NotAPolicy, PolicyError, Refusal};
use self::evaluation::{Outcome, State};
pub use self::log::{Level, LogLine};

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// A policy that the binary carries.
struct Builtin {
    name: &'static str,
    /// SHA-256 of the component, in hexadecimal.
    digest: &'static str,
    component: &'static [u8],
    /// The same, compiled for this target by this version of the engine.
    precompiled: &'static [u8],
}

/// A component that can be asked to describe itself and to decide.
pub struct Policy {
    name: String,
    digest: String,
    pre: PolicyPre<State>,
    uncached: Option<CacheError>,
}

/// What a policy decided.
#[derive(Debug)]
pub struct Decision {
    /// The rule set that it drafted.
    pub draft: Draft,
    /// What it said on the way.
    pub log: Vec<LogLine>,
    /// Units of fuel that it took; the same for the same component and inputs.
    pub fuel_used: u64,
}

impl Policy {
    /// The names of the policies that the binary carries, sorted.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|builtin| builtin.name)
    }

    /// The component of a policy that the binary carries.
    #[must_use]
    pub fn builtin_component(name: &str) -> Option<&'static [u8]> {
        let builtin = BUILTIN.iter().find(|builtin| builtin.name == name)?;
        Some(builtin.component)
    }

    /// A policy that the binary carries. Nothing is compiled.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let builtin = BUILTIN.iter().find(|builtin| builtin.name == name)?;
        let engine = new_engine(Some(env!("PORTREEVE_TARGET")));
        // SAFETY: the bytes were made by this build, with the same version and configuration of
        // the engine, and nobody can change what the binary carries.
        #[expect(unsafe_code, reason = "machine code is loaded")]
        let component = unsafe { Component::deserialize(&engine, builtin.precompiled) };
        let component = component.expect("the build compiled it for this engine");
        let pre = component::link(&engine, &component).expect("the build checked its imports");
        Some(Self {
            name: name.to_owned(),
            digest: builtin.digest.to_owned(),
            pre,
            uncached: None,
        })
    }

    /// The built-in policy of this name, or else the component in the file of this name.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn named(name: &str, cache: &Cache) -> Result<Self, PolicyError> {
        match Self::builtin(name) {
            Some(policy) => Ok(policy),
            None if is_path(name) => Self::load(Path::new(name), cache),
            None => Err(PolicyError::Unknown {
                policy: name.to_owned(),
            }),
        }
    }

    /// The component in a file. It is compiled, unless `cache` holds what was compiled before.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a policy.
    pub fn load(path: &Path, cache: &Cache) -> Result<Self, PolicyError> {
        let policy = path.display().to_string();
        match file::read(path, COMPONENT_BYTES) {
            Ok(contents) => Self::from_bytes(&policy, &contents.bytes, cache),
            Err(ReadError::TooLong { .. }) => {
                let bytes = path
                    .metadata()
                    .map_or(COMPONENT_BYTES + 1, |found| found.len());
                let reason = NotAPolicy::TooLarge { bytes };
                Err(PolicyError::NotAPolicy { policy, reason })
            }
            Err(source) => Err(PolicyError::Unreadable { policy, source }),
        }
    }

    /// The component `bytes`, called `name` in messages.
    ///
    /// # Errors
    /// When they are not a policy.
    pub fn from_bytes(name: &str, bytes: &[u8], cache: &Cache) -> Result<Self, PolicyError> {
        let not_a_policy = |reason| PolicyError::NotAPolicy {
            policy: name.to_owned(),
            reason,
        };
        component::check_header(bytes).map_err(not_a_policy)?;
        let digest = digest::hex(bytes);
        let engine = new_engine(None);
        let cached = cache.get(&engine, &digest);
        let compiled = match &cached {
            Ok(Some(component)) => component.clone(),
            Ok(None) | Err(_) => component::compile(&engine, bytes).map_err(not_a_policy)?,
        };
        // What is no policy is not worth keeping.
        let pre = component::link(&engine, &compiled).map_err(not_a_policy)?;
        let kept = match cached {
            Ok(Some(_)) => Ok(()),
            Ok(None) => cache.put(&engine, &digest, &compiled),
            Err(error) => Err(error),
        };
        Ok(Self {
            name: name.to_owned(),
            digest,
            pre,
            uncached: kept.err(),
        })
    }

    /// SHA-256 of the component, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Why the next start has to compile it again, when it has to.
    #[must_use]
    pub const fn uncached(&self) -> Option<&CacheError> {
        self.uncached.as_ref()
    }

    /// What the policy says about itself, checked.
    ///
    /// # Errors
    /// When it fails, or says nonsense.
    pub fn describe(&self) -> Result<Description, PolicyError> {
        let described =
            evaluation::evaluate(&self.pre, |policy, store| policy.call_describe(store));
        let outcome = described.map_err(|failure| self.failed("describe", failure))?;
        let checked = convert::description(outcome.answer)
            .map_err(|bad| vec![description::bad_default(&bad)])
            .and_then(description::check);
        checked.map_err(|defects| PolicyError::Description {
            policy: self.name.clone(),
            defects,
        })
    }

    /// The rule set that follows from `inputs`.
    ///
    /// # Errors
    /// When the policy fails or refuses.
    pub fn decide(&self, inputs: &Inputs) -> Result<Decision, PolicyError> {
        let inputs = convert::inputs(inputs);
        let decided = evaluation::evaluate(&self.pre, |policy, store| {
            policy.call_decide(store, &inputs)
        });
        let Outcome {
            answer,
            log,
            fuel_used,
        } = decided.map_err(|failure| self.failed("decide", failure))?;
        let refusal = match answer {
            Ok(draft) => {
                return Ok(Decision {
                    draft: convert::draft(draft),
                    log,
                    fuel_used,
                });
            }
            Err(RefusalBinding::Inputs(message)) => Refusal::Inputs(message),
            Err(RefusalBinding::Unsupported(message)) => Refusal::Unsupported(message),
        };
        Err(PolicyError::Refused {
            policy: self.name.clone(),
            refusal,
            log,
        })
    }

    fn failed(&self, call: &'static str, (cause, log): (Cause, Vec<LogLine>)) -> PolicyError {
        PolicyError::Failed {
            policy: self.name.clone(),
            call,
            cause,
            log,
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Whether `name` is a path, and not the name of a built-in policy: configuration and command line
/// read it in the same way.
fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".wasm")
}

/// The engine that the build used, when `target` is the build's; one for this machine otherwise.
fn new_engine(target: Option<&str>) -> Engine {
    engine::config(target)
        .and_then(|config| Engine::new(&config))
        .expect("the configuration is the one that the build used")
}
