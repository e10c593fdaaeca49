//! The rules that turn the probability of being best into the probability of being played.
//!
//! One file per rule that has mathematics of its own; [`crate::allocate`] applies them.

mod top_two;

pub use top_two::top_two;

/// How traffic follows the evidence.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Policy {
    /// Play each arm with the probability that it is the best (Thompson 1933): earns most while
    /// it learns.
    #[default]
    Thompson,
    /// Split traffic between the leader and its challengers (Russo 2016, 2020): finds the best
    /// arm sooner.
    TopTwo,
    /// These shares from first to last, one per arm, with sum 1. No warm-up and no floor apply.
    Fixed(Vec<f64>),
}
