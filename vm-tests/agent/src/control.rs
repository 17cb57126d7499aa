//! The conversation with the harness, over a port that is no network.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use portreeve_vm_agent::{Answer, Hello, Numbered, PORT, Request};
use serde::Serialize;
use serde_json::Value;

use crate::kernel;

/// The kernel learns of ports some time after their driver is loaded, and tells nobody who does not
/// listen for events of devices.
const PORT_COMES_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// While nobody has the other end open, reading and poll(2) say so at once.
const NOBODY_THERE: Duration = Duration::from_millis(5);

/// The port, as soon as there is one.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub(crate) fn open() -> io::Result<File> {
    let until = Instant::now() + PORT_COMES_WITHIN;
    loop {
        match find() {
            Ok(path) => return OpenOptions::new().read(true).write(true).open(path),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => thread::sleep(LOOK_AGAIN),
        }
    }
}

fn find() -> io::Result<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        // A port has no name yet when it is this young.
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        let device = PathBuf::from("/dev").join(entry.file_name());
        if name.trim_end() == PORT && device.exists() {
            return Ok(device);
        }
    }
    Err(io::Error::other(format!("there is no port `{PORT}`")))
}

/// Says hello, and answers one request after the other.
///
/// # Errors
/// When the port fails. That nobody is at its other end is no failure.
pub(crate) fn converse<P>(
    port: &P,
    hello: &Hello,
    mut answer: impl FnMut(Request) -> Answer,
) -> io::Result<Infallible>
where
    for<'a> &'a P: Read + Write,
{
    say(port, hello)?;
    let mut port = BufReader::new(port);
    let mut line = Vec::new();
    loop {
        port.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            thread::sleep(NOBODY_THERE);
            continue;
        }
        let (number, request) = understand(&line);
        let last = matches!(request, Ok(Request::PowerOff));
        let said = request.map_or_else(Answer::Failed, &mut answer);
        say(*port.get_ref(), &Numbered { number, said })?;
        if last {
            kernel::power_off();
        }
        line.clear();
    }
}

/// The request of a line with its number, or what is wrong with it.
fn understand(line: &[u8]) -> (u64, Result<Request, String>) {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return (0, Err(format!("a line is no JSON: {error}"))),
    };
    let number = value["number"].as_u64().unwrap_or(0);
    let request = serde_json::from_value::<Numbered<Request>>(value);
    let request = request.map_err(|error| format!("a line is no request: {error}"));
    (number, request.map(|it| it.said))
}

fn say(mut port: impl Write, said: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    port.write_all(&line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn check(line: &str, number: u64, expected: Result<&Request, &str>) {
        let (found, request) = understand(line.as_bytes());
        assert_eq!(found, number, "{line}");
        match (request, expected) {
            (Ok(request), Ok(expected)) => assert_eq!(&request, expected),
            (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{error}"),
            (request, _) => panic!("{line}: {request:?}"),
        }
    }

    #[test]
    fn lines_are_requests_or_said_to_be_none() {
        let settle = r#"{"number": 7, "said": "SettleUdp"}"#;
        check(settle, 7, Ok(&Request::SettleUdp));
        check("", 0, Err("a line is no JSON"));
        check("\u{0}", 0, Err("a line is no JSON"));
        check("7", 0, Err("a line is no request"));
        let unknown = r#"{"number": 8, "said": "Dance"}"#;
        check(unknown, 8, Err("a line is no request: unknown variant"));
    }

    #[test]
    fn every_line_is_answered_in_order_also_one_that_comes_in_two_parts() {
        let (agents, harness) = UnixStream::pair().unwrap();
        let hello = Hello {
            kernel: "6.1".to_owned(),
            failed_modules: Vec::new(),
            interfaces: Vec::new(),
        };
        thread::spawn(move || converse(&agents, &hello, |_| Answer::Done));
        let mut lines = BufReader::new(&harness).lines();
        let hello: Hello = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(hello.kernel, "6.1");
        let mut port = &harness;
        port.write_all(b"nonsense\n{\"number\": 2, ").unwrap();
        port.write_all(b"\"said\": \"KernelLog\"}\n").unwrap();
        let mut next = || {
            let line = lines.next().unwrap().unwrap();
            let answer: Numbered<Answer> = serde_json::from_str(&line).unwrap();
            (answer.number, answer.said)
        };
        let (number, said) = next();
        assert!(matches!((number, said), (0, Answer::Failed(_))));
        assert_eq!(next(), (2, Answer::Done));
    }
}
