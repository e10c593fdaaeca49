//! A throwaway PostgreSQL for demo and tests.
