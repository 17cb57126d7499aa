//! Parse, dispatch, print, exit.

fn main() {}
