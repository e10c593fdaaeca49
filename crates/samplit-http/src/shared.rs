//! What all who watch an experiment are told, made once for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use samplit_engine::LiveResults;
use tokio::sync::OnceCell;

/// In which words something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// The event of the API.
    Json,
    /// The event of the dashboard.
    Html,
}

/// The newest event of each experiment and shape, with the results that it was made of.
type Newest = HashMap<(ExperimentId, Shape), (Weak<LiveResults>, Arc<OnceCell<Bytes>>)>;

/// What was made of results that somebody still holds.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Newest>);

impl Shared {
    /// What `make` makes of `results`: by whoever asks first, on a thread where it may take its time.
    pub(crate) async fn event(
        &self,
        shape: Shape,
        results: Arc<LiveResults>,
        make: fn(&LiveResults) -> Bytes,
    ) -> Bytes {
        let cell = self.cell(shape, &results);
        let made = cell.get_or_init(|| async {
            let made = tokio::task::spawn_blocking(move || make(&results));
            made.await.expect("making an event does not panic")
        });
        made.await.clone()
    }

    fn cell(&self, shape: Shape, results: &Arc<LiveResults>) -> Arc<OnceCell<Bytes>> {
        let mut newest = self.0.lock();
        let key = (results.results.experiment.id, shape);
        if let Some((of, cell)) = newest.get(&key)
            && of.as_ptr() == Arc::as_ptr(results)
        {
            return Arc::clone(cell);
        }
        // What nobody holds any more is of no use to anybody.
        newest.retain(|_, (of, _)| of.strong_count() > 0);
        let cell = Arc::default();
        newest.insert(key, (Arc::downgrade(results), Arc::clone(&cell)));
        cell
    }
}
