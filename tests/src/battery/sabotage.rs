//! A portreeve that does wrong on purpose: who judges the battery must see it called bad.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::battery::machine::Programs;

/// One thing that is done wrong; all else is as the true program does it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    /// What is put on trial is installed for good.
    NeverLapses,
    /// The trial runs twice as long as it was told to.
    LapsesLate,
    /// A boot loads the rule set that was on trial.
    BootsTheCandidate,
    /// `status` keeps to itself that a trial has lapsed.
    HidesTheLapse,
    /// `status` calls the rule set in force that was on trial.
    LiesAboutTheRules,
}

impl Sabotage {
    /// Puts such a program into `folder`, made of the true one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn of(self, programs: &Programs, folder: &Path) -> io::Result<Programs> {
        let portreeve = folder.join("portreeve");
        let (told, done) = self.instead();
        let program = programs.portreeve.display();
        // Six words name the configuration and the directories, and then comes what to do.
        let script = format!(
            "#!/bin/sh\n\
             honest() {{ {program} \"$a\" \"$b\" \"$c\" \"$d\" \"$e\" \"$f\" \"$@\"; }}\n\
             a=$1 b=$2 c=$3 d=$4 e=$5 f=$6\n\
             shift 6\n\
             case \"$*\" in\n\
             {told}) {done} ;;\n\
             *) honest \"$@\" ;;\n\
             esac\n"
        );
        fs::write(&portreeve, script)?;
        fs::set_permissions(&portreeve, fs::Permissions::from_mode(0o755))?;
        Ok(Programs {
            portreeve,
            battery: programs.battery.clone(),
        })
    }

    /// When it is told this, what it does instead; in the words of the shell.
    const fn instead(self) -> (&'static str, &'static str) {
        const APPLY: &str = "apply*ssh-port=2*";
        const STATUS: &str = "status*";
        match self {
            Self::NeverLapses => (
                APPLY,
                "honest apply --no-trial --set ssh-port=2 --allow-lockout",
            ),
            Self::LapsesLate => (
                APPLY,
                "honest apply --confirm-within 6s --set ssh-port=2 --allow-lockout",
            ),
            Self::BootsTheCandidate => ("boot", "honest apply --no-trial --set ssh-port=2"),
            Self::HidesTheLapse => (STATUS, "honest \"$@\" | sed 's/\"lapsed\"/\"ended\"/'"),
            Self::LiesAboutTheRules => (
                STATUS,
                "honest \"$@\" | sed 's/\"in_force\": 1/\"in_force\": 2/'",
            ),
        }
    }
}
