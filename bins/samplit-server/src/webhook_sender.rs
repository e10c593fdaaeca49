//! Posts what happens to the addresses that customers name.

use std::time::Duration;

use anyhow::{anyhow, ensure};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use samplit_engine::{WebhookAnswer, WebhookFailure, WebhookRequest, WebhookSender};
use tokio::time::{Instant, timeout_at};

use crate::public_client::{AddressRefused, Besides, PublicClient, beginning};

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 1_024;

/// Posts to public addresses over HTTPS.
#[derive(Debug)]
pub(crate) struct PublicSender {
    client: PublicClient,
    allow_private: bool,
}

impl PublicSender {
    /// Believes the certificate authorities of the operating system. `allow_private`: talks to every
    /// address, and without TLS where the address says so.
    pub(crate) fn new(allow_private: bool) -> anyhow::Result<Self> {
        let besides = if allow_private {
            Besides::Everything
        } else {
            Besides::Nothing
        };
        Ok(Self {
            client: PublicClient::new(besides)?,
            allow_private,
        })
    }

    async fn post(&self, request: &WebhookRequest) -> anyhow::Result<WebhookAnswer> {
        let deadline = Instant::now() + TIMEOUT;
        // It may have been allowed when the address was named.
        ensure!(
            self.allow_private || request.url.starts_with("https://"),
            "it is not at https://"
        );
        let post = Request::post(&request.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &request.id)
            .header("webhook-timestamp", request.timestamp)
            .header("webhook-signature", &request.signature)
            .body(Full::new(Bytes::from(request.body.clone())))?;
        let answer = timeout_at(deadline, self.client.send(post)).await;
        let answer =
            answer.map_err(|_elapsed| anyhow!("no answer within {} s", TIMEOUT.as_secs()))??;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(RETRY_AFTER);
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        // Whoever says 200 has taken it, however the rest of the answer goes on.
        let (body, _broken) = beginning(answer.into_body(), MAX_ANSWER, deadline).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(WebhookAnswer {
            status,
            retry_after,
            body,
        })
    }
}

impl WebhookSender for PublicSender {
    fn send<'a>(
        &'a self,
        request: &'a WebhookRequest,
    ) -> BoxFuture<'a, Result<WebhookAnswer, WebhookFailure>> {
        Box::pin(async move {
            self.post(request).await.map_err(|error| {
                if error.is::<AddressRefused>() {
                    WebhookFailure::AddressRefused
                } else {
                    WebhookFailure::Unreachable(format!("{error:#}"))
                }
            })
        })
    }

    fn allows_plain(&self) -> bool {
        self.allow_private
    }
}

#[cfg(test)]
mod tests {
    use samplit_engine::{WebhookAnswer, WebhookFailure, WebhookRequest, WebhookSender as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::{MAX_ANSWER, PublicSender};

    fn request(url: &str) -> WebhookRequest {
        WebhookRequest {
            url: url.to_owned(),
            id: "7".to_owned(),
            timestamp: 1_614_265_330,
            signature: "v1,abc".to_owned(),
            body: "{\"a\":1}".to_owned(),
        }
    }

    /// Answers one request with `answer`, and leaves the connection open until it is told; the address,
    /// and what was asked.
    async fn receiver(
        answer: Vec<u8>,
        end: oneshot::Receiver<()>,
    ) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=1", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = String::new();
            while !asked.ends_with("{\"a\":1}") {
                let mut part = [0; 1024];
                let length = stream.read(&mut part).await.unwrap();
                asked.push_str(&String::from_utf8_lossy(&part[..length]));
            }
            // The sender may have read enough before the end.
            let _ = stream.write_all(&answer).await;
            let _ = end.await;
            asked
        });
        (url, served)
    }

    async fn answered(answer: impl Into<Vec<u8>>) -> (WebhookAnswer, String) {
        let (end, ended) = oneshot::channel();
        let (url, served) = receiver(answer.into(), ended).await;
        let sender = PublicSender::new(true).unwrap();
        let answer = sender.send(&request(&url)).await.unwrap();
        end.send(()).unwrap();
        (answer, served.await.unwrap())
    }

    #[tokio::test]
    async fn a_message_is_posted_with_its_headers_and_a_redirect_is_not_followed() {
        let moved = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://10.0.0.1/\r\n\
            Content-Length: 4\r\n\r\ngone";
        let (answer, asked) = answered(moved).await;
        assert_eq!((answer.status, answer.body.as_str()), (307, "gone"));
        assert!(
            asked.starts_with("POST /hook?key=1 HTTP/1.1\r\n"),
            "{asked}"
        );
        for header in [
            "content-type: application/json",
            "webhook-id: 7",
            "webhook-timestamp: 1614265330",
            "webhook-signature: v1,abc",
            "host: 127.0.0.1:",
            "user-agent: samplit/",
        ] {
            assert!(asked.contains(&format!("\r\n{header}")), "{asked}");
        }
    }

    #[tokio::test]
    async fn when_to_try_again_is_passed_on_as_it_came() {
        let busy =
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
        let (answer, _) = answered(busy).await;
        assert_eq!(
            (answer.status, answer.retry_after.as_deref()),
            (429, Some("120"))
        );
        let odd = "HTTP/1.1 503 Away\r\nRetry-After: \u{e9}\r\nContent-Length: 0\r\n\r\n";
        let (answer, _) = answered(odd).await;
        assert_eq!((answer.status, answer.retry_after), (503, None));
    }

    #[tokio::test]
    async fn of_a_huge_answer_the_beginning_is_read() {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n".to_vec();
        answer.resize(answer.len() + 100_000, b'x');
        let (answer, _) = answered(answer).await;
        assert_eq!((answer.status, answer.body.len()), (200, MAX_ANSWER));
    }

    #[tokio::test]
    async fn what_is_not_public_is_not_even_connected_to_and_nothing_goes_without_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sender = PublicSender::new(false).unwrap();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"] {
            let sent = sender
                .send(&request(&format!("https://{host}:{port}/")))
                .await;
            assert_eq!(sent, Err(WebhookFailure::AddressRefused), "{host}");
            let plain = sender
                .send(&request(&format!("http://{host}:{port}/")))
                .await;
            assert!(
                matches!(plain, Err(WebhookFailure::Unreachable(_))),
                "{host}"
            );
        }
        for host in ["10.0.0.1", "192.168.1.1", "169.254.169.254", "[fd00::1]"] {
            let sent = sender.send(&request(&format!("https://{host}/"))).await;
            assert_eq!(sent, Err(WebhookFailure::AddressRefused), "{host}");
        }
        let nobody = std::future::poll_fn(|context| {
            std::task::Poll::Ready(listener.poll_accept(context).is_pending())
        });
        assert!(nobody.await);
    }

    #[tokio::test]
    async fn nobody_there_is_told_in_words_without_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/t0ken", listener.local_addr().unwrap());
        drop(listener);
        let sender = PublicSender::new(true).unwrap();
        let Err(WebhookFailure::Unreachable(why)) = sender.send(&request(&url)).await else {
            panic!("it is reached");
        };
        assert!(why.contains("refused") && !why.contains("t0ken"), "{why}");
    }
}
