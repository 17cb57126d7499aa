//! Single words: a prefix, a period, a token, the names of a generation's chains and sets.

use portreeve::apply::token::Token;
use portreeve::inputs::confirm_within;
use portreeve_model::address::Prefix;
use portreeve_model::names::{InterfaceName, Name, Text};
use portreeve_nft::layout;

use super::law;

/// Reads a word in every way there is: what is written reads back, and names are what they are
/// made of.
pub fn target(data: &[u8]) {
    let Ok(word) = std::str::from_utf8(data) else {
        return;
    };
    prefix(word);
    names(word);
    token(word);
    match confirm_within(word) {
        Ok(period) => assert!(
            (1..=3_600).contains(&period.as_secs()),
            "{word:?}: {period:?}"
        ),
        Err(error) => law::printable(&error),
    }
}

fn prefix(word: &str) {
    match word.parse::<Prefix>() {
        Ok(prefix) => {
            assert_eq!(prefix.to_string().parse(), Ok(prefix));
            let covering = Prefix::covering(prefix.family(), prefix.interval());
            assert!(covering.eq([prefix]), "a prefix covers itself");
        }
        Err(error) => law::printable(&error),
    }
}

/// A text is a name, a label or an interface only if nft cannot read anything else in it.
fn names(word: &str) {
    let harmless = |it: char| !matches!(it, '"' | '\\' | '{' | '}' | ';' | '*') && !it.is_control();
    for read in [
        Name::new(word).map(|name| name.to_string()),
        Text::new(word).map(|text| text.to_string()),
        InterfaceName::new(word).map(|name| name.to_string()),
    ] {
        match read {
            Ok(read) => assert!(read == word && word.chars().all(harmless), "{word:?}"),
            Err(error) => law::printable(&error),
        }
    }
    if let Some((number, name)) = layout::parse_chain(word) {
        assert_eq!(layout::chain(number, &name), word);
    }
    if let Some((number, name)) = layout::parse_entry_chain(word) {
        assert_eq!(layout::entry_chain(number, &name), word);
    }
    if let Some(number) = layout::parse_trial_set(word) {
        assert_eq!(layout::trial_set(number), word);
    }
    if let Some(name) = layout::parse_set(word) {
        assert!(word.starts_with(name.as_str()), "{word:?}");
    }
}

fn token(word: &str) {
    match Token::read(word) {
        Ok(token) => {
            let again = Token::read(&token.to_string()).expect("it is written as it is read");
            assert!(again.is_of(7, &token.digest(7)), "{word:?}");
            assert!(!again.is_of(8, &token.digest(7)), "{word:?}");
        }
        Err(error) => law::printable(&error),
    }
}
