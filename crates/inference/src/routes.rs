//! Which backend answers a call, and which model it is asked for.

use crate::api::Api;
use crate::backend::BackendRef;

/// The operator's choice of backends. One for now; what is given to [`Routes::route`] is what a choice among several
/// will be made by.
#[derive(Debug, Clone)]
pub struct Routes {
    backend: BackendRef,
    model: Option<String>,
}

impl Routes {
    /// Every call goes to `backend`, and asks it for `model`, or for what the caller named where that is nothing.
    pub fn to(backend: BackendRef, model: Option<String>) -> Self {
        Self { backend, model }
    }

    /// The backend for a call of this API, or `None` when no backend has it.
    pub(crate) fn route(&self, api: Api) -> Option<&BackendRef> {
        Some(&self.backend).filter(|backend| backend.has(api))
    }

    /// The model that a call of this API must ask for. A look at the list of models asks for none.
    pub(crate) fn model(&self, api: Api) -> Option<&str> {
        self.model.as_deref().filter(|_| !matches!(api, Api::Models(_)))
    }
}
