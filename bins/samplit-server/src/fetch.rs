//! HTTP requests to others: of `audit watch` to the server it watches, of the webhook to its receiver.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// How long a request may take, answer included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes; notes and proofs are far shorter.
const MAX_ANSWER: usize = 1024 * 1024;

/// An HTTP/1.1 client, over TLS where the address says so. Follows no redirects.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Fetcher {
    /// Believes the certificate authorities of the operating system.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config()?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// Nobody answered in time, or with more than anybody should say.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Bytes>> {
        let answer = async {
            let (head, body) = self.0.request(request).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body
                .map_err(|error| anyhow!(error))
                .context("cannot read the answer")?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        let answer = tokio::time::timeout(TIMEOUT, answer).await;
        answer.with_context(|| format!("no answer within {} s", TIMEOUT.as_secs()))?
    }
}

/// TLS that believes the certificate authorities of the operating system.
pub(crate) fn tls_config() -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot use TLS")?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// An address on the web.
///
/// # Errors
/// It does not begin with `http://` or `https://` and a host. The text is not repeated.
pub(crate) fn web_address(text: &str) -> Result<Uri, String> {
    let uri: Option<Uri> = text.parse().ok();
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        .ok_or_else(|| "write http:// or https://, a host and a path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::web_address;

    #[test]
    fn only_the_web_is_an_address() {
        assert!(web_address("https://hooks.example.org:8443/samplit?a=1").is_ok());
        assert!(web_address("http://127.0.0.1:9000").is_ok());
        for bad in ["", "/path", "example.org", "ftp://example.org/", "https://"] {
            assert!(web_address(bad).is_err(), "{bad}");
        }
    }
}
