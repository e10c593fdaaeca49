//! Trails, receipts and the format that others implement.

#[path = "../support/mod.rs"]
mod support;

mod check;
mod edits;
mod format;
mod golden;
mod histories;
mod notices;
mod receipts;
mod replay;
mod signatures;
mod sound;
mod vectors;
