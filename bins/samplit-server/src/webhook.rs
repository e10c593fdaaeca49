//! Posts checkpoints to an address of the operator's choice, out of reach of whoever holds the database.

use std::error::Error;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Uri};
use samplit_engine::{CheckpointSink, StoredCheckpoint};

use crate::fetch::Fetcher;

/// Receives checkpoints as `POST`, the note as `text/plain`. What it does not answer with 2xx is posted
/// again after a pause, so it may see a checkpoint more than once; and of what comes while it is slow
/// or away it sees the newest of each trail.
#[derive(Debug)]
pub(crate) struct Webhook {
    address: Uri,
    fetcher: Fetcher,
}

impl Webhook {
    pub(crate) fn new(address: Uri) -> anyhow::Result<Self> {
        let fetcher = Fetcher::new()?;
        Ok(Self { address, fetcher })
    }
}

impl CheckpointSink for Webhook {
    fn publish<'a>(
        &'a self,
        checkpoint: &'a StoredCheckpoint,
    ) -> BoxFuture<'a, Result<(), Box<dyn Error + Send + Sync>>> {
        Box::pin(async move {
            let request = Request::post(&self.address)
                .header(CONTENT_TYPE, "text/plain; charset=utf-8")
                .header("Samplit-Experiment", checkpoint.experiment_id.to_string())
                .header("Samplit-Incarnation", checkpoint.incarnation)
                .body(Full::new(Bytes::from(checkpoint.note.clone())))?;
            // The address stands in no message: it may hold a secret.
            let status = self.fetcher.send(request).await?.status();
            if status.is_success() {
                Ok(())
            } else {
                Err(format!("the webhook answered {status}").into())
            }
        })
    }
}
