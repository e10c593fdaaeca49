//! Fetches a page that a customer names, to find the snippet on it.

use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::Request;
use hyper::header::ACCEPT;
use samplit_http::{FetchFailure, FetchedPage, PageFetcher};
use tokio::time::{Instant, timeout_at};

use crate::public_client::{AddressRefused, Besides, PublicClient, beginning};

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a page is read, in bytes.
const MAX_PAGE: usize = 1024 * 1024;

/// Fetches pages from public addresses.
#[derive(Debug)]
pub(crate) struct PublicFetcher(PublicClient);

impl PublicFetcher {
    /// Believes the certificate authorities of the operating system. `allow_loopback`, for tests:
    /// whether sites of this machine count as public.
    pub(crate) fn new(allow_loopback: bool) -> anyhow::Result<Self> {
        let besides = if allow_loopback {
            Besides::Loopback
        } else {
            Besides::Nothing
        };
        Ok(Self(PublicClient::new(besides)?))
    }

    async fn get(&self, url: &str) -> anyhow::Result<FetchedPage> {
        let deadline = Instant::now() + TIMEOUT;
        let too_late = || anyhow!("no answer within {} s", TIMEOUT.as_secs());
        let request = Request::get(url).header(ACCEPT, "text/html");
        let asking = self.0.send(request.body(Full::<Bytes>::default())?);
        let answer = timeout_at(deadline, asking).await;
        let answer = answer.map_err(|_elapsed| too_late())??;
        let status = answer.status().as_u16();
        let (body, broken) = beginning(answer.into_body(), MAX_PAGE, deadline).await;
        if let Some(error) = broken {
            return Err(error);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(FetchedPage { status, body })
    }
}

impl PageFetcher for PublicFetcher {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<FetchedPage, FetchFailure>> {
        Box::pin(async move {
            self.get(url).await.map_err(|error| {
                if error.is::<AddressRefused>() {
                    FetchFailure::AddressRefused
                } else {
                    FetchFailure::Unreachable(format!("{error:#}"))
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use samplit_http::{FetchFailure, PageFetcher as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::{MAX_PAGE, PublicFetcher};

    /// Answers one request with `answer` and hangs up; the address, and what was asked.
    async fn site(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/shop?a=1", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            // The client may have seen enough before the end.
            let _ = stream.write_all(&answer).await;
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (url, served)
    }

    #[tokio::test]
    async fn a_page_is_read_and_a_redirect_is_not_followed() {
        let fetcher = PublicFetcher::new(true).unwrap();
        let (url, asked) =
            site(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()).await;
        let page = fetcher.fetch(&url).await.unwrap();
        assert_eq!((page.status, page.body.as_str()), (200, "hello"));
        assert!(
            asked
                .await
                .unwrap()
                .starts_with("GET /shop?a=1 HTTP/1.1\r\n")
        );
        let moved = "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n";
        let (url, _) = site(moved.into()).await;
        assert_eq!(fetcher.fetch(&url).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn of_a_long_page_the_beginning_is_read() {
        let fetcher = PublicFetcher::new(true).unwrap();
        let length = 3 * MAX_PAGE;
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + length, b'x');
        let (url, _) = site(answer).await;
        assert_eq!(fetcher.fetch(&url).await.unwrap().body.len(), MAX_PAGE);
    }

    #[tokio::test]
    async fn what_is_not_public_is_not_even_connected_to() {
        let fetcher = PublicFetcher::new(false).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"] {
            let fetched = fetcher.fetch(&format!("http://{host}:{port}/")).await;
            assert_eq!(fetched, Err(FetchFailure::AddressRefused), "{host}");
        }
        let nobody = std::future::poll_fn(|context| {
            std::task::Poll::Ready(listener.poll_accept(context).is_pending())
        });
        assert!(nobody.await);
        let fetched = fetcher.fetch("http://10.0.0.1/").await;
        assert_eq!(fetched, Err(FetchFailure::AddressRefused));
    }
}
