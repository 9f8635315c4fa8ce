//! What is known of one call, and that it is told exactly once: when the response ends, or when anybody drops it.

use crate::api::Api;
use crate::backend::BackendRef;
use crate::headers;
use crate::meter::Meter;
use crate::pick::{Paths, Picker};
use crate::refuse::Refused;
use bytes::Bytes;
use creel_audit::{Disposition, ModelCall, Tokens};
use creel_net::Body;
use creel_types::{Caller, HostName};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// One call that is over.
#[derive(Debug, Clone)]
pub struct Call {
    /// The host that was called.
    pub host: HostName,
    /// Who called.
    pub caller: Arc<Caller>,
    /// The API; nothing when the request was none of a model's.
    pub api: Option<Api>,
    /// The backend's name; nothing when the call was refused before it went there.
    pub backend: Option<String>,
    /// The model that the backend was asked for, when the request could be read: the one that the policy names, or else
    /// the caller.
    pub model: Option<String>,
    /// Whether a stream was asked for, when the request could be read.
    pub stream_asked: Option<bool>,
    /// Whether the response was a stream.
    pub streamed: bool,
    /// The status that the caller received; nothing when it received none.
    pub status: Option<u16>,
    /// Tokens, as far as the backend stated them.
    pub tokens: Tokens,
    /// Whether the response came to its end.
    pub complete: bool,
    /// Why it was not passed on.
    pub refused: Option<Refused>,
    /// Why it was passed on and not answered, or not to the end.
    pub failure: Option<String>,
    /// Bytes of the request's body that went up.
    pub bytes_up: u64,
    /// Bytes of the response's body that came down.
    pub bytes_down: u64,
    /// From the request's head to the first byte of the response's body.
    pub first_byte: Option<Duration>,
    /// From the request's head to the end.
    pub duration: Duration,
}

impl Call {
    /// The call as the record has it; `generation` is the policy in force when it was made.
    pub fn record(&self, generation: u64, rule: Option<&str>) -> ModelCall {
        ModelCall {
            program: creel_audit::Actor::of(&self.caller),
            host: self.host.to_string(),
            api: self.api.map_or("none", Api::as_str).to_owned(),
            backend: self.backend.clone(),
            model: self.model.clone(),
            tokens: self.tokens,
            status: self.status,
            streamed: self.streamed,
            complete: self.complete,
            rule: rule.map(str::to_owned),
            generation,
            disposition: match &self.refused {
                Some(refused) => Disposition::Refused(refused.to_json()),
                None => Disposition::Allowed,
            },
            failure: self.failure.clone(),
            bytes_up: self.bytes_up,
            bytes_down: self.bytes_down,
            first_byte: self.first_byte,
            duration: self.duration,
        }
    }
}

/// Who is told of each call.
pub(crate) type Told = Arc<dyn Fn(&Call) + Send + Sync>;

/// A call under way. Dropping it tells of it, whatever became of it.
pub(crate) struct Account {
    pub(crate) call: Call,
    pub(crate) asked: Arc<Mutex<Asked>>,
    begun: Instant,
    told: Told,
}

impl Account {
    pub(crate) fn open(host: &HostName, caller: &Arc<Caller>, api: Option<Api>, told: Told) -> Self {
        let call = Call {
            host: host.clone(),
            caller: Arc::clone(caller),
            api,
            backend: None,
            model: None,
            stream_asked: None,
            streamed: false,
            status: None,
            tokens: Tokens::default(),
            complete: false,
            refused: None,
            failure: None,
            bytes_up: 0,
            bytes_down: 0,
            first_byte: None,
            duration: Duration::ZERO,
        };
        Self { call, asked: Arc::default(), begun: Instant::now(), told }
    }

    /// Why the rest of the request's body was withheld from the backend, if it was.
    pub(crate) fn withheld(&self) -> Option<Refused> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).refused.take()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        self.call.model = asked.model;
        self.call.stream_asked = asked.stream;
        self.call.bytes_up = asked.bytes;
        self.call.refused = self.call.refused.take().or(asked.refused);
        self.call.duration = self.begun.elapsed();
        (self.told)(&self.call);
    }
}

/// What the request's body says.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    pub(crate) stream: Option<bool>,
    pub(crate) bytes: u64,
    /// Why the rest of the body was withheld.
    pub(crate) refused: Option<Refused>,
}

/// A request's body that passes unchanged while what it asks for is read from it.
pub(crate) struct Watched {
    body: Body,
    asked: Arc<Mutex<Asked>>,
    picker: Picker,
    /// How many more bytes are looked at.
    patience: usize,
}

const ASKED: Paths = &[&["model"], &["stream"]];

/// How much of a request is looked at for the model's name; all of it passes. Images make requests long.
const MAX_LOOK: usize = 32 << 20;

impl Watched {
    pub(crate) fn new(body: Body, asked: Arc<Mutex<Asked>>) -> Self {
        Self { body, asked, picker: Picker::new(ASKED), patience: MAX_LOOK }
    }

    fn look(&mut self, bytes: &Bytes) {
        let look = bytes.len().min(self.patience);
        self.patience -= look;
        self.picker.feed(&bytes[..look]);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.bytes += bytes.len() as u64;
        if let Some(model) = self.picker.value(0).and_then(|json| serde_json::from_slice::<String>(json).ok())
        {
            asked.model = Some(model).filter(|model| model.len() <= 256);
        }
        if let Some(stream) = self.picker.value(1) {
            asked.stream = serde_json::from_slice(stream).ok();
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = creel_net::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(bytes) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.look(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body that passes unchanged while its usage is read from it.
pub(crate) struct Metered {
    body: Body,
    meter: Meter,
    backend: BackendRef,
    /// Gone when the call was told of.
    account: Option<Account>,
}

impl Metered {
    pub(crate) fn new(body: Body, meter: Meter, backend: &BackendRef, account: Account) -> Self {
        let mut metered = Self { body, meter, backend: Arc::clone(backend), account: Some(account) };
        if http_body::Body::is_end_stream(&metered.body) {
            metered.settle(true, None);
        }
        metered
    }

    fn count(&mut self, bytes: &Bytes) {
        self.meter.feed(bytes);
        if let Some(account) = &mut self.account {
            account.call.bytes_down += bytes.len() as u64;
            let begun = account.begun;
            account.call.first_byte.get_or_insert_with(|| begun.elapsed());
        }
    }

    /// Tells of the call. A stream whose last event has passed is complete, whoever hung up first.
    fn settle(&mut self, ended: bool, failure: Option<String>) {
        let Some(mut account) = self.account.take() else { return };
        let reading = self.meter.finish();
        account.call.tokens = reading.tokens;
        account.call.complete = ended || reading.last_event;
        account.call.failure = failure;
    }
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = creel_net::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    self.count(bytes);
                }
                if let Some(trailers) = frame.trailers_mut() {
                    headers::to_caller(trailers, self.backend.key());
                }
                if self.body.is_end_stream() {
                    self.settle(true, None);
                }
            }
            Some(Err(error)) => {
                let failure = format!("the response broke off: {error}");
                self.settle(false, Some(failure));
            }
            None => self.settle(true, None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let failure = (!self.meter.saw_last_event()).then(|| "the caller hung up".to_owned());
        self.settle(false, failure);
    }
}
