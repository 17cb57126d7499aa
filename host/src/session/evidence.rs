//! Whether a session shows that somebody outside can get in under the rules on trial.
//!
//! A pure decision. It may refuse a session that is in order, and then says how to open one that
//! it takes; it does not take one that was open before the trial.

use std::fmt;
use std::iter;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use super::{Connection, Origin};

/// What a confirmation rests on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Evidence {
    /// The rules on trial let this connection in.
    Arrived(Connection),
    /// Somebody at the machine itself vouches for it.
    Console,
}

/// `a new connection, 192.0.2.7:50000 to 198.51.100.10:22`, or `the console`.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrived(connection) => write!(f, "a new connection, {connection}"),
            Self::Console => f.write_str("the console"),
        }
    }
}

/// Why a session shows nothing.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NoEvidence {
    /// Its connection was there before.
    #[error("this session was opened before the trial began, from {client}")]
    Older {
        /// From where.
        client: SocketAddr,
    },
    /// Nobody outside is at its other end.
    #[error("this session comes from this machine itself ({client}); nobody outside got in by it")]
    Local {
        /// From where.
        client: IpAddr,
    },
    /// It outlives connections.
    #[error("this is a session of tmux, screen or the like, which outlives connections{}",
        begun(*client))]
    Detached {
        /// Where it was begun from, as its environment has it.
        client: Option<IpAddr>,
    },
    /// It has no connection, and nobody said that it needs none.
    #[error("no connection leads to this session")]
    NoConnection,
    /// It is said to be at the console, and is not.
    #[error("`--from-console` was given, but this session came over the network from {client}")]
    NotTheConsole {
        /// From where.
        client: IpAddr,
    },
    /// It is said to be at the console, and may be looked at from anywhere.
    #[error(
        "`--from-console` was given, but this is a session of tmux, screen or the like, which can \
         be looked at from anywhere{}", begun(*client))]
    PerhapsNotTheConsole {
        /// Where it was begun from, as its environment has it.
        client: Option<IpAddr>,
    },
    /// It cannot be looked into.
    #[error("where this session comes from cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
}

fn begun(client: Option<IpAddr>) -> String {
    client.map_or_else(String::new, |client| {
        format!("; it was begun from {client}")
    })
}

impl NoEvidence {
    /// What to do about it.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            // A shared connection (`ControlMaster`) would be the old one: `-S none` opens another.
            Self::Older { .. } => {
                "open a new session and confirm there: `ssh -S none HOST portreeve confirm TOKEN`"
            }
            Self::Local { .. } => {
                "confirm from another machine: `ssh -S none HOST portreeve confirm TOKEN`; if a \
                 tunnel on this machine is your only way in, give `--from-console`"
            }
            Self::Detached { .. } => {
                "confirm from outside of it: `ssh -S none HOST portreeve confirm TOKEN`"
            }
            Self::NoConnection => {
                "at the console, give `--from-console`; elsewhere, confirm with `ssh -S none HOST \
                 portreeve confirm TOKEN`"
            }
            Self::NotTheConsole { .. } => {
                "give the token instead, in a new session: `ssh -S none HOST portreeve confirm \
                 TOKEN`"
            }
            Self::PerhapsNotTheConsole { .. } => {
                "log in at the console once more, without tmux or screen, and confirm there"
            }
            Self::Unreadable { .. } => {
                "run as root with /proc mounted; in a container, with the capability \
                 CAP_SYS_PTRACE"
            }
        }
    }
}

impl Origin {
    /// What a session from here shows, if `arrived` says of a connection whether the rules on
    /// trial let it in. `from_console` is the operator's word that no network is involved.
    ///
    /// # Errors
    /// Why it shows nothing, or why `arrived` could not say.
    pub fn evidence<E: From<NoEvidence>>(
        &self,
        from_console: bool,
        mut arrived: impl FnMut(&Connection) -> Result<bool, E>,
    ) -> Result<Evidence, E> {
        let refusal = match self {
            Self::Remote { connection, .. } if from_console => NoEvidence::NotTheConsole {
                client: connection.client().ip(),
            },
            Self::Remote { connection, others } => {
                // Where it cannot be told which one is ours, each of them must be new.
                for asked in iter::once(connection).chain(others) {
                    if !arrived(asked)? {
                        let client = asked.client();
                        return Err(NoEvidence::Older { client }.into());
                    }
                }
                return Ok(Evidence::Arrived(*connection));
            }
            // Where nothing can be read, the operator's word is all there is.
            Self::Local(_) | Self::Console | Self::Unreadable(_) if from_console => {
                return Ok(Evidence::Console);
            }
            Self::Local(connection) => NoEvidence::Local {
                client: connection.client().ip(),
            },
            Self::Console => NoEvidence::NoConnection,
            Self::Detached { client } if from_console => {
                NoEvidence::PerhapsNotTheConsole { client: *client }
            }
            Self::Detached { client } => NoEvidence::Detached { client: *client },
            Self::Unreadable(reason) => NoEvidence::Unreadable {
                reason: reason.clone(),
            },
        };
        Err(refusal.into())
    }
}
