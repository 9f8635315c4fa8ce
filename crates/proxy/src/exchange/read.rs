//! A request that is decided by what is in it.
//!
//! Its body is read before it is admitted, and what was read is what is sent. No upgrade is offered to it but to a
//! WebSocket whose messages are judged: what came after would be seen by nobody.

use super::{Exchange, Instead, NoAnswer, Word, drain, drains, socket};
use crate::inspect::answers::Answers;
use crate::inspect::body::{self, Ahead, Found};
use crate::inspect::push::Push;
use crate::refusal;
use crate::watched;
use creel_net::Body;
use creel_policy::{Reading, Reads, Refusal};
use http::header::{ACCEPT_ENCODING, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;

impl Exchange {
    /// Reads the request, and answers it.
    pub(super) async fn read(
        self: Arc<Self>,
        request: Request<Incoming>,
        reads: Reads,
    ) -> Result<Response<Body>, NoAnswer> {
        let (mut head, body) = request.into_parts();
        let socket = if reads.socket { socket::opening(&head) } else { Reading::Unread };
        let opens = matches!(socket, Reading::Is(_));
        // What a socket's messages are compressed with nobody here reads; any other upgrade would be seen by nobody.
        head.headers.remove(if opens { SEC_WEBSOCKET_EXTENSIONS } else { UPGRADE });
        let (Found { mut said, rpc, push }, ahead) = body::read(&head, body, &reads).await;
        said.socket = socket;
        if opens {
            let not = || Reading::Not("it opens a WebSocket".to_owned());
            (said.rpc, said.graphql, said.git) = (not(), not(), not());
        }
        let head = Request::from_parts(head, ());
        let words = Words { rpc: rpc.0, batch: rpc.1, push };
        let said = Arc::new(said);
        let admitted = match self.admit(&head, Some(&said)) {
            Ok(Word::Allowed(admitted)) => admitted,
            // Not said to what has been read.
            Ok(Word::Reads(_)) => return Err(NoAnswer),
            Err(instead) => return Ok(self.refuse_read(instead, &head, &reads, (words, ahead)).await),
        };
        let answers = (reads.answers && !opens).then(|| {
            Answers::new(
                &self.exit,
                &self.flow,
                self.tls,
                (head.method().clone(), admitted.allowed.path.clone()),
            )
        });
        let mut request = head.map(|()| watched::up(ahead, &admitted.knife));
        if answers.is_some() {
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let response = self.hand_on(request, admitted).await;
        match (self.or_say(response)?, answers) {
            (response, Some(answers)) => Ok(answers.judge(response).await),
            (response, None) => Ok(response),
        }
    }

    async fn refuse_read(
        &self,
        instead: Instead,
        head: &Request<()>,
        reads: &Reads,
        (words, ahead): (Words, Ahead),
    ) -> Response<Body> {
        let told = match &instead {
            Instead::Refuse { refusal, .. } if !reads.only_denies => Some(refusal.clone()),
            _ => None,
        };
        let mut response = self.say(instead, head);
        if let Some(refusal) = told.filter(|_| response.status() == StatusCode::FORBIDDEN) {
            response = words.say(&refusal, reads).unwrap_or(response);
        }
        let rest = ahead.into_rest().filter(|_| drains(head.version(), head.headers()));
        drain(rest).await;
        response
    }
}

/// What a refusal in a protocol's own words has to repeat.
struct Words {
    rpc: Vec<serde_json::Value>,
    batch: bool,
    push: Push,
}

impl Words {
    fn say(&self, refusal: &Refusal, reads: &Reads) -> Option<Response<Body>> {
        match reads {
            Reads { git: true, .. } if !self.push.refs.is_empty() => Some(refusal::push(refusal, &self.push)),
            Reads { rpc: true, .. } => Some(refusal::rpc(refusal, &self.rpc, self.batch)),
            Reads { graphql: true, .. } => Some(refusal::graphql(refusal)),
            _ => None,
        }
    }
}
