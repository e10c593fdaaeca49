#![doc = include_str!("../README.md")]

mod allocation;
mod best;
mod error;
mod number;
mod policy;
mod posterior;
mod quadrature;
mod weights;

pub use allocation::{Allocation, ArmState, Method, Rule, allocate};
pub use best::{expected_loss, p_best, prob_beats};
pub use error::Error;
pub use policy::{Policy, top_two};
pub use posterior::{Beta, Counts, Prior};
pub use weights::{SCALE, Weights, scale_to_ppb};
