//! The nouns of Samplit: experiments, variants, assignments, conversions. Pure.
