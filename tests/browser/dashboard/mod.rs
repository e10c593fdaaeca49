//! The dashboard in a real Chromium, as people use it.

mod axe;
mod crowd;
mod desk;
mod door;
mod experiment;
mod forms;
mod funnels;
mod pages;
mod people;
