//! Writes a label that is not UTF-8.

use hostile_guests::{Draft, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let mut broken = rule("all");
    #[expect(unsafe_code, reason = "on purpose")]
    // SAFETY: there is none. The bytes are not UTF-8, and the host must find out.
    let label = unsafe { String::from_utf8_unchecked(vec![b'x', 0xff, 0xfe]) };
    broken.label = label;
    Ok(draft_of(vec![broken]))
}
