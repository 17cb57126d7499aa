//! What `wit/` means in Rust. Private: only `convert` and `evaluation` name these types.

wasmtime::component::bindgen!({
    world: "policy",
    path: "../wit/v0.1",
    imports: { default: trappable },
});
