//! The known word that a misspelt one is nearest to.

use portreeve_model::diagnostic::Quoted;

/// What to do about the word that none of `known` is.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!("write {}, if that is what it means", Quoted(near)),
        None => "remove it".to_owned(),
    }
}

/// The candidate that takes the fewest edits to become `word`, unless that is a third of it or
/// more: then the two are just different words.
fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |candidate: &&str| (edits(word, candidate), candidate.len());
    let best = candidates.into_iter().min_by_key(near)?;
    (edits(word, best) * 3 <= best.chars().count().max(4)).then_some(best)
}

/// Characters to insert, delete or replace to turn one word into the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    // A word from outside may be long; one far longer than any key is not near to it anyway.
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_recognised_and_another_word_is_not() {
        let known = ["policy", "settings", "feeds", "apply", "ssh-port"];
        let check = |word, expected| assert_eq!(nearest(word, known), expected, "{word}");
        check("polcy", Some("policy"));
        check("setings", Some("settings"));
        check("ssh_port", Some("ssh-port"));
        check("feed", Some("feeds"));
        check("zone", None);
        check("", None);
        check(&"x".repeat(100_000), None);
        assert_eq!(nearest("policy", []), None);
    }
}
