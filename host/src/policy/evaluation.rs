//! One call of a guest: a fresh store, every limit set, and what it means when it ends badly.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use wasmtime::component::HasSelf;
use wasmtime::component::Linker;
use wasmtime::{Engine, ResourceLimiter, Result, Store, Trap, UpdateDeadline};

use super::bindings::portreeve::policy::{description, draft, inputs, log, types};
use super::bindings::{Policy, PolicyPre};
use super::convert;
use super::engine::{ANSWER_BYTES, DEADLINE, FUEL, FUEL_UNWATCHED, INSTANCES};
use super::engine::{LOG_BYTES, LOG_CALLS, MEMORY_BYTES, TABLE_ELEMENTS};
use super::error::{Cause, Limit};
use super::log::{Level, Log, LogLine};

/// What a call gave, and what it took.
pub(super) struct Outcome<T> {
    pub(super) answer: T,
    pub(super) log: Vec<LogLine>,
    pub(super) fuel_used: u64,
}

/// What belongs to one call: what the guest has said and taken so far.
pub(super) struct State {
    log: Log,
    memory_bytes: usize,
    deadline: Instant,
    /// The limit that was met, since wasmtime's error does not always tell.
    met: Option<Limit>,
}

/// The imports that a guest may have, and nothing else.
pub(super) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    Policy::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)?;
    Ok(linker)
}

/// What a call gives, or why it gave nothing, with what the guest had said until then.
type Evaluated<T> = std::result::Result<Outcome<T>, (Cause, Vec<LogLine>)>;

/// Runs `call` on a new instance.
///
/// Most policies are done before a thread that watches the clock could even start. So the first
/// try has little fuel and no watch; one that needs more fuel starts again, watched.
pub(super) fn evaluate<T>(
    pre: &PolicyPre<State>,
    call: impl Fn(&Policy, &mut Store<State>) -> Result<T>,
) -> Evaluated<T> {
    match attempt(pre, FUEL_UNWATCHED, &call) {
        Err((Cause::Limit(Limit::Fuel), _)) => watched(pre.engine(), || attempt(pre, FUEL, &call)),
        done => done,
    }
}

/// Runs `call` on a new instance that gets so much fuel.
fn attempt<T>(
    pre: &PolicyPre<State>,
    fuel: u64,
    call: impl Fn(&Policy, &mut Store<State>) -> Result<T>,
) -> Evaluated<T> {
    let mut store = store(pre.engine(), fuel);
    let answer = pre
        .instantiate(&mut store)
        .and_then(|policy| call(&policy, &mut store));
    let fuel_left = store.get_fuel().unwrap_or_default();
    let state = store.into_data();
    match answer {
        Ok(answer) => Ok(Outcome {
            answer,
            log: state.log.lines,
            fuel_used: fuel - fuel_left,
        }),
        Err(error) => Err((cause(&error, &state), state.log.lines)),
    }
}

fn store(engine: &Engine, fuel: u64) -> Store<State> {
    let state = State {
        log: Log::default(),
        memory_bytes: 0,
        deadline: Instant::now() + DEADLINE,
        met: None,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| state);
    store
        .set_fuel(fuel)
        .expect("the configuration switches fuel on");
    store.set_hostcall_fuel(ANSWER_BYTES);
    store.set_epoch_deadline(1);
    // Another evaluation of the same engine may have moved the epoch: the clock decides.
    store.epoch_deadline_callback(|mut store| {
        let state = store.data_mut();
        if Instant::now() < state.deadline {
            return Ok(UpdateDeadline::Continue(1));
        }
        state.met = Some(Limit::Deadline);
        Ok(UpdateDeadline::Interrupt)
    });
    store
}

/// Runs the guest while a thread waits for it or for the deadline, whichever comes first.
fn watched<T>(engine: &Engine, guest: impl FnOnce() -> Evaluated<T>) -> Evaluated<T> {
    let (ended, wait) = channel::<()>();
    thread::scope(|scope| {
        let watch = thread::Builder::new().spawn_scoped(scope, move || {
            if wait.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        });
        if let Err(error) = watch {
            return Err((Cause::NoWatch(error), Vec::new()));
        }
        let result = guest();
        drop(ended);
        result
    })
}

/// What wasmtime's error means.
fn cause(error: &wasmtime::Error, state: &State) -> Cause {
    if let Some(limit) = state.met {
        return Cause::Limit(limit);
    }
    let text = error.root_cause().to_string();
    let Some(trap) = error.downcast_ref::<Trap>() else {
        // These two have no public type.
        return if text.contains("fuel allocated for hostcalls") {
            Cause::Limit(Limit::Answer)
        } else if text.starts_with("resource limit exceeded") {
            Cause::Limit(Limit::Instances)
        } else {
            Cause::Malformed { reason: text }
        };
    };
    match trap {
        Trap::OutOfFuel => Cause::Limit(Limit::Fuel),
        Trap::Interrupt => Cause::Limit(Limit::Deadline),
        Trap::StackOverflow => Cause::Limit(Limit::Stack),
        Trap::MemoryOutOfBounds => Cause::MemoryFault,
        Trap::UnreachableCodeReached => Cause::Panicked {
            message: last_error(&state.log.lines),
        },
        _ => Cause::Trapped {
            trap: text.trim_start_matches("wasm trap: ").to_owned(),
        },
    }
}

/// What the sdk's panic hook has logged.
fn last_error(lines: &[LogLine]) -> Option<String> {
    let last = lines.iter().rev().find(|line| line.level == Level::Error)?;
    Some(last.text.clone())
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let bytes = self
            .memory_bytes
            .saturating_add(desired.saturating_sub(current));
        if bytes > MEMORY_BYTES {
            return self.refuse(Limit::Memory { bytes });
        }
        self.memory_bytes = bytes;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        if desired > TABLE_ELEMENTS {
            return self.refuse(Limit::Table { elements: desired });
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }
}

impl State {
    /// Ends the guest: one that is only told "no" aborts without saying why.
    fn refuse<T>(&mut self, limit: Limit) -> Result<T> {
        self.met = Some(limit);
        Err(wasmtime::Error::new(limit))
    }
}

impl log::Host for State {
    fn log(&mut self, level: log::Level, text: String) -> Result<()> {
        if self.log.calls == LOG_CALLS || self.log.bytes > LOG_BYTES {
            return self.refuse(Limit::Log);
        }
        self.log.push(convert::level(level), &text);
        Ok(())
    }
}

impl types::Host for State {}
impl description::Host for State {}
impl inputs::Host for State {}
impl draft::Host for State {}
