//! What a row has to say: its last message, and the round it is of. Written by the row's worker, or by the
//! server while there is none; read by anybody.

use crate::layout::{MESSAGE_BYTES, MESSAGE_WORDS};
use phalanx_shm::{
    Slot, copy_out,
    sync::{AtomicU64, Ordering},
};
use std::{borrow::Cow, ops::Range};

/// A row's words in the tensor of messages.
pub fn words(row: usize) -> Range<usize> {
    row * MESSAGE_WORDS..(row + 1) * MESSAGE_WORDS
}

/// Replaces a row's message, which may have several lines. Of one that does not fit the beginning and the end are
/// kept: what it is about comes first, and what a traceback comes to comes last.
pub fn write(row: &[AtomicU64], round: u64, text: &str) {
    let text = fitting(text);
    let mut message = [0u64; MESSAGE_WORDS - 1];
    (message[0], message[1]) = (round, text.len() as u64);
    bytemuck::cast_slice_mut(&mut message[2..])[..text.len()].copy_from_slice(text.as_bytes());
    let serial = row[0].load(Ordering::Relaxed).div_ceil(2);
    let slot = Slot::over(row);
    let used = 2 + text.len().div_ceil(8);
    copy_out(&message[..used], &slot.begin(serial)[..used]);
    slot.end(serial);
}

fn fitting(text: &str) -> Cow<'_, str> {
    const GAP: &str = "\n[...]\n";
    if text.len() <= MESSAGE_BYTES {
        return text.into();
    }
    let head = &text[..text.floor_char_boundary(MESSAGE_BYTES / 4)];
    let tail = &text[text.ceil_char_boundary(text.len() - (MESSAGE_BYTES - head.len() - GAP.len()))..];
    format!("{head}{GAP}{tail}").into()
}

/// The round and the text of a message, given a way to copy its slot.
pub fn read(copy: impl Fn(&mut [u64]) -> Option<u64>) -> Option<(u64, String)> {
    let mut message = [0u64; MESSAGE_WORDS - 1];
    // Its writer may be writing the next one.
    (0..100).find_map(|_| copy(&mut message))?;
    let bytes: &[u8] = bytemuck::cast_slice(&message[2..]);
    let text = String::from_utf8_lossy(&bytes[..(message[1] as usize).min(bytes.len())]);
    Some((message[0], text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_shm::SlotReader;

    #[test]
    fn the_last_message_is_read_and_of_a_long_one_both_ends() {
        let all: Vec<AtomicU64> = (0..MESSAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
        let get = || read(|into| SlotReader::over(&all).read(into));
        assert_eq!(get(), None);
        write(&all, 3, "no\nfeasible step");
        assert_eq!(get(), Some((3, "no\nfeasible step".into())));
        let exact = "e".repeat(MESSAGE_BYTES);
        write(&all, 4, &exact);
        assert_eq!(get(), Some((4, exact)));
        for shift in 0..3 {
            write(
                &all,
                5,
                &format!("Traceback{}{}ValueError: x", "a".repeat(shift), "ä".repeat(MESSAGE_BYTES)),
            );
            let (round, text) = get().unwrap();
            assert!(
                round == 5 && (MESSAGE_BYTES - 3..=MESSAGE_BYTES).contains(&text.len()),
                "{}",
                text.len()
            );
            assert!(
                text.starts_with("Traceback")
                    && text.ends_with("ValueError: x")
                    && text.contains("\n[...]\n")
            );
            assert!(!text.contains('\u{fffd}'), "cut between characters");
        }
        write(&all, 6, "");
        assert_eq!(get(), Some((6, String::new())));
    }
}
