//! QEMU's command line, from what a machine shall be.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use portreeve_vm_agent::{self as agent, PORT};
use smoltcp::wire::EthernetAddress;

use super::CARDS;
use super::emulator::Accelerator;
use crate::disk::SECTOR_BYTES;
use crate::kernels::Architecture;

/// The hardware addresses of the network cards.
pub const MACS: [EthernetAddress; CARDS] = [
    EthernetAddress(agent::MACS[0]),
    EthernetAddress(agent::MACS[1]),
];

/// What a machine is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hardware {
    /// The program that is the machine.
    pub emulator: PathBuf,
    /// Its processor's family.
    pub architecture: Architecture,
    /// How instructions are executed.
    pub accelerator: Accelerator,
    /// How its time goes by.
    pub clock: Clock,
    /// The kernel.
    pub kernel: PathBuf,
    /// The files that it starts with.
    pub initrd: PathBuf,
    /// Bytes of memory, in MiB.
    pub memory_mib: u32,
}

/// How time goes by in a machine.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Clock {
    /// As everywhere else.
    Real,
    /// With the instructions that are executed; time in which none is to be executed is skipped.
    Skipping,
}

/// Where a machine's memory is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Memory {
    /// Nowhere else.
    Own,
    /// In a file that others will start from.
    Shared(PathBuf),
    /// As the file has it, and what changes is its own; its state will be told.
    CopyOf(PathBuf),
    /// Nowhere else, and what is in it will be told with the rest of its state.
    Told,
}

/// The descriptors that QEMU inherits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wires {
    /// The control channel.
    pub control: i32,
    /// QEMU's own.
    pub qmp: i32,
    /// The network cards.
    pub cards: [i32; CARDS],
    /// The disk.
    pub disk: i32,
}

/// Everything after the name of the program.
#[must_use]
pub fn arguments(hardware: &Hardware, memory: &Memory, wires: &Wires) -> Vec<OsString> {
    let (machine, console) = match hardware.architecture {
        Architecture::Amd64 => ("q35", "ttyS0"),
        Architecture::Arm64 => ("virt", "ttyAMA0"),
    };
    let mut words = Words::default();
    words.say("-nodefaults -no-user-config -display none -no-reboot -smp 1");
    let size = hardware.memory_mib;
    words.say(&format!("-accel {} -m {size}", hardware.accelerator.word()));
    if hardware.architecture == Architecture::Arm64 {
        words.say("-cpu cortex-a57");
    }
    if hardware.clock == Clock::Skipping {
        // 2³ ns for an instruction: about as fast as they are emulated, so that a machine that is
        // busy has about our time.
        words.say("-icount shift=3,sleep=off");
    }
    match memory {
        Memory::Own => words.say(&format!("-machine {machine}")),
        Memory::Shared(file) => words.memory(machine, file, size, "on"),
        Memory::CopyOf(file) => {
            words.memory(machine, file, size, "off");
            words.say("-incoming defer");
        }
        Memory::Told => {
            // It has the name that memory in a file has, by which QEMU knows whose it is.
            words.say(&format!("-machine {machine},memory-backend=memory"));
            words.say(&format!(
                "-object memory-backend-ram,id=memory,size={size}M"
            ));
            words.say("-incoming defer");
        }
    }
    words.say("-kernel");
    words.0.push(hardware.kernel.clone().into());
    words.say("-initrd");
    words.0.push(hardware.initrd.clone().into());
    words.say("-append");
    // Timers: on a busy machine they cannot be calibrated, and a kernel that trusts them panics, or takes
    // seconds for minutes. Addresses: code that lies elsewhere each time is translated anew each time, of
    // which most of a short program's time came.
    let parameters = "quiet panic=-1 reboot=t no_timer_check tsc=unstable norandmaps";
    words
        .0
        .push(format!("console={console} {parameters}").into());
    words.say("-chardev stdio,id=console,signal=off -serial chardev:console");
    let Wires {
        control,
        qmp,
        cards,
        disk,
    } = wires;
    words.say(&format!("-chardev socket,id=qmp,fd={qmp}"));
    words.say("-mon chardev=qmp,mode=control");
    words.say(&format!("-chardev socket,id=control,fd={control}"));
    words.say("-device virtio-serial-pci");
    words.say(&format!(
        "-device virtserialport,chardev=control,name={PORT}"
    ));
    for (at, (card, mac)) in cards.iter().zip(MACS).enumerate() {
        words.say(&format!(
            "-netdev stream,id=wire{at},server=off,addr.type=fd,addr.str={card}"
        ));
        words.say(&format!(
            "-device virtio-net-pci,netdev=wire{at},mac={mac},romfile="
        ));
    }
    words.say(&format!(
        "-blockdev driver=nbd,node-name=disk,server.type=fd,server.str={disk}"
    ));
    words.say(&format!(
        "-device virtio-blk-pci,drive=disk,write-cache=on,\
         logical_block_size={SECTOR_BYTES},physical_block_size={SECTOR_BYTES}"
    ));
    words.0
}

/// Arguments, in order.
#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    /// Adds words between which there are spaces.
    fn say(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(OsString::from));
    }

    /// Memory that lies in a file.
    fn memory(&mut self, machine: &str, file: &Path, size: u32, share: &str) {
        self.say(&format!("-machine {machine},memory-backend=memory -object"));
        let mut object = OsString::from(format!(
            "memory-backend-file,id=memory,size={size}M,share={share},mem-path="
        ));
        // QEMU reads two commas as one.
        object.push(file.to_string_lossy().replace(',', ",,"));
        self.0.push(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command line of a machine with its memory there.
    fn text(memory: &Memory) -> String {
        let hardware = Hardware {
            emulator: "qemu-system-x86_64".into(),
            architecture: Architecture::Amd64,
            accelerator: Accelerator::Tcg,
            clock: Clock::Real,
            kernel: "a kernel".into(),
            initrd: "initrd".into(),
            memory_mib: 256,
        };
        let wires = Wires {
            control: 6,
            qmp: 7,
            cards: [8, 9],
            disk: 10,
        };
        let arguments = arguments(&hardware, memory, &wires);
        let words = arguments.iter().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn a_copy_changes_nothing_of_what_it_is_a_copy_of() {
        let file = PathBuf::from("a,b");
        let copy = text(&Memory::CopyOf(file.clone()));
        assert!(copy.contains("share=off,mem-path=a,,b"), "{copy}");
        assert!(copy.contains("-incoming|defer"), "{copy}");
        assert!(copy.contains("-kernel|a kernel|"), "{copy}");
        let shared = text(&Memory::Shared(file));
        assert!(shared.contains("share=on") && !shared.contains("-incoming"));
        assert!(!text(&Memory::Own).contains("memory-backend"));
    }

    #[test]
    fn memory_that_is_told_has_the_name_of_the_one_that_is_told() {
        let told = text(&Memory::Told);
        assert!(told.contains("-incoming|defer") && !told.contains("mem-path"));
        for text in [told, text(&Memory::CopyOf("a".into()))] {
            assert!(text.contains("q35,memory-backend=memory|-object"), "{text}");
            assert!(text.contains(",id=memory,size=256M"), "{text}");
        }
    }
}
