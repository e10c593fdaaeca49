//! Bytes that were sound once: a few random edits of a given text.

use proptest::{collection::vec, prelude::*, sample::Index};

/// One edit. Places are shares of the length, so that they fit whatever the edits before left.
#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Delete(Index, usize),
    Insert(Index, Vec<u8>),
    /// Copies a run from the first place to the second.
    Splice(Index, usize, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        (place(), 0_u8..8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (place(), 1_usize..64).prop_map(|(at, length)| Edit::Delete(at, length)),
        (place(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place(), "[-0-9a-f{}\\[\\]\",:\\\\ \n]{1,8}")
            .prop_map(|(at, text)| Edit::Insert(at, text.into_bytes())),
        (place(), 1_usize..512, place())
            .prop_map(|(from, length, to)| Edit::Splice(from, length, to)),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let run = |at: usize, length: usize| at..(at + length).min(bytes.len());
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, bit) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Delete(at, length) => drop(bytes.drain(run(place(at), *length))),
            Self::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Splice(from, length, to) => {
                let (copied, to) = (bytes[run(place(from), *length)].to_vec(), place(to));
                bytes.splice(to..to, copied);
            }
        }
    }
}

/// One of the `seeds` after one to four edits.
pub(crate) fn mutants(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec(edit(), 1..5);
    (prop::sample::select(seeds), edits).prop_map(|(mut bytes, edits)| {
        edits.iter().for_each(|edit| edit.apply(&mut bytes));
        bytes
    })
}
