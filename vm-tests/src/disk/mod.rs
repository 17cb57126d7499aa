//! The disk of a machine, and what a power cut leaves of it.
//!
//! It has a write cache, as real ones have: what was written is read at once, but it lasts only when
//! it was flushed or written through. A disk outlives its machines: the next one finds on it what
//! [`Disk::cut`] says, or all of it when the machine before has ended in an orderly way.

mod nbd;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What a disk writes whole or not at all: the unit that SCSI and NVMe promise not to tear, so that
/// nothing worse is left of a write of many than that each one is old or new. Not 512: ext4 refuses
/// its own superblock and the end of a journal's transaction when half of it is old, and leaves that
/// to `e2fsck`.
pub const SECTOR_BYTES: usize = 4096;

/// What is in one, shared by all who remember it.
type Sector = Arc<[u8; SECTOR_BYTES]>;

/// Sectors by number. One that is missing is zero.
type Sectors = BTreeMap<u64, Sector>;

/// A disk. A clone is the same one, not another with the same on it.
#[derive(Clone, Debug)]
pub struct Disk {
    sectors: u64,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    /// What is read.
    newest: Sectors,
    /// What outlives every power cut.
    lasting: Sectors,
    /// What was written since, in order.
    cached: Vec<(u64, Sector)>,
    /// How many writes and flushes there were.
    requests: u64,
    /// After which of them the power fails, and by which seed.
    planned: Option<(u64, u64)>,
    /// What was left when it did.
    left: Option<Disk>,
}

impl Disk {
    /// A disk full of zeros. What is no whole sector is left off.
    #[must_use]
    pub fn blank(bytes: u64) -> Self {
        Self {
            sectors: bytes / SECTOR_BYTES as u64,
            contents: Arc::default(),
        }
    }

    /// How much it holds.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.sectors * SECTOR_BYTES as u64
    }

    /// What it holds after a power cut at this moment: all that lasts, and of the rest whatever chance
    /// has written down in time. The same seed decides the same. This disk stays as it is, whoever
    /// goes on writing to it.
    #[must_use]
    pub fn cut(&self, seed: u64) -> Self {
        self.with(self.contents().cut(seed))
    }

    /// How many writes and flushes it was asked for so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.contents().requests
    }

    /// Has [`was_cut`](Self::was_cut) tell what a cut leaves that comes after so many more of them.
    pub fn cut_after(&self, requests: u64, seed: u64) {
        let mut contents = self.contents();
        contents.planned = Some((contents.requests + requests, seed));
        self.cut_if_planned(&mut contents);
    }

    /// What the planned cut has left, if it has come.
    #[must_use]
    pub fn was_cut(&self) -> Option<Self> {
        self.contents().left.take()
    }

    fn cut_if_planned(&self, contents: &mut Contents) {
        if let Some((_, seed)) = contents.planned.take_if(|(at, _)| *at == contents.requests) {
            contents.left = Some(self.with(contents.cut(seed)));
        }
    }

    /// Another disk on which is what is read from this one; all of it lasts.
    #[must_use]
    pub fn copy(&self) -> Self {
        self.with(self.contents().newest.clone())
    }

    /// Another disk in the same state: what lasts of this one lasts, and what its write cache holds is
    /// in that of the other.
    #[must_use]
    pub fn twin(&self) -> Self {
        let contents = self.contents();
        self.of(Contents {
            newest: contents.newest.clone(),
            lasting: contents.lasting.clone(),
            cached: contents.cached.clone(),
            ..Contents::default()
        })
    }

    fn with(&self, sectors: Sectors) -> Self {
        self.of(Contents {
            newest: sectors.clone(),
            lasting: sectors,
            ..Contents::default()
        })
    }

    /// Another disk of this size.
    fn of(&self, contents: Contents) -> Self {
        Self {
            sectors: self.sectors,
            contents: Arc::new(Mutex::new(contents)),
        }
    }

    /// Writes what is read from it into an empty file.
    ///
    /// # Errors
    /// When the file does not take it.
    pub fn save(&self, file: &File) -> io::Result<()> {
        file.set_len(self.bytes())?;
        let contents = self.contents();
        let mut sectors = contents.newest.iter();
        sectors.try_for_each(|(number, sector)| {
            file.write_all_at(&sector[..], number * SECTOR_BYTES as u64)
        })
    }

    /// Serves a machine, on a thread that ends with its wire.
    pub(crate) fn serve(&self, wire: UnixStream) -> thread::JoinHandle<io::Result<()>> {
        let disk = self.clone();
        thread::spawn(move || nbd::serve(&disk, &wire))
    }

    /// So many sectors from one on; none if there are not so many.
    fn read(&self, from: u64, count: u64) -> Option<Vec<u8>> {
        let contents = self.contents();
        let mut bytes = Vec::new();
        for number in self.places(from, count)? {
            match contents.newest.get(&number) {
                Some(sector) => bytes.extend_from_slice(&sector[..]),
                None => bytes.extend([0; SECTOR_BYTES]),
            }
        }
        Some(bytes)
    }

    /// Writes whole sectors from one on, into the cache or `through` it; none if there are not so
    /// many.
    fn write(&self, from: u64, bytes: &[u8], through: bool) -> Option<()> {
        let (sectors, _) = bytes.as_chunks::<SECTOR_BYTES>();
        let places = self.places(from, sectors.len() as u64)?;
        let mut contents = self.contents();
        if through {
            // What the cache still has of them is older.
            contents.cached.retain(|(it, _)| !places.contains(it));
        }
        for (number, sector) in places.zip(sectors) {
            let sector = Arc::new(*sector);
            contents.newest.insert(number, Arc::clone(&sector));
            if through {
                contents.lasting.insert(number, sector);
            } else {
                contents.cached.push((number, sector));
            }
        }
        contents.requests += 1;
        self.cut_if_planned(&mut contents);
        Some(())
    }

    /// Makes everything last that was written so far.
    fn flush(&self) {
        let mut contents = self.contents();
        let cached = std::mem::take(&mut contents.cached);
        contents.lasting.extend(cached);
        contents.requests += 1;
        self.cut_if_planned(&mut contents);
    }

    /// The sectors from one on, if there are so many.
    fn places(&self, from: u64, count: u64) -> Option<std::ops::Range<u64>> {
        let end = from.checked_add(count)?;
        (end <= self.sectors).then_some(from..end)
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// What a cut leaves.
    fn cut(&self, seed: u64) -> Sectors {
        let mut chance = fastrand::Rng::with_seed(seed);
        let fate = Fate::any(&mut chance, self.cached.len());
        let mut left = self.lasting.clone();
        for (place, (number, sector)) in self.cached.iter().enumerate() {
            if fate.keeps(place, &mut chance) {
                left.insert(*number, Arc::clone(sector));
            }
        }
        left
    }
}

/// What becomes of a write cache when the power fails. That every write has even odds would be one
/// way only, and a rare one to show what is lost together or kept in order.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// So many writes have reached the disk, in order; none, often.
    First(usize),
    /// Each one has or has not, whatever came of those before it.
    Each(f64),
}

impl Fate {
    fn any(chance: &mut fastrand::Rng, writes: usize) -> Self {
        match chance.u8(..4) {
            0 => Self::First(0),
            1 => Self::First(chance.usize(..=writes)),
            _ => Self::Each(chance.f64()),
        }
    }

    fn keeps(self, place: usize, chance: &mut fastrand::Rng) -> bool {
        match self {
            Self::First(count) => place < count,
            Self::Each(odds) => chance.f64() < odds,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const CACHED: bool = false;
    const THROUGH: bool = true;

    /// A disk of four sectors, on which each of `writes` put a byte all over a sector.
    fn disk(writes: &[(u64, u8, bool)]) -> Disk {
        let disk = Disk::blank(4 * SECTOR_BYTES as u64 + 1);
        for (number, byte, through) in writes {
            let written = disk.write(*number, &[*byte; SECTOR_BYTES], *through);
            written.unwrap();
        }
        disk
    }

    /// What is read, a byte for each sector; they are not torn.
    fn read(disk: &Disk) -> [u8; 4] {
        let bytes = disk.read(0, 4).unwrap();
        let (sectors, _) = bytes.as_chunks::<SECTOR_BYTES>();
        assert!(sectors.iter().all(|it| *it == [it[0]; SECTOR_BYTES]));
        std::array::from_fn(|at| sectors[at][0])
    }

    /// Everything that a power cut may leave.
    fn left(disk: &Disk) -> BTreeSet<[u8; 4]> {
        (0..500).map(|seed| read(&disk.cut(seed))).collect()
    }

    #[test]
    fn what_was_written_is_read_and_lasts_when_it_was_flushed() {
        let disk = disk(&[(0, 1, CACHED), (1, 2, CACHED)]);
        assert_eq!(read(&disk), [1, 2, 0, 0]);
        let any = [[0, 0, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [1, 2, 0, 0]];
        assert_eq!(left(&disk), BTreeSet::from(any));
        disk.flush();
        assert_eq!(left(&disk), BTreeSet::from([[1, 2, 0, 0]]));
    }

    #[test]
    fn of_what_is_written_twice_any_may_be_left_but_nothing_older_than_what_lasts() {
        let disk = disk(&[(3, 1, CACHED)]);
        disk.flush();
        for byte in [2, 3] {
            disk.write(3, &[byte; SECTOR_BYTES], CACHED).unwrap();
        }
        let any = [[0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 3]];
        assert_eq!(left(&disk), BTreeSet::from(any));
        disk.write(3, &[4; SECTOR_BYTES], THROUGH).unwrap();
        assert_eq!(left(&disk), BTreeSet::from([[0, 0, 0, 4]]));
        disk.flush();
        assert_eq!(left(&disk), BTreeSet::from([[0, 0, 0, 4]]));
    }

    #[test]
    fn a_cut_is_the_same_for_the_same_seed_and_leaves_the_disk_alone() {
        let disk = disk(&[(0, 1, CACHED), (1, 1, CACHED), (2, 1, CACHED)]);
        let after = (0..50).find(|seed| read(&disk.cut(*seed)) == [1, 0, 1, 0]);
        let seed = after.expect("one of so many is not in order");
        disk.cut(seed)
            .write(0, &[9; SECTOR_BYTES], THROUGH)
            .unwrap();
        assert_eq!(read(&disk.cut(seed)), [1, 0, 1, 0]);
        assert_eq!(read(&disk), [1, 1, 1, 0]);
        assert_eq!(left(&disk.copy()), BTreeSet::from([[1, 1, 1, 0]]));
    }

    #[test]
    fn a_twin_loses_what_the_disk_may_lose_and_each_goes_its_own_way() {
        let disk = disk(&[(0, 1, THROUGH), (1, 2, CACHED)]);
        let twin = disk.twin();
        disk.flush();
        let any = [[1, 0, 0, 0], [1, 2, 0, 0]];
        assert_eq!(left(&twin), BTreeSet::from(any));
        assert_eq!(read(&twin.cut(7)), read(&twin.twin().cut(7)));
        twin.write(2, &[3; SECTOR_BYTES], THROUGH).unwrap();
        assert_eq!(read(&twin), [1, 2, 3, 0]);
        assert_eq!(left(&disk), BTreeSet::from([[1, 2, 0, 0]]));
    }

    #[test]
    fn a_planned_cut_comes_after_the_request_that_it_waits_for() {
        let disk = disk(&[(0, 1, CACHED)]);
        disk.cut_after(0, 1);
        assert!(disk.was_cut().is_some());
        disk.cut_after(2, 1);
        disk.write(1, &[2; SECTOR_BYTES], CACHED).unwrap();
        assert!(disk.was_cut().is_none());
        disk.flush();
        disk.write(2, &[3; SECTOR_BYTES], THROUGH).unwrap();
        assert_eq!(read(&disk.was_cut().unwrap()), [1, 2, 0, 0]);
        assert!(disk.was_cut().is_none());
        assert_eq!(disk.requests(), 4);
    }

    #[test]
    fn nothing_is_read_or_written_beyond_the_end() {
        let disk = disk(&[]);
        assert_eq!(disk.bytes(), 4 * 4096);
        assert_eq!(disk.read(3, 2), None);
        assert_eq!(disk.read(u64::MAX, 2), None);
        assert_eq!(disk.write(4, &[1; SECTOR_BYTES], THROUGH), None);
        assert_eq!(disk.read(4, 0), Some(Vec::new()));
    }

    #[test]
    fn it_is_saved_as_it_is_read() {
        let disk = disk(&[(1, 7, CACHED)]);
        let file = tempfile::NamedTempFile::new().unwrap();
        disk.save(file.as_file()).unwrap();
        let saved = std::fs::read(file.path()).unwrap();
        assert_eq!(Some(saved), disk.read(0, 4));
    }
}
