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

#[cfg(test)]
mod tests {
    use samplit_engine::{ShopClient as _, ShopRequest};
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::Shops;

    #[tokio::test]
    async fn it_posts_json_with_the_token_and_reads_the_answer_whatever_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = String::new();
            while !asked.ends_with("{\"a\":1}") {
                let mut part = [0; 1024];
                let length = stream.read(&mut part).await.unwrap();
                asked.push_str(&String::from_utf8_lossy(&part[..length]));
            }
            let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n{\"b\":2}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked
        });
        let shops = Shops::new(Some(address.parse().unwrap())).unwrap();
        let request = ShopRequest {
            shop: "a.myshopify.com",
            path: "/admin/x.json",
            token: Some("shpat_1"),
            body: &json!({"a": 1}),
        };
        let answer = shops.post(request).await.unwrap();
        assert_eq!((answer.status, answer.body), (403, json!({"b": 2})));
        let asked = served.await.unwrap();
        assert!(
            asked.starts_with("POST /admin/x.json HTTP/1.1\r\n"),
            "{asked}"
        );
        assert!(
            asked.contains("x-shopify-access-token: shpat_1\r\n"),
            "{asked}"
        );
        assert!(
            asked.contains("content-type: application/json\r\n"),
            "{asked}"
        );
    }
}
