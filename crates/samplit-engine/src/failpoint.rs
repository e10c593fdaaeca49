//! Places in the writer where a test may stop or kill the process; nothing without the feature
//! `failpoints`.
//!
//! The `fail` crate is not used: it blocks the thread where a point pauses, which here would be a
//! worker of the runtime, and it has not been released for years. The registry is one hook for the
//! whole process, because the process is what dies.

/// Waits at a point for as long as the hook wants.
#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    ($point:ident) => {
        $crate::failpoint::reach($crate::failpoint::Failpoint::$point).await
    };
}
#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($point:ident) => {};
}
pub(crate) use failpoint;

#[cfg(feature = "failpoints")]
pub(crate) use hook::reach;
#[cfg(feature = "failpoints")]
pub use hook::{Failpoint, FailpointHook, on_failpoint};

#[cfg(feature = "failpoints")]
mod hook {
    use std::sync::OnceLock;

    use futures_util::future::BoxFuture;

    /// A place in the writer's transaction, in the order in which a batch passes them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Failpoint {
        /// Nothing was sent yet.
        BeforeInsert,
        /// The rows of new visitors are inserted; no head is locked.
        AfterInsert,
        /// The heads are locked; nothing was appended.
        UnderLock,
        /// Everything is written but not committed.
        BeforeCommit,
        /// Committed; nobody was answered.
        AfterCommit,
    }

    impl Failpoint {
        /// Every point.
        pub const ALL: [Self; 5] = [
            Self::BeforeInsert,
            Self::AfterInsert,
            Self::UnderLock,
            Self::BeforeCommit,
            Self::AfterCommit,
        ];

        /// The word for it.
        #[must_use]
        pub const fn as_str(self) -> &'static str {
            match self {
                Self::BeforeInsert => "before_insert",
                Self::AfterInsert => "after_insert",
                Self::UnderLock => "under_lock",
                Self::BeforeCommit => "before_commit",
                Self::AfterCommit => "after_commit",
            }
        }
    }

    /// What happens at the points; the batch goes on when the future resolves.
    pub type FailpointHook = Box<dyn Fn(Failpoint) -> BoxFuture<'static, ()> + Send + Sync>;

    static HOOK: OnceLock<FailpointHook> = OnceLock::new();

    /// Sets what happens at the points of this process. The first call wins.
    ///
    /// # Errors
    /// The hook itself when there is one already.
    pub fn on_failpoint(hook: FailpointHook) -> Result<(), FailpointHook> {
        HOOK.set(hook)
    }

    pub(crate) async fn reach(point: Failpoint) {
        if let Some(hook) = HOOK.get() {
            hook(point).await;
        }
    }
}
