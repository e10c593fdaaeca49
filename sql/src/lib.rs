//! The schema of Samplit as embedded migrations.
