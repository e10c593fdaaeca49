//! The server that is watched.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use samplit_audit::Hash;
use samplit_engine::ExperimentId;
use serde::Deserialize;

use crate::fetch::Fetcher;
use crate::output::foreign;
use crate::settings::Secret;

/// The longest proof is two hashes for each of 64 levels; more than that is no proof.
const MAX_PROOF: usize = 128;

#[derive(Debug)]
pub(super) struct Server {
    fetcher: Fetcher,
    base: String,
    experiment: String,
    authorization: Option<HeaderValue>,
}

/// What a server says to a question about its trail.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// What was asked for.
    Shown(T),
    /// There is no such thing, in its own words.
    Refused(String),
}

/// What is read of a consistency proof; its sizes and roots are those of the signed checkpoints.
#[derive(Deserialize)]
struct Proof {
    proof: Vec<String>,
}

/// What is read of a problem document.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Server {
    /// `url` is that of the experiment, whose id is the last part of its path.
    pub(super) fn new(url: &Uri, token_file: Option<&Path>) -> anyhow::Result<Self> {
        ensure!(url.query().is_none(), "the address takes no query");
        let base = url.to_string().trim_end_matches('/').to_owned();
        let id: Option<ExperimentId> = base.rsplit('/').next().and_then(|id| id.parse().ok());
        let id = id.context("the address must end with /v1/experiments/ and an id")?;
        let authorization = match token_file {
            None => None,
            Some(file) => {
                let token = Secret::read(file)?;
                let value = HeaderValue::try_from(format!("Bearer {}", token.expose().trim()));
                let mut value = value.ok().context("the token is not one line of ASCII")?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            fetcher: Fetcher::new()?,
            experiment: id.to_string(),
            base,
            authorization,
        })
    }

    /// The id of the experiment, as it stands in the origin of its trail.
    pub(super) fn experiment(&self) -> &str {
        &self.experiment
    }

    /// The latest signed note.
    pub(super) async fn checkpoint(&self) -> anyhow::Result<Answer<String>> {
        Ok(match self.get("checkpoint").await? {
            // What is not text is not signed either.
            Answer::Shown(body) => Answer::Shown(String::from_utf8_lossy(&body).into_owned()),
            Answer::Refused(why) => Answer::Refused(why),
        })
    }

    /// The proof that the first `second` entries begin with the first `first`; an empty one, which
    /// proves nothing, where the answer is none.
    pub(super) async fn consistency(
        &self,
        first: u64,
        second: u64,
    ) -> anyhow::Result<Answer<Vec<Hash>>> {
        let question = format!("proof/consistency?first={first}&second={second}");
        Ok(match self.get(&question).await? {
            Answer::Shown(body) => Answer::Shown(hashes(&body).unwrap_or_default()),
            Answer::Refused(why) => Answer::Refused(why),
        })
    }

    /// # Errors
    /// There is no answer, or none about the trail.
    async fn get(&self, question: &str) -> anyhow::Result<Answer<Bytes>> {
        let mut request = Request::get(format!("{}/audit/{question}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let (head, body) = self
            .fetcher
            .send(request.body(Full::default())?)
            .await?
            .into_parts();
        let detail = || {
            let problem: Option<Problem> = serde_json::from_slice(&body).ok();
            let detail = problem.map(|problem| format!(": {}", foreign(&problem.detail)));
            format!("{}{}", head.status, detail.unwrap_or_default())
        };
        match head.status {
            StatusCode::OK => Ok(Answer::Shown(body)),
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(Answer::Refused(detail()))
            }
            _ => bail!("it answered {}", detail()),
        }
    }
}

fn hashes(body: &[u8]) -> Option<Vec<Hash>> {
    let Proof { proof } = serde_json::from_slice(body).ok()?;
    let hashes: Option<_> = proof.iter().map(|hash| hash.parse().ok()).collect();
    hashes.filter(|_| proof.len() <= MAX_PROOF)
}
