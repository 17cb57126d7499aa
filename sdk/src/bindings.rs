//! What `wit-bindgen` makes of `wit/v0.1`: compiled for every target, called by a host only.

#![expect(
    missing_docs,
    clippy::too_many_arguments,
    reason = "wit/v0.1 has the documentation; the canonical ABI flattens records"
)]

wit_bindgen::generate!({
    world: "policy",
    path: "../wit/v0.1",
    pub_export_macro: true,
    default_bindings_module: "portreeve_sdk::__private",
});
