//! `portreeve check`: asks the kernel whether it would take the plan; changes nothing.

use super::make_plan;
use crate::apply::nft::Nft;
use crate::cli::Options;
use crate::report::{Answer, CheckedIn, Failure, Printer};

pub(super) fn run(options: &Options, printer: &Printer) -> Result<Answer, Failure> {
    let plan = make_plan(options, printer)?;
    // The machine's own namespace is root's; anybody may ask in a namespace of her own.
    let (nft, checked_in) = if nix::unistd::geteuid().is_root() {
        (Nft::find()?, CheckedIn::Machine)
    } else {
        (Nft::find_in_namespace()?, CheckedIn::PrivateNamespace)
    };
    nft.check(plan.transaction())?;
    Ok(Answer::Check {
        plan: Box::new(plan),
        checked_in,
    })
}
