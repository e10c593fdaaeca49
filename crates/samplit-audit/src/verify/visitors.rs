//! What replay remembers of every visitor: the one thing whose memory grows with the trail.

use std::collections::{HashMap, hash_map::Entry};

use crate::Pseudonym;

/// No arm is known for this visitor and element.
const NONE: u16 = u16::MAX;

#[derive(Debug)]
pub(crate) struct Visitors {
    elements: usize,
    /// By the whole pseudonym: whoever writes a trail chooses what stands in it, and two that share a part
    /// must not pass for one.
    index: HashMap<Pseudonym, u32>,
    /// By visitor: the first assignment entry, and whether the visitor converted.
    first: Vec<(u64, bool)>,
    /// By visitor and element.
    arms: Vec<u16>,
}

/// One visitor.
pub(crate) struct Visitor<'a> {
    pub(crate) first_seq: u64,
    pub(crate) converted: &'a mut bool,
    arms: &'a mut [u16],
}

impl Visitor<'_> {
    pub(crate) fn arm(&self, element: usize) -> Option<u16> {
        Some(self.arms[element]).filter(|arm| *arm != NONE)
    }

    pub(crate) fn set_arm(&mut self, element: usize, arm: u16) {
        self.arms[element] = arm;
    }
}

impl Visitors {
    pub(crate) fn new(elements: usize) -> Self {
        Self {
            elements,
            index: HashMap::new(),
            first: Vec::new(),
            arms: Vec::new(),
        }
    }

    /// The visitor, if there is one by that pseudonym.
    pub(crate) fn get(&mut self, pseudonym: Pseudonym) -> Option<Visitor<'_>> {
        let index = *self.index.get(&pseudonym)?;
        Some(self.at(index))
    }

    /// The visitor, made with `first_seq` if there is none by that pseudonym.
    pub(crate) fn get_or_add(&mut self, pseudonym: Pseudonym, first_seq: u64) -> Visitor<'_> {
        let next = u32::try_from(self.first.len()).expect("fewer than 2^32 visitors fit in memory");
        let index = match self.index.entry(pseudonym) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(slot) => {
                self.first.push((first_seq, false));
                self.arms.resize(self.arms.len() + self.elements, NONE);
                *slot.insert(next)
            }
        };
        self.at(index)
    }

    fn at(&mut self, index: u32) -> Visitor<'_> {
        let index = usize::try_from(index).expect("an index in memory");
        let (first_seq, converted) = &mut self.first[index];
        let arms = &mut self.arms[index * self.elements..(index + 1) * self.elements];
        Visitor {
            first_seq: *first_seq,
            converted,
            arms,
        }
    }
}
