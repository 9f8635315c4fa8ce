//! Which promises hold, from what the kernel answered.

use super::{Answer, Attempt, Kept, Promise};
use creel_api::posture::{Breach, Tried};
use std::net::SocketAddr;

/// `answers` are those of all attempts in their order; `captured` is where connections that arrived at the warden's
/// listeners were going.
pub(super) fn judge(promises: &[Promise], answers: &[Answer], captured: &[SocketAddr]) -> Vec<Tried> {
    let mut answers = answers.iter().copied();
    let judged = promises.iter().map(|promise| {
        let tries =
            promise.attempts.iter().map(|attempt| (attempt, answers.next().unwrap_or(Answer::Missing)));
        Tried {
            layer: promise.layer.to_owned(),
            promise: promise.name.to_owned(),
            mechanism: promise.mechanism.to_owned(),
            tried: promise.attempts.len(),
            of: promise.of,
            broken: tries
                .filter_map(|(attempt, answer)| breach(promise.kept, attempt, answer, captured))
                .collect(),
        }
    });
    judged.collect()
}

fn breach(kept: Kept, attempt: &Attempt, answer: Answer, captured: &[SocketAddr]) -> Option<Breach> {
    let (Kept::By(errors) | Kept::Captured(errors)) = kept;
    let arrived =
        matches!((kept, attempt), (Kept::Captured(_), Attempt::Connect(to)) if captured.contains(to));
    let answer = match answer {
        Answer::Refused(errno) if errors.contains(&errno) => return None,
        Answer::Happened if arrived => return None,
        Answer::Happened if matches!(kept, Kept::Captured(_)) => {
            "it went elsewhere than to the warden".into()
        }
        Answer::Happened => "it happened".into(),
        Answer::Refused(errno) => format!("it failed for another reason: {errno}"),
        Answer::Missing => "there was no answer".into(),
    };
    Some(Breach { attempt: attempt.to_string(), answer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    const TO: &str = "192.0.2.1:9";

    #[test]
    fn only_a_promised_answer_keeps_a_promise() {
        let to: SocketAddr = TO.parse().unwrap();
        let by = Kept::By(&[Errno::ACCESS, Errno::ROFS]);
        let captured = Kept::Captured(&[Errno::NETUNREACH]);
        for (kept, answer, arrived, holds) in [
            (by, Answer::Refused(Errno::ACCESS), false, true),
            (by, Answer::Refused(Errno::ROFS), false, true),
            (by, Answer::Refused(Errno::NOENT), false, false),
            (by, Answer::Happened, false, false),
            (by, Answer::Happened, true, false),
            (by, Answer::Missing, false, false),
            (captured, Answer::Happened, true, true),
            (captured, Answer::Happened, false, false),
            (captured, Answer::Refused(Errno::NETUNREACH), false, true),
            (captured, Answer::Refused(Errno::CONNREFUSED), false, false),
            (captured, Answer::Missing, true, false),
        ] {
            let promise =
                Promise { kept, ..Promise::new(("network", "x"), "x", &[], vec![Attempt::Connect(to)]) };
            let heard: &[SocketAddr] = if arrived { &[to] } else { &[] };
            let judged = judge(&[promise], &[answer], heard);
            assert_eq!(judged[0].holds(), holds, "{kept:?} {answer:?} {arrived}: {judged:?}");
        }
    }

    #[test]
    fn answers_belong_to_attempts_in_their_order_and_missing_ones_break() {
        let files =
            |count| Promise::new(("filesystem", "x"), "x", &[Errno::ACCESS], vec![Attempt::SeeOthers; count]);
        let refused = Answer::Refused(Errno::ACCESS);
        let judged = judge(&[files(2), files(1), files(1)], &[refused, refused, Answer::Happened], &[]);
        assert_eq!(judged.iter().map(Tried::holds).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(judged[2].broken[0].answer, "there was no answer");
    }
}
