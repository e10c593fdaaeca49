//! The body of the fuzz target on a few hundred inputs; `fuzz/` runs it for hours.

use proptest::prelude::*;

mod bodies;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn selector(
        kind in prop_oneof![
            Just("css".to_owned()), Just("xpath".to_owned()), Just("id".to_owned()),
            Just("class".to_owned()), ".{0,8}",
        ],
        value in prop_oneof![
            any::<String>(), "[ \t\n\0]{0,3}", "[a-z#.>\\[\\]/@'\"= ]{0,40}",
            (1_000_usize..1_050).prop_map(|length| "é".repeat(length)),
        ],
    ) {
        bodies::selector(format!("{kind}\n{value}").as_bytes());
    }

    #[test]
    fn selector_of_noise(data in prop::collection::vec(any::<u8>(), 0..256)) {
        bodies::selector(&data);
    }
}
