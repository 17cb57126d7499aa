//! The engine's configuration and every limit of an evaluation, each with the reason for its
//! number.
//!
//! The build compiles the built-in policies with this same file, so it names nothing else of
//! this crate.

use std::time::Duration;

use wasmtime::{Config, Result};

/// Units of fuel for one call: about 60 ms of the tightest loop. The built-in policies use less
/// than a thousandth of it.
pub(crate) const FUEL: u64 = 1_000_000_000;

/// Units of fuel that a call may use before anybody watches the clock: about a tenth of a
/// millisecond. A policy is a function, so one that needs more is simply started again.
pub(crate) const FUEL_UNWATCHED: u64 = 2_000_000;

/// Wall-clock time for one call. Fuel is what ends a loop; this ends a machine that is too busy.
pub(crate) const DEADLINE: Duration = Duration::from_millis(1_500);

/// Bytes of memory, all linear memories together. A JavaScript engine fits.
pub(crate) const MEMORY_BYTES: usize = 64 << 20;

/// Elements of one table: functions that can be called by number.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// Core instances, memories and tables, each. A component made of one module has about four.
pub(crate) const INSTANCES: usize = 32;

/// Bytes of the machine's stack for the guest's calls.
pub(crate) const STACK_BYTES: usize = 512 << 10;

/// Bytes that one answer takes on this side. Ours: ten thousand rules with a label, two matches and
/// a verdict each fit.
pub(crate) const ANSWER_BYTES: usize = 16 << 20;

/// Log lines that are kept.
pub(crate) const LOG_LINES: usize = 100;

/// Bytes that are kept of each log line.
pub(crate) const LOG_LINE_BYTES: usize = 1_000;

/// Log lines after which the policy is stopped: what comes after the first hundred costs time and
/// is shown to nobody.
pub(crate) const LOG_CALLS: usize = 10_000;

/// Bytes of all log lines together, kept or not, after which the policy is stopped.
pub(crate) const LOG_BYTES: usize = 64 << 20;

/// Bytes of a component. A policy in JavaScript brings 12 MiB of engine.
pub(crate) const COMPONENT_BYTES: u64 = 32 << 20;

/// Settings, feeds, goals, clauses of a goal, matches of a clause, and choices of a setting, each.
pub(crate) const DESCRIBED: usize = 64;

/// Entries in the default of a setting.
pub(crate) const ENTRIES: usize = 1_000;

/// Bytes of a text that is shown in one line: a summary, a help text, the name of a goal.
pub(crate) const LINE_BYTES: usize = 200;

/// How guests are compiled and run: the same component and inputs take the same steps everywhere.
///
/// # Errors
/// When the engine was built without a compiler for `target`.
pub(crate) fn config(target: Option<&str>) -> Result<Config> {
    let mut config = Config::new();
    if let Some(target) = target {
        // Named, even when it is this machine: otherwise the code would use what this machine's
        // processor has and another one's may lack.
        config.target(target)?;
    }
    config
        .wasm_component_model(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .concurrency_support(false)
        // No message shows where in a guest something happened; the tables for it are large, and
        // to register them takes longer than to run the guest.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .native_unwind_info(false)
        // An evaluation is short: copying a guest's data is cheaper than mapping it.
        .memory_init_cow(false);
    Ok(config)
}
