//! Says that a short label is a gigabyte long.

use hostile_guests::{Draft, Refusal, draft_of, honest_description, policy, rule};

policy!(honest_description, decide);

fn decide() -> Result<Draft, Refusal> {
    let label = std::mem::ManuallyDrop::new("x".to_owned());
    let mut lying = rule("all");
    #[expect(unsafe_code, reason = "on purpose")]
    // SAFETY: there is none. The bytes are not there, and the host must find out.
    let label = unsafe { String::from_raw_parts(label.as_ptr().cast_mut(), 1 << 30, 1 << 30) };
    lying.label = label;
    Ok(draft_of(vec![lying]))
}
