//! The body of a request in memory: at most so many bytes of it, however many pieces they come in,
//! and only so many large ones at once, few of them from one place.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::problem::Problem;

/// The longest body that every connection may have at once, in bytes.
const SMALL: usize = 16 * 1024;

/// Longer ones in memory at once. More wait, and their senders with them: by default 10,000
/// connections hold at most 160 MiB of bodies and not 2.5 GiB.
const LARGE_AT_ONCE: usize = 128;

/// Of those, from one network. Whoever sends slowly keeps only neighbours waiting.
const LARGE_OF_ONE: usize = 8;

/// So many networks are remembered before those are forgotten from which nothing large comes any more.
const SWEEP_FROM: usize = 256;

/// Leaves for large bodies to be in memory.
#[derive(Debug)]
pub(crate) struct LargeBodies {
    all: Arc<Semaphore>,
    /// The leaves of each network from which large bodies come, and of how many networks it is swept next.
    networks: Mutex<(HashMap<u64, Weak<Semaphore>>, usize)>,
}

/// Leave for one large body to be in memory, until it is dropped.
#[derive(Debug)]
pub(crate) struct Leave {
    _of_network: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl LargeBodies {
    pub(crate) fn new() -> Self {
        Self::of(LARGE_AT_ONCE)
    }

    fn of(all: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            networks: Mutex::new((HashMap::new(), SWEEP_FROM)),
        }
    }

    /// Leave for a body from `network`, once there is one. That of the network comes first: who waits for it
    /// takes nothing from others.
    async fn leave(&self, network: u64) -> Leave {
        let of_network = self.of_network(network).acquire_owned().await;
        let of_all = Arc::clone(&self.all).acquire_owned().await;
        Leave {
            _of_network: of_network.expect("this semaphore is never closed"),
            _of_all: of_all.expect("this semaphore is never closed"),
        }
    }

    fn of_network(&self, network: u64) -> Arc<Semaphore> {
        let mut networks = self.networks.lock();
        let (known, sweep_at) = &mut *networks;
        if let Some(found) = known.get(&network).and_then(Weak::upgrade) {
            return found;
        }
        if known.len() >= *sweep_at {
            known.retain(|_, leaves| leaves.strong_count() > 0);
            *sweep_at = SWEEP_FROM.max(2 * known.len());
        }
        let made = Arc::new(Semaphore::new(LARGE_OF_ONE));
        known.insert(network, Arc::downgrade(&made));
        made
    }
}

/// Reads a body from `network` to its end, and gives the leave that it needed if it is a large one. It is
/// read into one piece: a frame keeps what came with it alive, and may bring one byte.
///
/// # Errors
/// 413 beyond `limit` bytes, 408 when it is not all there by `deadline`, 503 when there was no leave by
/// then, 400 when it breaks off.
pub(crate) async fn read<B>(
    mut body: B,
    limit: usize,
    (large, network): (&LargeBodies, u64),
    deadline: Instant,
) -> Result<(Bytes, Option<Leave>), Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut leave = None;
    let mut all = BytesMut::new();
    loop {
        let frame = timeout_at(deadline, body.frame()).await;
        let Some(frame) = frame.map_err(|_elapsed| Problem::body_timeout())? else {
            return Ok((all.freeze(), leave));
        };
        let frame = frame.map_err(|_broken| Problem::incomplete_body())?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = all.len() + data.len();
        if length > limit {
            return Err(Problem::body_too_large(limit));
        }
        if length > SMALL && leave.is_none() {
            let granted = timeout_at(deadline, large.leave(network)).await;
            leave = Some(granted.map_err(|_elapsed| Problem::overloaded())?);
        }
        if all.is_empty() && body.is_end_stream() {
            return Ok((data, leave));
        }
        all.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::{Body, Frame};
    use tokio::time::Instant;

    use super::{LARGE_OF_ONE, LargeBodies, SMALL, SWEEP_FROM, read};

    /// What is ready is read even after the deadline; what has to wait is not.
    async fn outcome<B: Body<Data = Bytes> + Unpin>(
        body: B,
        limit: usize,
        from: (&LargeBodies, u64),
    ) -> Result<usize, &'static str> {
        let read = read(body, limit, from, Instant::now()).await;
        let read = read.map(|(bytes, _leave)| bytes.len());
        read.map_err(|problem| problem.code)
    }

    fn pieces(count: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let piece = |_| Ok(Frame::data(Bytes::from_static(b"x")));
        StreamBody::new(stream::iter((0..count).map(piece)))
    }

    #[tokio::test]
    async fn a_body_has_its_length_in_whatever_pieces_it_comes() {
        let large = LargeBodies::of(1);
        let large = (&large, 1);
        for length in [0, 1, 100, SMALL, SMALL + 1] {
            let whole = Full::new(Bytes::from(vec![b'x'; length]));
            assert_eq!(outcome(whole, length, large).await, Ok(length));
            assert_eq!(outcome(pieces(length), length, large).await, Ok(length));
            let longer = outcome(pieces(length + 1), length, large).await;
            assert_eq!(longer, Err("body_too_large"));
        }
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(outcome(endless, 1, large).await, Err("body_timeout"));
        let broken = stream::iter([Err::<Frame<Bytes>, _>("gone")]);
        let broken = outcome(StreamBody::new(broken), 1, large).await;
        assert_eq!(broken, Err("incomplete_body"));
    }

    #[tokio::test]
    async fn large_bodies_wait_for_one_another_and_small_ones_for_nobody() {
        let large = LargeBodies::of(1);
        let from = |network| (&large, network);
        let first = read(pieces(SMALL + 1), SMALL * 2, from(1), Instant::now()).await;
        let (_bytes, leave) = first.unwrap();
        let second = outcome(pieces(SMALL + 1), SMALL * 2, from(2)).await;
        assert_eq!(second, Err("overloaded"));
        assert_eq!(outcome(pieces(SMALL), SMALL, from(1)).await, Ok(SMALL));
        drop(leave);
        let third = outcome(pieces(SMALL + 1), SMALL * 2, from(1)).await;
        assert_eq!(third, Ok(SMALL + 1));
    }

    #[tokio::test]
    async fn one_network_leaves_room_for_the_large_bodies_of_others() {
        let large = LargeBodies::new();
        let send = |network| outcome(pieces(SMALL + 1), SMALL * 2, (&large, network));
        let mut held = Vec::new();
        for _ in 0..LARGE_OF_ONE {
            held.push(large.leave(1).await);
        }
        assert_eq!(send(1).await, Err("overloaded"));
        assert_eq!(send(2).await, Ok(SMALL + 1));
        held.pop();
        assert_eq!(send(1).await, Ok(SMALL + 1));
        // Networks from which nothing comes any more are forgotten, those that hold a leave are not.
        for network in 2..=SWEEP_FROM as u64 + 2 {
            assert_eq!(send(network).await, Ok(SMALL + 1));
        }
        assert!(large.networks.lock().0.len() < SWEEP_FROM);
        held.push(large.leave(1).await);
        assert_eq!(send(1).await, Err("overloaded"));
    }
}
