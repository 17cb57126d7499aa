//! Judges one component and prints what came of it, as JSON.
//!
//! ```text
//! judge COMPONENT CACHE
//! ```

use std::io;
use std::path::Path;

use portreeve_tests::judgement::Judgement;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [component, cache] = arguments.as_slice() else {
        return Err(io::Error::other("usage: judge COMPONENT CACHE"));
    };
    let judgement = Judgement::of(Path::new(component), Path::new(cache));
    serde_json::to_writer(io::stdout(), &judgement).map_err(io::Error::other)
}
