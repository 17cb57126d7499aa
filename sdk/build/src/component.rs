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
