//! What a run found, for people.

use std::fmt::{self, Write};
use std::net::IpAddr;

use portreeve_model::address::Family;

use crate::lab::{Observation, Outcome, Report, Service};

/// Whether colours may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paint {
    /// Words only.
    Plain,
    /// Words in colour.
    Colour,
}

const WHO: usize = 15;
const ADDRESS: usize = 16;
const CELL: usize = 10;

impl Report {
    /// Whether nothing differs from what was expected.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let agree = |observations: &[Observation]| observations.iter().all(Observation::agrees);
        agree(&self.before)
            && agree(&self.after)
            && self.held.iter().all(|held| held.survived)
            && self.bystander_untouched
    }

    /// The whole report: a table before, a table after, and what it comes to.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        self.write(&mut text, paint)
            .expect("a string takes everything");
        text
    }

    fn write(&self, out: &mut String, paint: Paint) -> fmt::Result {
        if self.before.iter().all(Observation::agrees) {
            let (all, addresses) = (self.before.len(), self.sources.len());
            paint.heading(out, "before apply")?;
            paint.fact(out, true, &format!("{all} of {all}"))?;
            writeln!(out, " probes open, from {addresses} addresses\n")?;
        } else {
            paint.heading(out, "before apply: not everything is open")?;
            self.write_table(out, paint, &self.before)?;
        }
        paint.heading(out, &format!("after apply: {}", self.policy))?;
        self.write_table(out, paint, &self.after)?;
        self.write_sum(out, paint)?;
        self.write_differences(out, paint)
    }

    fn write_table(
        &self,
        out: &mut String,
        paint: Paint,
        observations: &[Observation],
    ) -> fmt::Result {
        let mut above = None;
        for source in &self.sources {
            let family = Family::of(source.address);
            if above.replace(family) != Some(family) {
                write!(out, "  {:WHO$}  {:ADDRESS$}", family.nfproto(), "")?;
                for service in Service::ALL {
                    write!(out, "  {:CELL$}", service.name())?;
                }
                writeln!(out)?;
            }
            let star = if source.in_feed { "*" } else { " " };
            let address = short(source.address);
            write!(out, "{star} {:WHO$}  {address:ADDRESS$}", source.name)?;
            let row = observations
                .iter()
                .filter(|o| o.probe.saddr == source.address);
            for observation in row {
                let (colour, end) = (paint.of(observation.outcome), paint.end());
                let word = word(observation);
                write!(out, "  {colour}{word:CELL$}{end}")?;
            }
            writeln!(out)?;
        }
        writeln!(out, "* in Cloudflare's ranges\n")
    }

    fn write_sum(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let agreed = self.after.iter().filter(|o| o.agrees()).count();
        let probes = self.after.len();
        paint.fact(out, agreed == probes, &format!("{agreed} of {probes}"))?;
        writeln!(out, " probes did what the model says")?;

        let survived = self.held.iter().filter(|held| held.survived).count();
        let held = self.held.len();
        paint.fact(out, survived == held, &format!("{survived} of {held}"))?;
        writeln!(out, " connections that were open before still work")?;

        let untouched = self.bystander_untouched;
        let state = if untouched { "not changed" } else { "changed" };
        write!(out, "somebody else's table was ")?;
        paint.fact(out, untouched, state)?;
        writeln!(out)
    }

    fn write_differences(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let all = self.before.iter().chain(&self.after);
        for observation in all.filter(|o| !o.agrees()) {
            let (probe, outcome) = (observation.probe, observation.outcome);
            let (service, expected) = (probe.service.name(), &observation.expected);
            paint.fact(out, false, "differs")?;
            writeln!(
                out,
                ": {service} from {}: {outcome:?}, not {expected:?}",
                probe.saddr
            )?;
        }
        Ok(())
    }
}

/// The address, without the middle of a long one.
fn short(address: IpAddr) -> String {
    let text = address.to_string();
    if text.len() <= ADDRESS {
        return text;
    }
    let mut groups = text.split(':');
    let (first, second) = (groups.next(), groups.next());
    let last = groups.next_back();
    let ends = [first, second, Some("…"), last];
    ends.into_iter().flatten().collect::<Vec<_>>().join(":")
}

/// An outcome that the model does not allow carries an exclamation mark.
fn word(observation: &Observation) -> String {
    let word = match observation.outcome {
        Outcome::Open => "open",
        Outcome::Reset => "reset",
        Outcome::Rejected(_) => "rejected",
        Outcome::Dropped => "dropped",
    };
    let mark = if observation.agrees() { "" } else { " !" };
    format!("{word}{mark}")
}

impl Paint {
    const fn escape(self, code: &'static str) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Colour => code,
        }
    }

    const fn of(self, outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::Open => self.good(),
            Outcome::Reset | Outcome::Rejected(_) => self.escape("\u{1b}[33m"),
            Outcome::Dropped => self.escape("\u{1b}[2m"),
        }
    }

    fn heading(self, out: &mut String, text: &str) -> fmt::Result {
        writeln!(out, "{}{text}{}", self.escape("\u{1b}[1m"), self.end())
    }

    fn fact(self, out: &mut String, good: bool, text: &str) -> fmt::Result {
        let colour = if good {
            self.good()
        } else {
            self.escape("\u{1b}[31m")
        };
        write!(out, "{colour}{text}{}", self.end())
    }

    const fn good(self) -> &'static str {
        self.escape("\u{1b}[32m")
    }

    const fn end(self) -> &'static str {
        self.escape("\u{1b}[0m")
    }
}
