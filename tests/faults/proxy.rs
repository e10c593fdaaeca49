//! A network that misbehaves: a TCP proxy between the servers and PostgreSQL.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// How the store ends its transactions.
const COMMIT: &[u8] = b"SELECT; COMMIT\0";

/// A running proxy on a port of its own.
pub(crate) struct Proxy {
    port: u16,
    network: Arc<Network>,
}

#[derive(Default)]
struct Network {
    /// Whether what is sent disappears. A connection that has lost bytes never works again.
    swallows: AtomicBool,
    /// Milliseconds that every piece takes.
    delay: AtomicU64,
    /// Counts resets; every connection older than the last one is gone.
    resets: watch::Sender<u64>,
    /// After so many bytes the next answer to a COMMIT is cut.
    cut: Mutex<Option<usize>>,
    /// How many answers were cut.
    cuts: watch::Sender<u64>,
}

/// One connection through it.
#[derive(Default)]
struct Link {
    is_dead: AtomicBool,
    /// After so many bytes the answer is cut.
    cut: Mutex<Option<usize>>,
    is_over: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Arc::new(Network::default());
        tokio::spawn(accept(listener, upstream, Arc::clone(&network)));
        Self { port, network }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// From now on everything disappears, or nothing does; connections that have lost something stay
    /// dead, as behind a firewall that has forgotten them.
    pub(crate) fn swallow(&self, on: bool) {
        self.network.swallows.store(on, Ordering::Relaxed);
    }

    /// From now on every piece takes so long.
    pub(crate) fn delay(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.network.delay.store(millis, Ordering::Relaxed);
    }

    /// Resets every connection there is.
    pub(crate) fn reset(&self) {
        self.network.resets.send_modify(|resets| *resets += 1);
    }

    /// Cuts the next answer to a COMMIT after so many bytes; resolves when that has happened.
    pub(crate) async fn cut_commit(&self, after: usize) {
        let mut cuts = self.network.cuts.subscribe();
        let before = *cuts.borrow_and_update();
        *self.network.cut.lock() = Some(after);
        cuts.wait_for(|cuts| *cuts > before).await.unwrap();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, network: Arc<Network>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(link(client, upstream, Arc::clone(&network)));
    }
}

async fn link(client: TcpStream, upstream: SocketAddr, network: Arc<Network>) {
    // PostgreSQL may be away; then nobody is behind us either.
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let link = Arc::new(Link::default());
    let mut resets = network.resets.subscribe();
    let mut is_over = link.is_over.subscribe();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(from_client, to_server, &network, &link, watch_commit);
    let down = pump(from_server, to_client, &network, &link, cut_answer);
    tokio::select! {
        () = async { tokio::join!(up, down); } => {}
        _ = resets.changed() => {}
        _ = is_over.wait_for(|over| *over) => {}
    }
}

/// What becomes of a piece: how many of its bytes go through.
type Look = fn(&Network, &Link, &[u8]) -> usize;

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    network: &Network,
    link: &Link,
    look: Look,
) {
    // A connection that is not closed in good order is reset.
    let _ = to.as_ref().set_zero_linger();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            if network.swallows.load(Ordering::Relaxed) || link.is_dead.load(Ordering::Relaxed) {
                // Nobody hears of it.
                std::future::pending::<()>().await;
            }
            // One side has ended; so does the other.
            link.is_over.send_replace(true);
            return;
        };
        let delay = network.delay.load(Ordering::Relaxed);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        if network.swallows.load(Ordering::Relaxed) {
            link.is_dead.store(true, Ordering::Relaxed);
        }
        if link.is_dead.load(Ordering::Relaxed) {
            continue;
        }
        let through = look(network, link, &buffer[..read]);
        if to.write_all(&buffer[..through]).await.is_err() || through < read {
            link.is_over.send_replace(true);
            return;
        }
    }
}

/// Of what the server under test sends: takes the order to cut to the connection that commits.
fn watch_commit(network: &Network, link: &Link, piece: &[u8]) -> usize {
    let mut cut = network.cut.lock();
    if cut.is_some() && piece.windows(COMMIT.len()).any(|window| window == COMMIT) {
        *link.cut.lock() = cut.take();
    }
    piece.len()
}

/// Of what PostgreSQL answers.
fn cut_answer(network: &Network, link: &Link, piece: &[u8]) -> usize {
    match link.cut.lock().take() {
        Some(after) if after < piece.len() => {
            network.cuts.send_modify(|cuts| *cuts += 1);
            after
        }
        // The whole answer is wanted to be longer than the cut; so the last byte is missing.
        Some(_) => {
            network.cuts.send_modify(|cuts| *cuts += 1);
            piece.len() - 1
        }
        None => piece.len(),
    }
}
