//! What the service counts and times. Labels hold the pattern of a route, never a raw path.

use std::{sync::OnceLock, time::Duration};

use hyper::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// The statuses that this service answers with; others are counted as `other`.
const STATUSES: [StatusCode; 17] = [
    StatusCode::OK,
    StatusCode::CREATED,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::CONFLICT,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::NOT_MODIFIED,
];

/// The metrics of one route, looked up in the recorder once and not at every request.
pub(crate) struct Meter {
    route: &'static str,
    requests: [OnceLock<Counter>; STATUSES.len() + 1],
    duration: OnceLock<Histogram>,
}

impl Meter {
    pub(crate) fn new(route: &'static str) -> Self {
        Self {
            route,
            requests: std::array::from_fn(|_| OnceLock::new()),
            duration: OnceLock::new(),
        }
    }

    /// Counts an answer that took `elapsed` to make.
    pub(crate) fn record(&self, status: StatusCode, elapsed: Duration) {
        let slot = STATUSES.iter().position(|known| *known == status);
        let requests = &self.requests[slot.unwrap_or(STATUSES.len())];
        let counter = requests.get_or_init(|| {
            let status = slot
                .map_or("other", |slot| STATUSES[slot].as_str())
                .to_owned();
            counter!("samplit_http_requests_total", "route" => self.route, "status" => status)
        });
        counter.increment(1);
        let duration = self.duration.get_or_init(
            || histogram!("samplit_http_request_duration_seconds", "route" => self.route),
        );
        duration.record(elapsed.as_secs_f64());
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Meter").field(&self.route).finish()
    }
}

/// Counts a refusal. Refusals are few, so the recorder is asked each time.
pub(crate) fn count_refusal(code: &'static str) {
    counter!("samplit_http_refusals_total", "code" => code).increment(1);
}

/// The one list of the service's metrics, told to the recorder.
pub(crate) fn describe() {
    describe_counter!(
        "samplit_http_requests_total",
        "Answers, by route and status"
    );
    describe_histogram!(
        "samplit_http_request_duration_seconds",
        metrics::Unit::Seconds,
        "Time from the head of a request to the head of its answer, by route"
    );
    describe_counter!(
        "samplit_http_refusals_total",
        "Requests that were refused, by the code of the problem"
    );
    describe_gauge!(
        "samplit_http_connections",
        "Connections open now, by listener"
    );
}

/// Counts a connection for as long as it lives.
pub(crate) struct OpenConnection(Gauge);

impl OpenConnection {
    pub(crate) fn on(listener: &'static str) -> Self {
        let gauge = gauge!("samplit_http_connections", "listener" => listener);
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
