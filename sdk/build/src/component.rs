//! From a core module to a component, and a look at what it imports.

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::{Parser, Payload, Validator};
use wit_component::ComponentEncoder;

use crate::error::BuildError;

/// The interfaces of a policy: the one it may call, and those that only hold types.
const PACKAGE: &str = "portreeve:policy/";

/// The one interface with a function.
const LOG: &str = "portreeve:policy/log@";

/// The component that the core module `module` describes.
///
/// # Errors
/// When it describes none, or one that would import more than `log`.
pub fn component_of(name: &str, module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut encoder = ComponentEncoder::default();
    let component = encoder
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| BuildError::Encode {
            name: name.to_owned(),
            reason: format!("{error:#}"),
        })?;
    match forbidden_import(&component) {
        None => Ok(component),
        Some(import) => Err(BuildError::Import {
            name: name.to_owned(),
            import,
        }),
    }
}

/// The first import that is more than `log` and the types of our interfaces.
fn forbidden_import(component: &[u8]) -> Option<String> {
    let types = Validator::new()
        .validate_all(component)
        .expect("the encoder has validated the component");
    let types = types.as_ref();
    let sections = Parser::new(0).parse_all(component).filter_map(Result::ok);
    let imports = sections.filter_map(|payload| match payload {
        Payload::ComponentImportSection(section) => Some(section),
        _ => None,
    });
    // Sections of nested components come along; their imports are none of the outermost one.
    imports
        .flat_map(|section| section.into_iter().filter_map(Result::ok))
        .filter_map(|import| {
            Some((
                import.name.name,
                types.component_item_for_import(import.name.name)?,
            ))
        })
        .find(|(name, item)| {
            let harmless = match item.ty {
                ComponentEntityType::Instance(instance) => {
                    let exports = &types[instance].exports;
                    name.starts_with(PACKAGE) && exports.values().all(|item| is_type(item.ty))
                }
                ty => is_type(ty),
            };
            !harmless && !name.starts_with(LOG)
        })
        .map(|(name, _)| name.to_owned())
}

/// Whether an import only says what values look like.
const fn is_type(ty: ComponentEntityType) -> bool {
    matches!(ty, ComponentEntityType::Type { created, .. }
        if !matches!(created, ComponentAnyTypeId::Resource(_)))
}

#[cfg(test)]
mod tests {
    use wit_component::StringEncoding;
    use wit_parser::Resolve;

    use super::*;

    /// A core module that imports the function `run` of `interface`, in a world of its own.
    fn module(package: &str, interface: &str) -> Vec<u8> {
        let wit = format!(
            "package {package}@0.1.0;
             interface {interface} {{ run: func(); }}
             world guest {{ import {interface}; }}"
        );
        let mut resolve = Resolve::default();
        let id = resolve.push_str("guest.wit", &wit).unwrap();
        let world = resolve.select_world(&[id], None).unwrap();
        let core = format!(r#"(module (import "{package}/{interface}@0.1.0" "run" (func)))"#);
        let mut module = wat::parse_str(core).unwrap();
        let utf8 = StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, &resolve, world, utf8, false).unwrap();
        module
    }

    fn check(package: &str, interface: &str, expected: Result<(), &str>) {
        let found = component_of("guest", &module(package, interface)).map(drop);
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn an_import_that_no_policy_gets_is_refused_by_its_name() {
        check("portreeve:policy", "log", Ok(()));
        let refused = "`guest` imports `portreeve:policy/shell@0.1.0`; \
                       a policy may import `portreeve:policy/log` only";
        check("portreeve:policy", "shell", Err(refused));
        let refused = "`guest` imports `wasi:cli/log@0.1.0`; \
                       a policy may import `portreeve:policy/log` only";
        check("wasi:cli", "log", Err(refused));
    }

    #[test]
    fn a_module_without_a_world_is_no_policy() {
        let module = wat::parse_str(r#"(module (import "env" "run" (func)))"#).unwrap();
        let error = component_of("guest", &module).unwrap_err();
        let expected = "`guest` cannot be made a component: ";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
