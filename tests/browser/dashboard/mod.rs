//! The dashboard in a real Chromium, as people use it.

mod axe;
mod crowd;
mod desk;
mod door;
mod experiment;
mod first;
mod forms;
mod funnels;
mod kinds;
mod leads;
mod onboarding;
mod pages;
mod people;
