//! A whole system that starts anew, with the disk that the machine before it has left.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Result;
use tempfile::NamedTempFile;

use crate::disk::Disk;
use crate::image::own::Own;
use crate::scenario::Machine;
use crate::subject::gateway;
use crate::vm::Vm;
use crate::vm::command_line::{Hardware, Memory};

/// What an administrator has changed since: files, and units that are masked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// Files by path, in place of what is there.
    pub files: BTreeMap<String, String>,
    /// Units that never start.
    pub masked: Vec<String>,
}

/// Its disk is where [`file_system`](crate::file_system) has put portreeve's directories.
const FSTAB: &str = "\
/dev/vda /var ext4 defaults 0 2
/var/etc/portreeve /etc/portreeve none bind 0 0
";

/// Starts it: it gives itself addresses, services and its disk while it boots. The file is what it
/// starts from.
///
/// # Errors
/// When it cannot be started.
pub fn start(
    hardware: &Hardware,
    machine: &Machine,
    disk: &Disk,
    change: &Change,
) -> Result<(Vm, NamedTempFile)> {
    let initrd = own(machine, change).after(&hardware.initrd)?;
    let hardware = Hardware {
        initrd: initrd.path().to_owned(),
        ..hardware.clone()
    };
    Ok((Vm::start(&hardware, &Memory::Own, disk)?, initrd))
}

/// What this machine has that its image has not.
fn own(machine: &Machine, change: &Change) -> Own {
    let mut own = Own::default();
    own.file("etc/fstab", FSTAB);
    // Everybody is behind the first card; the second one leads to its own network only.
    for (at, addresses) in machine.cards.iter().enumerate() {
        let path = format!("etc/systemd/network/50-eth{at}.network");
        own.file(&path, &network(at, addresses));
    }
    let served = machine.serves.iter().map(|port| format!("{port}\n"));
    own.file("etc/portreeve-vm-agent/serves", &served.collect::<String>());
    for (path, text) in &change.files {
        own.file(path, text);
    }
    for unit in &change.masked {
        own.link(&format!("etc/systemd/system/{unit}"), "/dev/null");
    }
    own
}

/// How a card is set up, in the words of systemd.network(5). One without addresses is left alone.
fn network(at: usize, addresses: &[(IpAddr, u8)]) -> String {
    let mut text = format!("[Match]\nName=eth{at}\n");
    if addresses.is_empty() {
        return text + "[Link]\nUnmanaged=yes\n";
    }
    text += "[Network]\nIPv6AcceptRA=no\n";
    for (address, bits) in addresses {
        text += &format!("Address={address}/{bits}\n");
        if at == 0 {
            text += &format!("Gateway={}\n", gateway(&(*address, *bits)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_card_leads_to_everybody() {
        let address = ("203.0.113.10".parse().unwrap(), 24);
        let check = |at, addresses: &[_], expected: &str| {
            assert_eq!(network(at, addresses), expected);
        };
        check(
            0,
            &[address],
            "[Match]\nName=eth0\n[Network]\nIPv6AcceptRA=no\nAddress=203.0.113.10/24\n\
             Gateway=203.0.113.1\n",
        );
        check(
            1,
            &[address],
            "[Match]\nName=eth1\n[Network]\nIPv6AcceptRA=no\nAddress=203.0.113.10/24\n",
        );
        check(1, &[], "[Match]\nName=eth1\n[Link]\nUnmanaged=yes\n");
    }
}
