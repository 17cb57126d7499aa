//! A packet in words, as people type it and case files have it.

use portreeve_model::packet::Packet;

use super::law;

/// Reads a packet: what is written of it reads back as the same packet.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<Packet>() {
        Ok(packet) => {
            let written = packet.to_string();
            assert_eq!(
                written.parse(),
                Ok(packet),
                "{text:?} is written {written:?}"
            );
        }
        Err(error) => law::printable(&error),
    }
}
