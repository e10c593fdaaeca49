//! A client: keeps one connection per replica open, and says precisely what it does not know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::history::{Outcome, Row, What};

/// When a client stops waiting; longer than the server takes to give up.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where clients find the service.
pub(crate) struct Front {
    pub(crate) token: String,
    pub(crate) experiment: String,
    /// Per replica; `None` while it is known to be away.
    pub(crate) replicas: Vec<Mutex<Option<SocketAddr>>>,
}

/// How a request failed to be answered.
enum Failure {
    /// It was certainly not sent.
    NotSent,
    /// It was sent, and no whole answer came back.
    Lost(String),
}

type Sender = SendRequest<Full<Bytes>>;

/// One client.
pub(crate) struct Client {
    pub(crate) front: Arc<Front>,
    /// Per replica: the connection and whereto it goes.
    open: Vec<Option<(SocketAddr, Sender)>>,
}

impl Client {
    pub(crate) fn new(front: &Arc<Front>) -> Self {
        Self {
            front: Arc::clone(front),
            open: front.replicas.iter().map(|_| None).collect(),
        }
    }

    /// Asks one replica once.
    pub(crate) async fn ask(&mut self, replica: usize, visitor: &str, what: &What) -> Outcome {
        let (verb, body) = match what {
            What::Assign => ("assign", json!({ "visitor_id": visitor })),
            What::Convert(event) => (
                "convert",
                json!({ "visitor_id": visitor, "event_id": event }),
            ),
        };
        let path = format!("/v1/experiments/{}/{verb}", self.front.experiment);
        match self.post(replica, &path, body.to_string()).await {
            Ok((status, answer)) => read(status, &answer),
            Err(Failure::NotSent) => Outcome::Refused("not_sent".to_owned()),
            Err(Failure::Lost(why)) => Outcome::Unknown(why),
        }
    }

    async fn post(
        &mut self,
        replica: usize,
        path: &str,
        body: String,
    ) -> Result<(u16, Json), Failure> {
        let address = self.front.replicas[replica]
            .lock()
            .ok_or(Failure::NotSent)?;
        let open = self.open[replica].take().filter(|(to, _)| *to == address);
        let mut sender = match open {
            Some((_, sender)) if !sender.is_closed() => sender,
            _ => connect(address).await.ok_or(Failure::NotSent)?,
        };
        if sender.ready().await.is_err() {
            return Err(Failure::NotSent);
        }
        let request = Request::post(path)
            .header("host", "faults")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.front.token))
            .body(Full::from(body))
            .unwrap();
        let lost = |error: hyper::Error| {
            if error.is_canceled() {
                Failure::NotSent
            } else {
                Failure::Lost(error.to_string())
            }
        };
        let answered = async {
            let answer = sender.send_request(request).await.map_err(lost)?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.map_err(lost)?.to_bytes();
            let body = serde_json::from_slice(&body);
            Ok((
                status,
                body.map_err(|error| Failure::Lost(error.to_string()))?,
            ))
        };
        let answer = timeout(DEADLINE, answered).await;
        let answer =
            answer.unwrap_or_else(|_| Err(Failure::Lost("no answer in time".to_owned())))?;
        self.open[replica] = Some((address, sender));
        Ok(answer)
    }
}

async fn connect(address: SocketAddr) -> Option<Sender> {
    let stream = timeout(DEADLINE, TcpStream::connect(address))
        .await
        .ok()?
        .ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

/// What an answer means for what is in the database.
pub(crate) fn read(status: u16, answer: &Json) -> Outcome {
    let code = answer["code"].as_str().unwrap_or_default();
    match (status, code) {
        (200, _) if answer["converted_at"].is_string() => Outcome::Converted {
            duplicate: answer["duplicate"] == true,
        },
        (200, _) if answer["in_experiment"] == true => Outcome::Assigned {
            row: row(answer),
            is_new: answer["is_new"] == true,
        },
        (200, _) if answer["in_experiment"] == false => Outcome::NotRecorded,
        (404, "not_assigned") => Outcome::NotAssigned,
        (503, "overloaded" | "database_unavailable") => Outcome::Refused(code.to_owned()),
        (503, "outcome_unknown" | "timeout") => Outcome::Unknown(code.to_owned()),
        _ => Outcome::Wrong(format!("{status} {answer}")),
    }
}

fn row(answer: &Json) -> Row {
    let uuid = |value: &Json| value.as_str().unwrap().parse().unwrap();
    let variants = answer["variants"].as_array().unwrap().iter();
    Row {
        id: uuid(&answer["assignment_id"]),
        variants: variants
            .map(|variant| (uuid(&variant["element_id"]), uuid(&variant["variant_id"])))
            .collect(),
    }
}
