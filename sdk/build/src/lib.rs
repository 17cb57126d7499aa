//! Builds a policy into a WebAssembly component.
