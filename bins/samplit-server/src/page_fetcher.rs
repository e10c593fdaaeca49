//! Fetches a page that a customer names, to find the snippet on it.
//!
//! Somebody who may name an address must not be able to look into our network through it. So the name
//! is resolved here, every address that is not public is refused, and what is connected to is one
//! that was looked at: a name that stands for something else a moment later gains nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use samplit_http::{FetchFailure, FetchedPage, PageFetcher, is_public_address};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::fetch::tls_config;

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a page is read, in bytes.
const MAX_PAGE: usize = 1024 * 1024;

/// Fetches pages from public addresses.
pub(crate) struct PublicFetcher {
    tls: TlsConnector,
    /// For tests: whether sites of this machine count as public.
    allow_loopback: bool,
}

impl std::fmt::Debug for PublicFetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicFetcher").finish_non_exhaustive()
    }
}

impl PublicFetcher {
    /// Believes the certificate authorities of the operating system.
    pub(crate) fn new(allow_loopback: bool) -> anyhow::Result<Self> {
        Ok(Self {
            tls: Arc::new(tls_config()?).into(),
            allow_loopback,
        })
    }

    async fn get(&self, url: &str) -> anyhow::Result<FetchedPage> {
        let uri: Uri = url.parse()?;
        let host = uri.host().context("a URL without a host")?;
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = self.connect(host, port).await?;
        let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(
                HOST,
                uri.authority().map_or(host, |authority| authority.as_str()),
            )
            .header(USER_AGENT, concat!("samplit/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "text/html")
            .body(Empty::new())?;
        let answer = if is_secure {
            let name = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(name.to_owned())?;
            ask(self.tls.connect(name, stream).await?, request).await?
        } else {
            ask(stream, request).await?
        };
        let status = answer.status().as_u16();
        let body = beginning(answer.into_body()).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(FetchedPage { status, body })
    }

    async fn connect(&self, host: &str, port: u16) -> anyhow::Result<TcpStream> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
        // One among them that is ours is reason enough: nobody's site has one.
        if !addresses.iter().all(|address| self.is_allowed(*address)) {
            return Err(FetchFailure::AddressRefused.into());
        }
        let mut failure = anyhow!("the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    fn is_allowed(&self, address: SocketAddr) -> bool {
        let address = address.ip().to_canonical();
        is_public_address(address) || (self.allow_loopback && address.is_loopback())
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> anyhow::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer, or when nobody waits for it any more.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// As much of a body as is read; the rest is never asked for.
async fn beginning(mut body: Incoming) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        if let Some(data) = frame.data_ref() {
            let room = MAX_PAGE - page.len();
            page.extend_from_slice(&data[..data.len().min(room)]);
        }
        if page.len() == MAX_PAGE {
            break;
        }
    }
    Ok(page)
}

impl PageFetcher for PublicFetcher {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<FetchedPage, FetchFailure>> {
        Box::pin(async move {
            let page = match tokio::time::timeout(TIMEOUT, self.get(url)).await {
                Ok(page) => page,
                Err(_elapsed) => Err(anyhow!("no answer within {} s", TIMEOUT.as_secs())),
            };
            page.map_err(|error| match error.downcast() {
                Ok(failure) => failure,
                Err(error) => FetchFailure::Unreachable(format!("{error:#}")),
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
