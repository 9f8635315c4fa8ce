//! Which backend answers a call.

use crate::api::Api;
use crate::backend::BackendRef;

/// The operator's choice of backends. One for now; what is given to [`Routes::route`] is what a choice among several
/// will be made by.
#[derive(Debug, Clone)]
pub struct Routes {
    backend: BackendRef,
}

impl Routes {
    /// Every call goes to `backend`.
    pub fn to(backend: BackendRef) -> Self {
        Self { backend }
    }

    /// The backend for a call of this API, or `None` when no backend has it.
    pub(crate) fn route(&self, api: Api) -> Option<&BackendRef> {
        Some(&self.backend).filter(|backend| backend.has(api))
    }
}
