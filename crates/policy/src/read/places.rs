//! Where each statement of the documents stands.

use super::Draft;
use crate::Places;
use crate::places::Statement;
use crate::problems::{Problems, Span};

impl Draft<'_> {
    /// Every statement that was read so far, with its place.
    pub(crate) fn places(&self, problems: &Problems) -> Places {
        let mut places = Places::default();
        let mut found = |span: Span, statement: Statement| {
            if let Some(place) = problems.located(span) {
                places.add(statement, place);
            }
        };
        self.network.each(&mut found);
        self.files.each(&mut found);
        self.exec.each(&mut found);
        self.inference.each(&mut found);
        places
    }
}
