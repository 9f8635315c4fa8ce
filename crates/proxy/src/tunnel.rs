//! Connections whose bytes nobody here reads.

use crate::exit::Exit;
use crate::live::Place;
use crate::resolve::NoWay;
use creel_net::Socket;
use creel_net::splice::{self, Moved};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Connections outside that a spliced connection has.
const ONE: usize = 1;

/// Dials, sends what the client said already, and moves bytes until both ends are done. Gives the bytes each way.
pub(crate) async fn through(exit: &Arc<Exit>, place: &Place, socket: Socket) -> (u64, u64) {
    let flow = &place.connection.flow;
    let upstream = match exit.reach(&place.connection, ONE).await {
        Ok(upstream) => upstream,
        Err(why) => {
            socket.reset_on_close();
            if let NoWay::Refused(refusal, _) = why {
                let _ = exit.record_refusal(flow, &refusal, None, false);
            }
            return (0, 0);
        }
    };
    // Counted already when it was read ahead, so not again as spliced.
    let read_ahead = place.connection.moved().0;
    let ((agent, ahead), (server, _)) = (socket.into_parts(), upstream.into_parts());
    let moved = Moved::default();
    let broken = splice::both_ways(&agent, ahead, &server, &moved).await.is_err();
    if broken {
        // The other end learns that it broke, and does not take it for an orderly end.
        let _ = agent.set_zero_linger();
        let _ = server.set_zero_linger();
    }
    let forth = moved.forth.load(Ordering::Relaxed);
    (forth.saturating_sub(read_ahead), moved.back.load(Ordering::Relaxed))
}
