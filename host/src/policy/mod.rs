//! The host side of the WebAssembly boundary.
