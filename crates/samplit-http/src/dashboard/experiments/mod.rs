//! The list of experiments, and the form that makes one and changes it.

mod content;
mod editing;
mod fields;
mod list;
mod page;
mod steps;

pub(crate) use editing::{create, edit, new, save};
pub(crate) use list::list;
