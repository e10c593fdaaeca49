//! Asks shops of Shopify, over HTTPS.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Request, Uri};
use samplit_engine::{ShopAnswer, ShopClient, ShopRequest};

use crate::fetch::Fetcher;

/// The header that carries the token of a shop.
const ACCESS_TOKEN: &str = "X-Shopify-Access-Token";

/// A client for every shop.
#[derive(Debug)]
pub(crate) struct Shops {
    fetcher: Fetcher,
    /// Where to ask in place of the shop.
    address: Option<Uri>,
}

impl Shops {
    pub(crate) fn new(address: Option<Uri>) -> anyhow::Result<Self> {
        let fetcher = Fetcher::new()?;
        Ok(Self { fetcher, address })
    }
}

impl ShopClient for Shops {
    fn post<'a>(
        &'a self,
        request: ShopRequest<'a>,
    ) -> BoxFuture<'a, Result<ShopAnswer, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async move {
            let base = match &self.address {
                Some(address) => address.to_string().trim_end_matches('/').to_owned(),
                None => format!("https://{}", request.shop),
            };
            let mut asked = Request::post(format!("{base}{}", request.path))
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT, "application/json");
            if let Some(token) = request.token {
                asked = asked.header(ACCESS_TOKEN, token);
            }
            let body = Full::new(Bytes::from(request.body.to_string()));
            let answer = self.fetcher.send(asked.body(body)?).await?;
            Ok(ShopAnswer {
                status: answer.status().as_u16(),
                body: serde_json::from_slice(answer.body()).unwrap_or_default(),
            })
        })
    }
}
