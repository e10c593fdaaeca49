//! The body of a request in memory: at most so many bytes of it, however many pieces they come in,
//! and only so many large ones at once.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
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

/// Leave for a large body to be in memory.
pub(crate) fn large_bodies() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LARGE_AT_ONCE))
}

/// Reads a body to its end, and gives the leave that it needed if it is a large one. It is read into one
/// piece: a frame keeps what came with it alive, and may bring one byte.
///
/// # Errors
/// 413 beyond `limit` bytes, 408 when it is not all there by `deadline`, 503 when there was no leave by
/// then, 400 when it breaks off.
pub(crate) async fn read<B>(
    mut body: B,
    limit: usize,
    large: &Arc<Semaphore>,
    deadline: Instant,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem>
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
            let granted = timeout_at(deadline, Arc::clone(large).acquire_owned()).await;
            let granted = granted.map_err(|_elapsed| Problem::overloaded())?;
            leave = Some(granted.expect("this semaphore is never closed"));
        }
        if all.is_empty() && body.is_end_stream() {
            return Ok((data, leave));
        }
        all.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use bytes::Bytes;
    use futures_util::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::{Body, Frame};
    use tokio::{sync::Semaphore, time::Instant};

    use super::{SMALL, read};

    /// What is ready is read even after the deadline; what has to wait is not.
    async fn outcome<B: Body<Data = Bytes> + Unpin>(
        body: B,
        limit: usize,
        large: &Arc<Semaphore>,
    ) -> Result<usize, &'static str> {
        let read = read(body, limit, large, Instant::now()).await;
        let read = read.map(|(bytes, _leave)| bytes.len());
        read.map_err(|problem| problem.code)
    }

    fn pieces(count: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let piece = |_| Ok(Frame::data(Bytes::from_static(b"x")));
        StreamBody::new(stream::iter((0..count).map(piece)))
    }

    #[tokio::test]
    async fn a_body_has_its_length_in_whatever_pieces_it_comes() {
        let large = Arc::new(Semaphore::new(1));
        for length in [0, 1, 100, SMALL, SMALL + 1] {
            let whole = Full::new(Bytes::from(vec![b'x'; length]));
            assert_eq!(outcome(whole, length, &large).await, Ok(length));
            assert_eq!(outcome(pieces(length), length, &large).await, Ok(length));
            let longer = outcome(pieces(length + 1), length, &large).await;
            assert_eq!(longer, Err("body_too_large"));
        }
        let endless = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(outcome(endless, 1, &large).await, Err("body_timeout"));
        let broken = stream::iter([Err::<Frame<Bytes>, _>("gone")]);
        let broken = outcome(StreamBody::new(broken), 1, &large).await;
        assert_eq!(broken, Err("incomplete_body"));
    }

    #[tokio::test]
    async fn large_bodies_wait_for_one_another_and_small_ones_for_nobody() {
        let large = Arc::new(Semaphore::new(1));
        let first = read(pieces(SMALL + 1), SMALL * 2, &large, Instant::now()).await;
        let (_bytes, leave) = first.unwrap();
        let second = outcome(pieces(SMALL + 1), SMALL * 2, &large).await;
        assert_eq!(second, Err("overloaded"));
        assert_eq!(outcome(pieces(SMALL), SMALL, &large).await, Ok(SMALL));
        drop(leave);
        let third = outcome(pieces(SMALL + 1), SMALL * 2, &large).await;
        assert_eq!(third, Ok(SMALL + 1));
    }
}
