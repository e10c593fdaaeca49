//! Pages of the dashboard, as a browser asks for them.

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use samplit_engine::{Engine, ExperimentId, NewApiKey, Principal, Redeem, Role};
use samplit_http::{HttpConfig, Listeners, serve};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::Instant,
};

/// Who looks.
const EMAIL: &str = "dashboard@example.com";

/// Milliseconds until the page of an experiment is there as a whole; the median of 11.
pub(crate) async fn experiment_ms(engine: &Engine, id: ExperimentId) -> anyhow::Result<f64> {
    let cookie = sign_in(engine).await?;
    let public = TcpListener::bind("127.0.0.1:0").await?;
    let address = public.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners { public, ops: None };
    let stopped = async move {
        // Sent or dropped, it is over.
        let _ = stopped.await;
    };
    let served = tokio::spawn(serve(
        listeners,
        engine.clone(),
        HttpConfig::default(),
        stopped,
    ));
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    let mut took = Vec::new();
    for _ in 0..11 {
        let request = Request::builder()
            .uri(format!("/experiments/{id}"))
            .header("host", address.to_string())
            .header("cookie", &cookie)
            .body(Empty::<Bytes>::new())?;
        let started = Instant::now();
        let reply = client.send_request(request).await?;
        anyhow::ensure!(reply.status() == 200, "the page answers {}", reply.status());
        reply.into_body().collect().await?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    drop(client);
    drop(stop);
    served.await?;
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

/// The cookie of an administrator.
async fn sign_in(engine: &Engine) -> anyhow::Result<String> {
    let new = NewApiKey {
        email: EMAIL.to_owned(),
        role: Role::Admin,
        name: "dashboard".to_owned(),
        scopes: Vec::new(),
        expires_at: None,
    };
    engine.create_api_key(new).await?;
    let link = engine.sign_in_link(&Principal::system(), EMAIL).await?;
    let path = link.path.unwrap_or_default();
    let token = path.rsplit('/').next().unwrap_or_default();
    let signed_in = engine.redeem(token, Redeem::default()).await?;
    Ok(format!("__Host-samplit_session={}", signed_in.token))
}
