//! How long a trial may run, as people write it: in the configuration and on the command line.

use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;

/// Shorter, and nobody could confirm; longer, and who is locked out would go for help.
const SECONDS: RangeInclusive<u64> = 1..=3_600;

/// What is allowed, in words.
pub(super) const ALLOWED: &str = "whole seconds from `1s` to `1h`, such as `60s` or `2m 30s`";

/// A text is no period for which a trial may run. What was found is for the caller to say.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("allowed is {ALLOWED}")]
pub struct NoPeriod;

/// Reads how long a trial may run: `60s`, `2m 30s`, `1h`.
///
/// # Errors
/// When it is no period, or one that is too short or too long.
pub fn confirm_within(text: &str) -> Result<Duration, NoPeriod> {
    let period = humantime::parse_duration(text).map_err(|_| NoPeriod)?;
    if period.subsec_nanos() == 0 && SECONDS.contains(&period.as_secs()) {
        Ok(period)
    } else {
        Err(NoPeriod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_runs_from_a_second_to_an_hour() {
        let check = |text: &str, seconds: Option<u64>| {
            let expected = seconds.map(Duration::from_secs).ok_or(NoPeriod);
            assert_eq!(confirm_within(text), expected, "{text}");
        };
        check("1s", Some(1));
        check("60s", Some(60));
        check("2m 30s", Some(150));
        check("2min", Some(120));
        check("1h", Some(3_600));
        check("1000ms", Some(1));
        for text in [
            "",
            "0s",
            "0",
            "60",
            "-1s",
            "999ms",
            "1500ms",
            "1h 1s",
            "1d",
            "1M",
            "s",
            "one minute",
            "99999999999999999999s",
            "999999999999y 999999999999y",
        ] {
            check(text, None);
        }
    }
}
