//! What the kernel is asked beside the network: its messages, and to end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;

use nix::libc::O_NONBLOCK;
use nix::sys::reboot::{RebootMode, reboot};

/// Longer than any record that the kernel gives out (`PRINTK_MESSAGE_MAX`).
const RECORD_MAX: usize = 16_384;

/// The kernel's messages, from the first one on.
#[derive(Default)]
pub(crate) struct KernelLog(Option<File>);

impl KernelLog {
    /// Those that have not been read yet.
    ///
    /// # Errors
    /// When the kernel does not give them out.
    pub(crate) fn read(&mut self) -> io::Result<Vec<String>> {
        let file = match &mut self.0 {
            Some(file) => file,
            none => none.insert(
                OpenOptions::new()
                    .read(true)
                    .custom_flags(O_NONBLOCK)
                    .open("/dev/kmsg")?,
            ),
        };
        let mut messages = Vec::new();
        let mut record = [0; RECORD_MAX];
        loop {
            match file.read(&mut record) {
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    messages.push(message(&record).to_owned());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(messages),
                // Messages have been overwritten before they were read: the next is there.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a record of `/dev/kmsg` says, without its numbers and the device that it is about.
fn message(record: &str) -> &str {
    let (_, text) = record.split_once(';').unwrap_or(("", record));
    text.split('\n').next().unwrap_or(text)
}

/// Says on the console why the agent cannot go on, and turns the machine off.
pub(crate) fn end(reason: &str) -> ! {
    // Through the kernel, which waits until the console has it; 0 is shown under `quiet`, too.
    let reason = format!("portreeve-vm-agent: {}", reason.replace('\n', ": "));
    if fs::write("/dev/kmsg", format!("<0>{reason}")).is_err() {
        eprintln!("{reason}");
    }
    power_off()
}

/// Turns the machine off.
pub(crate) fn power_off() -> ! {
    let refused = reboot(RebootMode::RB_POWER_OFF);
    eprintln!("portreeve-vm-agent: the machine cannot be turned off: {refused:?}");
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_without_their_numbers() {
        let check = |record: &str, expected: &str| assert_eq!(message(record), expected);
        check(
            "6,339,5140900,-;NET: Registered; really\n",
            "NET: Registered; really",
        );
        check("4,1,2,-;eth0: up\n SUBSYSTEM=net\n DEVICE=n2\n", "eth0: up");
        check("4,1,2,c;\n", "");
    }
}
