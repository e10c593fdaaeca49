//! What a server uses: memory, file descriptors, connections to PostgreSQL.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::replica::Replica;

/// What a server may use more than before the fault.
const MORE_KIB: u64 = 64 * 1024;
const MORE_FDS: usize = 4;
const MORE_CONNECTIONS: i64 = 1;

/// What one server uses at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vitals {
    /// Resident memory.
    pub(crate) rss_kib: u64,
    pub(crate) fds: usize,
    /// Sessions in PostgreSQL.
    pub(crate) connections: i64,
}

impl Vitals {
    pub(crate) async fn of(replica: &Replica, client: &tokio_postgres::Client) -> Self {
        let pid = replica.pid();
        let connections = client
            .query_one(
                "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = $1",
                &[&replica.setup.name],
            )
            .await
            .unwrap();
        Self {
            rss_kib: resident_kib(pid),
            fds: std::fs::read_dir(format!("/proc/{pid}/fd"))
                .unwrap()
                .count(),
            connections: connections.get(0),
        }
    }

    /// Whether it is back near what it was before.
    pub(crate) const fn is_near(&self, before: &Self) -> bool {
        self.rss_kib <= before.rss_kib + MORE_KIB
            && self.fds <= before.fds + MORE_FDS
            && self.connections <= before.connections + MORE_CONNECTIONS
    }
}

/// The resident memory of a process.
pub(crate) fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    rss.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// What the ops listener answers on a path: status and body. `None` when it does not answer.
pub(crate) async fn ops(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: faults\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The value of a metric of a server, by its name with its labels; 0 if it was never told.
pub(crate) async fn metric(address: SocketAddr, name: &str) -> f64 {
    let (status, page) = ops(address, "/metrics")
        .await
        .expect("the ops listener answers");
    assert_eq!(status, 200);
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}
