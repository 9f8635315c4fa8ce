//! An explanation as a person reads it.

use super::{Explanation, Verdict};
use crate::Place;
use std::fmt;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict, self.question)?;
        write!(f, "\n  {}", self.why)?;
        for (at, said) in self.by.iter().enumerate() {
            let label = if at == 0 { "by" } else { "and" };
            write!(f, "\n  {label:<8} {}{}", said.statement, placed(said.place.as_ref()))?;
        }
        for near in &self.nearest {
            let place = placed(near.place.as_ref());
            write!(f, "\n  nearest  {}{place}, missed by {}", near.statement, near.missed_by)?;
        }
        if !self.change.is_empty() {
            f.write_str("\n  to allow it")?;
            if let Some(place) = &self.change_at {
                write!(f, ", at {}:{}", place.file, place.line)?;
            }
            f.write_str(":")?;
            self.change.lines().try_for_each(|line| write!(f, "\n    {line}"))?;
        }
        Ok(())
    }
}

fn placed(place: Option<&Place>) -> String {
    place.map(|place| format!(" ({place})")).unwrap_or_default()
}
