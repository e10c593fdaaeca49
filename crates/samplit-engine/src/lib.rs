#![doc = include_str!("../README.md")]

mod access;
mod accounts;
mod assign;
mod auto_complete;
mod backtest;
mod bots;
mod checkpoints;
mod config;
mod convert;
mod core;
mod doctor;
mod editor;
mod engine;
mod erasure;
mod error;
mod excluded;
mod exclusions;
mod experiments;
mod exports;
mod failpoint;
mod flags;
mod funnels;
mod glance;
mod health;
mod idempotency;
mod installations;
mod leads;
mod live;
mod live_results;
mod meter;
mod misses;
mod of_account;
mod onboarding;
mod overview;
mod page;
mod page_events;
mod page_of;
mod planning;
mod plans;
mod preview;
mod proof;
mod reallocation;
mod redaction;
mod registration;
mod remembered;
mod restore;
mod results;
mod ring;
mod rule;
mod seal;
mod secret;
mod segments;
mod shops;
mod site;
mod source;
mod standing;
mod start;
mod trail;
mod trail_reader;
mod visitor;
mod webhooks;
mod writer;

pub use access::{CreatedApiKey, NewApiKey, Principal};
pub use accounts::{
    AccountChange, Device, Link, LinkInfo, Mail, MailSender, Mailing, NewKey, NewSession, NewUser,
    Password, Redeem, SignedIn, SignedInToken, UserChange, UserFilter, in_request,
};
pub use assign::{Assigned, NotRecorded};
pub use backtest::{
    Backtest, BacktestReport, BacktestRow, MalformedOldTests, OldArm, OldTest, OldTestColumns,
    RecordedOutcomes, read_old_tests,
};
pub use checkpoints::{CheckpointSink, StoredCheckpoint};
pub use config::EngineConfig;
pub use convert::Converted;
pub use doctor::{Check, Finding, Repair, Repairs};
pub use editor::Editor;
pub use engine::Engine;
pub use erasure::Erasure;
pub use error::{Error, ErrorKind};
pub use exclusions::{ExcludedSession, NewExclusion};
pub use experiments::{ExperimentChange, ExperimentFilter};
pub use exports::{Cell, Export, Row};
#[cfg(feature = "failpoints")]
pub use failpoint::{Failpoint, FailpointHook, on_failpoint};
pub use funnels::{
    FunnelChange, FunnelExperimentResults, FunnelFlow, FunnelResults, FunnelStepResults,
    FunnelSummary, FunnelTotals, FunnelVariantReach, FunnelVariantResults, NewFunnel,
};
pub use health::{CheckpointerStatus, Health};
pub use idempotency::{Answer, IdempotencyKey, Made, Once};
pub use installations::InstallationChange;
pub use leads::{
    CapturedLead, LEAD_COLUMNS, LeadChange, LeadFilter, LeadSubmission, SiftedLead, SoundLead,
};
pub use live_results::{LiveResults, ResultsWatch};
pub use overview::{HeldTrail, Overview};
pub use page::{PageView, SelectorHint};
pub use page_events::{EventOutcome, SelectorMiss};
pub use page_of::{Page, PageOf};
pub use planning::{ForecastRequest, ForecastResults, ForecastSpread, Target, WhatIf};
pub use plans::{PlanDraft, PlanUse, StripeHook, StripeSecret};
pub use proof::{Bundle, BundleRange, ConsistencyProof, InclusionProof, Verdict};
pub use registration::{Deviation, RegistrationReport};
pub use restore::Acknowledged;
pub use results::{
    ArmEvidence, ArmResults, Course, CourseArm, CoursePeriod, CoursePoint, DifferenceEvidence,
    DrawCourse, Effect, ElementResults, IntervalEstimate, LiftResults, Results,
    SampleRatioEvidence, StoppingCondition, StoppingProgress, TimelineArm, TimelinePoint,
    ValueDifferenceResults, ValueResults,
};
pub use rule::BanditRule;
pub use secret::{Purpose, Secret, SecretError, TokenError};
pub use segments::{Combination, Segment, SegmentArm, Segments};
pub use shops::{
    GrantBegun, GrantQuery, ShopAnswer, ShopClient, ShopRequest, ShopifyApp, ShopifyHook,
    WordPressOrders,
};
pub use source::{Entropy, SeededEntropy, SystemClock, SystemEntropy};
pub use standing::{Leader, Standing};
pub use trail_reader::{TrailEntry, TrailState};
pub use webhooks::{
    NewWebhook, WebhookAnswer, WebhookChange, WebhookFailure, WebhookRequest, WebhookSender,
    WebhookStatus, WebhookWithSecret,
};

// What a caller of the engine needs of the crates below it.
pub use samplit_audit::{
    DecisionType, DrawKey, Failure, FailureKind, Hash, KeyRing, KeyRingError, Report, Signer,
    VerifyingKey,
};
pub use samplit_domain::*;
pub use samplit_store::{BreakerState, PoolStatus};
