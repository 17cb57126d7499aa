//! A disk that keeps only what it was told to keep.
//!
//! A file's bytes last once the file was synced, its name once the directory was. When the power
//! fails, any of the changes to names since then may have happened, and any bytes may be lost.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_nft::layout::Number;

use super::super::OnDisk;

/// Generations, and ended ones, that the model keeps.
const KEPT_MAX: usize = 1;

/// A directory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Part {
    Generations,
    Candidates,
    Ended,
}

/// A file's name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Name {
    pub(super) part: Part,
    pub(super) number: Number,
    /// Whether it is `.42.new`.
    pub(super) waiting: bool,
}

/// A file's bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct File {
    whole: bool,
    synced: bool,
}

/// A change to the names in a directory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Change {
    Put(Name, File),
    Rename { to: Name, file: File },
    Remove(Name),
}

/// One operation on the disk: what a process can be killed before and after.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Op {
    Create(Name),
    Fill(Name),
    SyncFile(Name),
    /// What waits takes the place.
    Place(Name),
    SyncDirectory(Part),
    Remove(Name),
}

impl Op {
    /// Whether it needs space.
    pub(super) const fn writes(self) -> bool {
        match self {
            Self::Create(_) | Self::Fill(_) => true,
            Self::SyncFile(_) | Self::Place(_) | Self::SyncDirectory(_) | Self::Remove(_) => false,
        }
    }
}

/// The disk.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Disk {
    /// What a process finds.
    now: BTreeMap<Name, File>,
    /// What lasts.
    lasting: BTreeMap<Name, File>,
    /// What lies between them, in its order.
    pending: Vec<Change>,
}

pub(super) const fn placed(part: Part, number: Number) -> Name {
    Name {
        part,
        number,
        waiting: false,
    }
}

pub(super) const fn waiting(part: Part, number: Number) -> Name {
    Name {
        part,
        number,
        waiting: true,
    }
}

impl Disk {
    /// Does it, or says that there is no such file.
    pub(super) fn perform(&mut self, op: Op) -> Result<(), ()> {
        match op {
            Op::Create(name) => {
                let file = File {
                    whole: false,
                    synced: false,
                };
                self.now.insert(name, file);
                self.pending.push(Change::Put(name, file));
            }
            Op::Fill(name) => self.write(name, |file| file.whole = true),
            Op::SyncFile(name) => self.write(name, |file| file.synced = true),
            Op::Place(to) => {
                let from = waiting(to.part, to.number);
                let file = self.now.remove(&from).ok_or(())?;
                self.now.insert(to, file);
                self.pending.push(Change::Rename { to, file });
            }
            Op::SyncDirectory(part) => {
                let (due, left) = self
                    .pending
                    .iter()
                    .partition(|change| change.part() == part);
                self.pending = left;
                apply(&mut self.lasting, &due);
            }
            Op::Remove(name) => {
                if self.now.remove(&name).is_some() {
                    self.pending.push(Change::Remove(name));
                }
            }
        }
        Ok(())
    }

    /// Changes the bytes of a file, whatever its name is by now.
    fn write(&mut self, name: Name, change: impl Fn(&mut File)) {
        self.now.entry(name).and_modify(&change);
        let puts = self
            .pending
            .iter_mut()
            .rev()
            .find_map(|change| match change {
                Change::Put(put, file) if *put == name => Some(file),
                Change::Put(..) | Change::Rename { .. } | Change::Remove(_) => None,
            });
        // Once the name lasts, the file is the one that is there.
        if let Some(file) = puts.or_else(|| self.lasting.get_mut(&name)) {
            change(file);
        }
    }

    /// Every disk that may be found after the power has failed.
    pub(super) fn after_power_cut(&self) -> BTreeSet<Self> {
        let mut found = BTreeSet::new();
        for choice in 0..1_u32 << self.pending.len() {
            let chosen = self.pending.iter().enumerate();
            let chosen: Vec<_> = chosen
                .filter(|(bit, _)| choice & (1 << bit) != 0)
                .map(|(_, change)| *change)
                .collect();
            let mut lasting = self.lasting.clone();
            apply(&mut lasting, &chosen);
            for file in lasting.values_mut() {
                // The worst: if the bytes are there after all, it is as if they had been synced.
                file.whole &= file.synced;
                file.synced = true;
            }
            found.insert(Self {
                now: lasting.clone(),
                lasting,
                pending: Vec::new(),
            });
        }
        found
    }

    /// Whether a process finds the file, and finds it whole.
    pub(super) fn holds(&self, name: Name) -> bool {
        self.now.get(&name).is_some_and(|file| file.whole)
    }

    /// Whether a process finds the file, be it torn.
    pub(super) fn has(&self, name: Name) -> bool {
        self.now.contains_key(&name)
    }

    /// The generations that a part has a file of.
    pub(super) fn numbers(&self, part: Part, waiting: bool) -> BTreeSet<Number> {
        let names = self.now.keys();
        names
            .filter(|name| name.part == part && name.waiting == waiting)
            .map(|name| name.number)
            .collect()
    }

    /// The newest confirmed generation that can be read.
    pub(super) fn confirmed(&self) -> Option<Number> {
        let numbers = self.numbers(Part::Generations, false).into_iter().rev();
        numbers
            .into_iter()
            .find(|number| self.holds(placed(Part::Generations, *number)))
    }

    /// What the machine is told.
    pub(super) fn told(&self) -> OnDisk {
        OnDisk {
            confirmed: self.confirmed(),
            candidates: self.numbers(Part::Candidates, false),
            prepared: self.numbers(Part::Generations, true),
        }
    }

    /// What is pruned.
    pub(super) fn surplus(&self) -> Vec<Name> {
        let old = [Part::Generations, Part::Ended]
            .into_iter()
            .flat_map(|part| {
                let numbers = self.numbers(part, false).into_iter().rev();
                numbers
                    .skip(KEPT_MAX)
                    .map(move |number| placed(part, number))
            });
        let torn = [Part::Candidates, Part::Ended]
            .into_iter()
            .flat_map(|part| {
                let numbers = self.numbers(part, true).into_iter();
                numbers.map(move |number| waiting(part, number))
            });
        old.chain(torn).collect()
    }

    /// The generations that something can still come of, whether their files last or not. How
    /// others ended is read by people only, and so is what was confirmed before the last.
    pub(super) fn alive(&self) -> BTreeSet<Number> {
        let pending = self.pending.iter().map(Change::name);
        let lasts = |name: &Name| {
            let confirmed = name.part == Part::Generations && !name.waiting;
            confirmed && self.holds(*name) && self.lasting.get(name) == self.now.get(name)
        };
        let last = self.now.keys().rfind(|name| lasts(name));
        let files = self.now.keys().chain(self.lasting.keys());
        let files = files.filter(|name| !lasts(name) || Some(*name) == last);
        let alive = files
            .copied()
            .chain(pending)
            .filter(|name| match name.part {
                Part::Generations => true,
                Part::Candidates => !name.waiting,
                Part::Ended => false,
            });
        alive.map(|name| name.number).collect()
    }

    /// The same with other numbers, without what nothing can come of: the generations that get no
    /// number, and half-written files that nobody reads.
    pub(super) fn renumbered(&self, new: &impl Fn(Number) -> Option<Number>) -> Self {
        let name = |old: Name| {
            let read = !old.waiting || old.part == Part::Generations;
            let number = if read { new(old.number) } else { None };
            number.map(|number| Name { number, ..old })
        };
        let files = |files: &BTreeMap<Name, File>| {
            let files = files.iter();
            files
                .filter_map(|(old, file)| Some((name(*old)?, *file)))
                .collect()
        };
        let pending = self.pending.iter().filter_map(|change| {
            let new = name(change.name())?;
            Some(match *change {
                Change::Put(_, file) => Change::Put(new, file),
                Change::Rename { file, .. } => Change::Rename { to: new, file },
                Change::Remove(_) => Change::Remove(new),
            })
        });
        let mut pending: Vec<_> = pending.collect();
        // What happens to different generations can happen in any order.
        pending.sort_by_key(|change| (change.part(), change.name().number));
        Self {
            now: files(&self.now),
            lasting: files(&self.lasting),
            pending,
        }
    }
}

impl Change {
    const fn name(&self) -> Name {
        match self {
            Self::Put(name, _) | Self::Rename { to: name, .. } | Self::Remove(name) => *name,
        }
    }

    const fn part(&self) -> Part {
        self.name().part
    }
}

fn apply(names: &mut BTreeMap<Name, File>, changes: &[Change]) {
    for change in changes {
        match *change {
            Change::Put(name, file) => {
                names.insert(name, file);
            }
            Change::Rename { to, file } => {
                names.remove(&waiting(to.part, to.number));
                names.insert(to, file);
            }
            Change::Remove(name) => {
                names.remove(&name);
            }
        }
    }
}
