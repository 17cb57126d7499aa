//! `portreeve explain`: what the planned rule set does to one packet, and why.

use portreeve_model::evaluate::evaluate;
use portreeve_model::packet::Packet;

use super::make_plan;
use crate::cli::{self, Options};
use crate::report::{Answer, Failure, Printer};

pub(super) fn run(
    arguments: &cli::Explain,
    options: &Options,
    printer: &Printer,
) -> Result<Answer, Failure> {
    let packet: Packet = arguments.packet.join(" ").parse().map_err(|error| {
        Failure::usage(
            &format!("the packet is not understood: {error}"),
            "see `portreeve explain --help`",
        )
    })?;
    let plan = make_plan(options, printer)?;
    let evaluation = evaluate(plan.ruleset(), &packet);
    Ok(Answer::Explanation {
        plan: Box::new(plan),
        packet: Box::new(packet),
        evaluation,
    })
}
