#![doc = include_str!("../README.md")]

mod adaptive;
mod allocation;
mod best;
mod cuped;
mod error;
mod estimate;
mod lift;
mod multiple;
mod number;
mod policy;
mod posterior;
mod proportion;
mod quadrature;
mod sample_ratio;
mod sequence;
mod snapshot;
mod special;
mod value;
mod weights;

pub use adaptive::{adaptive_difference, adaptive_mean};
pub use allocation::{Allocation, ArmState, Method, Rule, allocate};
pub use best::{expected_loss, p_best, prob_beats};
pub use cuped::{CovariateSums, Cuped, cuped};
pub use error::Error;
pub use estimate::Estimate;
pub use lift::{Lift, expected_gain, lift};
pub use multiple::{bonferroni, holm};
pub use policy::{Policy, top_two};
pub use posterior::{Beta, Counts, Prior};
pub use proportion::{ZTest, newcombe, two_proportion_z, wilson};
pub use sample_ratio::{SampleRatio, Verdict, sample_ratio};
pub use sequence::{Centring, Contrast, Sequence, confidence_sequence, planned_variance, tune};
pub use snapshot::Snapshot;
pub use value::{StudentT, ValuePrior, ValueSums, expected_loss_value, p_best_value};
pub use weights::{SCALE, Weights, scale_to_ppb};
