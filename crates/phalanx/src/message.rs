//! What a row has to say: its last message, and the round it is of. Written by the row's worker, or by the
//! server while there is none; read by anybody.

use crate::layout::{MESSAGE_BYTES, MESSAGE_WORDS};
use phalanx_shm::{
    Slot, copy_out,
    sync::{AtomicU64, Ordering},
};
use std::ops::Range;

/// A row's words in the tensor of messages.
pub fn words(row: usize) -> Range<usize> {
    row * MESSAGE_WORDS..(row + 1) * MESSAGE_WORDS
}

/// Replaces a row's message; what does not fit is cut off.
pub fn write(row: &[AtomicU64], round: u64, text: &str) {
    let text = text.replace('\n', " ");
    let mut end = text.len().min(MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut message = [0u64; MESSAGE_WORDS - 1];
    (message[0], message[1]) = (round, end as u64);
    bytemuck::cast_slice_mut(&mut message[2..])[..end].copy_from_slice(&text.as_bytes()[..end]);
    let serial = row[0].load(Ordering::Relaxed).div_ceil(2);
    let slot = Slot::over(row);
    copy_out(&message, slot.begin(serial));
    slot.end(serial);
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
    fn the_last_message_is_read_and_long_ones_are_cut_between_characters() {
        let all: Vec<AtomicU64> = (0..MESSAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
        let get = || read(|into| SlotReader::over(&all).read(into));
        assert_eq!(get(), None);
        write(&all, 3, "no\nfeasible step");
        assert_eq!(get(), Some((3, "no feasible step".into())));
        write(&all, 4, &"ä".repeat(MESSAGE_BYTES));
        let (round, text) = get().unwrap();
        assert!(round == 4 && text.len() <= MESSAGE_BYTES && text.chars().all(|c| c == 'ä'));
    }
}
