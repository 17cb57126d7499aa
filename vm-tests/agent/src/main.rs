//! In a machine under test, does what the harness outside asks, and nothing else.
//!
//! As the first process it makes the machine ready itself. As a service, `agent`, of a machine that
//! boots by itself, it finds everything made. It never ends, for the kernel or the test would; where
//! it cannot go on, it says why on the console and turns the machine off.
//!
//! `serve FILE` is the other service of such a machine: what it offers, from as early on as there are
//! services.
//!
//! With the word [`NAMESPACES`] it makes itself a machine of namespaces, whose first process it is.

mod archive;
mod boot;
mod clock;
mod control;
mod datagrams;
mod files;
mod interfaces;
mod kernel;
mod namespaces;
mod outward;
mod programs;
mod services;

use std::env;
use std::panic;
use std::path::Path;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use portreeve_vm_agent::{Answer, NAMESPACES, Request};

use crate::clock::Pacemaker;
use crate::datagrams::Datagrams;
use crate::kernel::KernelLog;
use crate::programs::Programs;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // The first process of a virtual machine gets words that were meant for the kernel.
    let ready = match (process::id(), words.as_slice()) {
        (_, [NAMESPACES]) => return namespaces::main(),
        (1, _) => boot::boot,
        (_, ["agent"]) => boot::join,
        (_, ["serve", list]) => return serve(list.as_ref()),
        _ => {
            eprintln!("portreeve-vm-agent: this is for the first process of a machine under test");
            return ExitCode::from(2);
        }
    };
    panic::set_hook(Box::new(|panic| kernel::end(&panic.to_string())));
    let hello = ready().unwrap_or_else(|error| kernel::end(&error.to_string()));
    let port = control::open().unwrap_or_else(|error| kernel::end(&error.to_string()));
    let mut machine = Machine::default();
    let Err(error) = control::converse(&port, &hello, |request| machine.answer(request));
    kernel::end(&error.to_string())
}

/// Serves on the ports of a list until it is killed.
fn serve(list: &Path) -> ExitCode {
    let datagrams = Datagrams::default();
    match services::serve_listed(list, &datagrams) {
        Ok(()) => loop {
            thread::park();
        },
        Err(error) => {
            eprintln!("portreeve-vm-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What lasts from one request to the next.
#[derive(Default)]
struct Machine {
    programs: Programs,
    datagrams: Datagrams,
    log: KernelLog,
    pacemaker: Pacemaker,
}

impl Machine {
    fn answer(&mut self, request: Request) -> Answer {
        let done = |()| Answer::Done;
        let answer = match request {
            Request::Run(run) => self.programs.run(&run).map(Answer::Ended),
            Request::Start(run) => self.programs.start(&run).map(done),
            Request::Write {
                path,
                content,
                mode,
            } => files::write(path.as_ref(), &content, mode).map(done),
            Request::Configure(interface) => interfaces::configure(&interface).map(done),
            Request::Serve { port, service } => {
                services::serve(port, service, &self.datagrams).map(|_| Answer::Done)
            }
            Request::SettleUdp => {
                self.datagrams.settle();
                Ok(Answer::Done)
            }
            Request::Connect { to, within_ms } => {
                Ok(Answer::Connected(outward::connect(to, within_ms)))
            }
            Request::Tunnel {
                protocol,
                to,
                service,
                within_ms,
            } => {
                let tunnel = outward::tunnel(protocol, to, service, within_ms);
                Ok(Answer::Connected(tunnel))
            }
            Request::SetClock { nanoseconds } => clock::set(nanoseconds).map(done),
            Request::StayBusy => self.pacemaker.start().map(done),
            Request::LetPass { milliseconds } => {
                self.pacemaker.pass(Duration::from_millis(milliseconds));
                Ok(Answer::Done)
            }
            Request::KernelLog => self.log.read().map(Answer::Log),
            Request::PowerOff => Ok(Answer::Done),
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }
}
