//! What the kernel answers, as bytes of netlink, up to what it says of the switch.

use portreeve_nft::netlink::{Answer, Objects, Says, answers};
use portreeve_nft::switch::{Standing, lead_nowhere, lead_to, sweep};

use super::law;

/// Reads answers: the first ones do not depend on what follows, and whatever the table is said to
/// be can be read, swept and led somewhere else.
pub fn target(data: &[u8]) {
    let all = whole(data);
    for end in [data.len() / 2, data.len().saturating_sub(1)] {
        let first = whole(&data[..end]);
        assert_eq!(first, all[..first.len()], "the first {end} bytes");
    }
    let mut objects = Objects::default();
    for answer in all {
        if let Says::Item(item) = answer.says {
            objects.add(item);
        }
    }
    let batches = [sweep(&objects), lead_nowhere(&objects)];
    for batch in &batches {
        let _ = batch.to_bytes(0);
    }
    match Standing::read(&objects) {
        Ok(standing) => {
            for side in standing.confirmed.iter().chain(&standing.trial) {
                let _ = lead_to(&objects, side).to_bytes(0);
            }
        }
        Err(error) => law::printable(&error),
    }
}

/// The answers up to the first that is malformed, after which there is none.
fn whole(received: &[u8]) -> Vec<Answer> {
    let mut read = answers(received);
    let whole: Vec<_> = read.by_ref().map_while(Result::ok).collect();
    assert!(read.next().is_none(), "an answer after a malformed one");
    for answer in &whole {
        assert!(!matches!(answer.says, Says::Failed(..=0)), "{answer:?}");
    }
    whole
}
