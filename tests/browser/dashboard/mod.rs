//! The dashboard in a real Chromium, as people use it.

mod axe;
mod desk;
mod door;
mod experiment;
mod forms;
mod leads;
mod onboarding;
mod pages;
mod people;
