//! From bytes to something that can be evaluated, or to what the bytes are instead.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::bindings::PolicyPre;
use super::error::NotAPolicy;
use super::evaluation::{self, State};

/// The interfaces of a policy: the one it may call, and those that only hold types.
const PACKAGE: &str = "portreeve:policy/";

/// The one interface with a function.
const LOG: &str = "portreeve:policy/log@";

/// How every WebAssembly file begins.
const MAGIC: &[u8] = b"\0asm";

/// The version that follows in a core module, and in a component.
const CORE: &[u8] = &[1, 0, 0, 0];
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];

/// Whether `bytes` begin as a component does, before a compiler looks at them.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), NotAPolicy> {
    match bytes.strip_prefix(MAGIC) {
        None => Err(NotAPolicy::NotWasm),
        Some(rest) if rest.starts_with(CORE) => Err(NotAPolicy::CoreModule),
        Some(rest) if rest.starts_with(COMPONENT) => Ok(()),
        Some(_) => Err(NotAPolicy::Malformed {
            reason: "its version is unknown".to_owned(),
        }),
    }
}

/// Machine code for `bytes`.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, NotAPolicy> {
    Component::new(engine, bytes).map_err(|error| NotAPolicy::Malformed {
        reason: error.root_cause().to_string(),
    })
}

/// The component with its imports and exports checked; nothing of it has run yet.
pub(super) fn link(engine: &Engine, component: &Component) -> Result<PolicyPre<State>, NotAPolicy> {
    if let Some(import) = forbidden_import(engine, component) {
        return Err(NotAPolicy::Import { import });
    }
    evaluation::linker(engine)
        .and_then(|linker| PolicyPre::new(linker.instantiate_pre(component)?))
        .map_err(|error| NotAPolicy::OtherWorld {
            reason: error.to_string(),
        })
}

/// The first import that is more than `log` and the types of our interfaces.
fn forbidden_import(engine: &Engine, component: &Component) -> Option<String> {
    let is_type = |item: &ComponentItem| matches!(item, ComponentItem::Type(_));
    let ty = component.component_type();
    let forbidden = ty.imports(engine).find(|(name, import)| {
        let harmless = match &import.ty {
            ComponentItem::ComponentInstance(instance) => {
                let mut exports = instance.exports(engine);
                name.starts_with(PACKAGE) && exports.all(|(_, export)| is_type(&export.ty))
            }
            item => is_type(item),
        };
        !harmless && !name.starts_with(LOG)
    });
    forbidden.map(|(name, _)| name.to_owned())
}
