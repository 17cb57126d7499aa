//! The word that binds a confirmation to one trial: printed once, kept as a digest, typed by hand.
//!
//! The token itself is never written to a file or a log.

use std::fmt;

use portreeve_model::diagnostic::Quoted;
use thiserror::Error;

use crate::policy::digest::hex;

/// Crockford's base 32: no I, L, O or U, which look like others or make words of their own.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a token, each for five bits. Who guesses has minutes, and must be root.
const CHARACTERS: usize = 8;

/// Random bytes in a token: as many bits as its characters have.
const BYTES: usize = CHARACTERS * 5 / 8;

/// A token: `7K3M-Q0XW` as people see it.
#[derive(Clone)]
pub struct Token([u8; CHARACTERS]);

/// Why a text is no token.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TokenError {
    /// It is too short or too long.
    #[error("found {found} characters, a token has {CHARACTERS}, such as `7K3M-Q0XW`")]
    Length {
        /// How many there are, dashes and blanks not counted.
        found: usize,
    },
    /// Something in it is no character of a token.
    #[error("found {}, a token has digits and the letters without I, L, O and U",
        Quoted(found.encode_utf8(&mut [0; 4])))]
    Character {
        /// The first such character.
        found: char,
    },
}

impl Token {
    /// A new token that nobody can foresee.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self::of(bytes))
    }

    /// The token for 40 bits, the highest first.
    fn of(bytes: [u8; BYTES]) -> Self {
        let bits = bytes
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let character = |at: usize| {
            let shift = 5 * (CHARACTERS - 1 - at);
            let index = usize::try_from(bits >> shift & 31).expect("below 32");
            ALPHABET[index]
        };
        Self(std::array::from_fn(character))
    }

    /// The token that somebody typed: in any case, with or without dashes and blanks, and with
    /// the letters that look like digits read as those.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &str) -> Result<Self, TokenError> {
        let mut characters = Vec::with_capacity(CHARACTERS);
        for found in text.chars().filter(|found| !matches!(found, '-' | ' ')) {
            let plain = match found.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            match u8::try_from(plain) {
                Ok(byte) if ALPHABET.contains(&byte) => characters.push(byte),
                Ok(_) | Err(_) => return Err(TokenError::Character { found }),
            }
        }
        let found = characters.len();
        let token = characters.try_into().map(Self);
        token.map_err(|_| TokenError::Length { found })
    }

    /// What is kept of a token for the trial of `generation`: nobody reads the token from it, and
    /// it fits no other trial.
    #[must_use]
    pub fn digest(&self, generation: u64) -> String {
        // What is hashed says what for: the digest of one thing is never that of another.
        let text = format!("portreeve confirm: generation {generation}, token {self}");
        hex(text.as_bytes())
    }

    /// Whether this is the token of which `digest` was kept for `generation`. How long it takes
    /// does not tell how much of it is right.
    #[must_use]
    pub fn is_of(&self, generation: u64, digest: &str) -> bool {
        let own = self.digest(generation);
        let differ = own
            .bytes()
            .zip(digest.bytes())
            .fold(0, |differ, (own, other)| differ | (own ^ other));
        own.len() == digest.len() && differ == 0
    }
}

/// In two halves, which are easier to read out and to type.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, character) in self.0.iter().enumerate() {
            let dash = if at == CHARACTERS / 2 { "-" } else { "" };
            write!(f, "{dash}{}", char::from(*character))?;
        }
        Ok(())
    }
}

/// Hidden, so that no log or panic tells it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In base 32: 7 19 3 20 23 0 29 28.
    const BITS: [u8; BYTES] = [0x3c, 0xc7, 0x4b, 0x83, 0xbc];

    #[test]
    fn forty_bits_are_shown_in_two_halves() {
        assert_eq!(Token::of([0; 5]).to_string(), "0000-0000");
        assert_eq!(Token::of([255; 5]).to_string(), "ZZZZ-ZZZZ");
        assert_eq!(Token::of([0, 0, 0, 0, 1]).to_string(), "0000-0001");
        assert_eq!(Token::of(BITS).to_string(), "7K3M-Q0XW");
    }

    #[test]
    fn a_token_is_read_as_people_type_it() {
        for text in ["7K3M-Q0XW", "7k3mq0xw", " 7k3m qoxw ", "7K-3M-qO-xw"] {
            assert_eq!(
                Token::read(text).unwrap().to_string(),
                "7K3M-Q0XW",
                "{text}"
            );
        }
        assert_eq!(Token::read("iIlL-oOoO").unwrap().to_string(), "1111-0000");
    }

    #[test]
    fn what_is_no_token_is_told_apart_without_repeating_it() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Token::read(text).unwrap_err().to_string(), expected);
        };
        check(
            "7K3M-Q0X",
            "found 7 characters, a token has 8, such as `7K3M-Q0XW`",
        );
        check("", "found 0 characters, a token has 8, such as `7K3M-Q0XW`");
        check(
            "7K3M-Q0XWW",
            "found 9 characters, a token has 8, such as `7K3M-Q0XW`",
        );
        let characters = "a token has digits and the letters without I, L, O and U";
        check("7K3M-U0XW", &format!("found `U`, {characters}"));
        check("7K3M\u{1b}[2J", &format!("found `\\u{{1b}}`, {characters}"));
    }

    #[test]
    fn two_tokens_are_not_the_same() {
        let [one, other] = [0, 1].map(|_| Token::random().unwrap().to_string());
        assert_ne!(one, other);
    }

    #[test]
    fn a_token_confirms_the_trial_that_it_was_printed_for_and_no_other() {
        let token = Token::of(BITS);
        let digest = token.digest(42);
        assert_eq!(
            digest,
            "27526504e1b98e25dd53af4925390f9a5135bf554d4fff6d427c9c49ad9cd2d2"
        );
        assert!(token.is_of(42, &digest));
        assert!(!token.is_of(43, &digest), "another trial");
        assert!(!Token::of([0; 5]).is_of(42, &digest), "another token");
        assert!(!token.is_of(42, ""), "nothing was kept");
        assert!(!token.is_of(42, &digest[..63]), "half of it was kept");
    }

    #[test]
    fn a_token_does_not_slip_into_a_log() {
        assert_eq!(
            format!("{:?}", Some(Token::of(BITS))),
            "Some(Token(hidden))"
        );
    }
}
