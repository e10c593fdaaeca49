//! HTTP requests to addresses that strangers name.
//!
//! Somebody who may name an address must not be able to look into our network through it. So the name
//! is resolved here, every address that is not public is refused, and what is connected to is one
//! that was looked at: a name that stands for something else a moment later gains nothing.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use samplit_http::is_public_address;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::fetch::tls_config;

/// Which addresses may be talked to besides those of the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Besides {
    /// None.
    Nothing,
    /// Those of this machine; for tests.
    Loopback,
    /// All, which lets whoever names an address look into our network.
    Everything,
}

/// The name stands for an address that may not be talked to.
#[derive(Debug)]
pub(crate) struct AddressRefused;

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not public")
    }
}

impl std::error::Error for AddressRefused {}

/// An HTTP/1.1 client, over TLS where the address says so. Follows no redirects, and has a connection
/// per request.
pub(crate) struct PublicClient {
    tls: TlsConnector,
    besides: Besides,
}

impl fmt::Debug for PublicClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicClient")
            .field("besides", &self.besides)
            .finish_non_exhaustive()
    }
}

impl PublicClient {
    /// Believes the certificate authorities of the operating system.
    pub(crate) fn new(besides: Besides) -> anyhow::Result<Self> {
        Ok(Self {
            tls: Arc::new(tls_config()?).into(),
            besides,
        })
    }

    /// Sends a request to where its URI says.
    ///
    /// # Errors
    /// [`AddressRefused`], or nobody answered.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Incoming>> {
        let uri = std::mem::take(request.uri_mut());
        let host = uri.host().context("a URL without a host")?;
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let agent = concat!("samplit/", env!("CARGO_PKG_VERSION"));
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(authority)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        *request.uri_mut() = match uri.path_and_query() {
            Some(path) => Uri::from(path.clone()),
            None => Uri::from_static("/"),
        };
        let stream = self.connect(host, port).await?;
        if is_secure {
            let name = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(name.to_owned())?;
            ask(self.tls.connect(name, stream).await?, request).await
        } else {
            ask(stream, request).await
        }
    }

    async fn connect(&self, host: &str, port: u16) -> anyhow::Result<TcpStream> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
        // One among them that is ours is reason enough: nobody's site has one.
        if !addresses.iter().all(|address| self.is_allowed(*address)) {
            return Err(AddressRefused.into());
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
        match self.besides {
            Besides::Nothing => is_public_address(address),
            Besides::Loopback => is_public_address(address) || address.is_loopback(),
            Besides::Everything => true,
        }
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer, or when nobody waits for it any more.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// As much of a body as comes until `deadline`, and no more than `most` bytes; the rest is never asked
/// for. Says whether it broke off.
pub(crate) async fn beginning(
    mut body: Incoming,
    most: usize,
    deadline: Instant,
) -> (Vec<u8>, Option<anyhow::Error>) {
    let mut read = Vec::new();
    while read.len() < most {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let room = most - read.len();
                    read.extend_from_slice(&data[..data.len().min(room)]);
                }
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => return (read, Some(error.into())),
            Err(_elapsed) => return (read, Some(anyhow!("the answer does not end"))),
        }
    }
    (read, None)
}
