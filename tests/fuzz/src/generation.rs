//! A generation as it is kept on disk.

use std::path::PathBuf;

use portreeve::apply::generation::{DecodeError, Generation, Record};
use portreeve::apply::store::{Ended, StoreError};
use portreeve::report::Failure;

use super::law;

/// The number of every generation here.
const NUMBER: u64 = 7;

/// What comes before the digest on the first line.
const HEAD: &str = "portreeve-generation 1 sha256:";

/// Reads a generation, first as the bytes are and then with the first line that belongs to them,
/// since nobody hits a digest by chance: what is read is written and read again, and a byte that
/// is lost is noticed.
pub fn target(data: &[u8]) {
    read(data).err().into_iter().for_each(damaged);
    if let Ok(ended) = serde_json::from_slice::<Ended>(data) {
        let written = serde_json::to_vec(&ended).expect("a record is plain data");
        let again: Ended = serde_json::from_slice(&written).expect("it was just written");
        assert_eq!(again, ended);
    }
    let Err(DecodeError::Digest { found, .. }) = read(&with_head("", data)) else {
        panic!("an empty digest is taken");
    };
    let file = with_head(&found, data);
    let generation = match read(&file) {
        Ok(generation) => generation,
        Err(error) => return damaged(error),
    };
    let mut written = Vec::new();
    generation.write(&mut written).expect("there is memory");
    assert_eq!(read(&written).expect("it was just written"), generation);
    let record = Record::read(NUMBER, &mut &*written).expect("it was just written");
    assert_eq!(record, generation.record);
    assert!(read(&written[..written.len() - 1]).is_err(), "a lost byte");
}

fn with_head(digest: &str, data: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), digest.as_bytes(), b"\n", data].concat()
}

fn read(mut file: &[u8]) -> Result<Generation, DecodeError> {
    Generation::read(NUMBER, &mut file)
}

/// Shows what is wrong with a file as the operator sees it.
fn damaged(source: DecodeError) {
    let path = PathBuf::from("generations/7");
    law::failure(&Failure::store(&StoreError::Damaged { path, source }));
}
