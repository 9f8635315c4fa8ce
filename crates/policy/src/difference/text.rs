//! Differences as a person reads them.

use super::{Difference, Differences, Kind};
use std::fmt;

impl Kind {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Read => "read a file",
            Self::Write => "write a file",
            Self::Land => "write a file without review",
            Self::Execute => "execute a program",
            Self::Connect => "connect",
            Self::Address => "lead a name to an address",
            Self::Request => "make a request",
            Self::Credential => "put a credential",
            Self::Unseen => "send TLS that nobody opens",
            Self::Raw => "send any bytes",
            Self::Route => "end at the model router",
            Self::Model => "call a model",
            Self::Resource => "use",
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, sign, list) in [("allowed", '+', &self.allowed), ("denied", '-', &self.denied)] {
            if list.is_empty() {
                writeln!(f, "Nothing becomes {title}.")?;
                continue;
            }
            writeln!(f, "Becomes {title}:")?;
            list.iter().try_for_each(|difference| write_one(f, sign, difference))?;
        }
        Ok(())
    }
}

fn write_one(f: &mut fmt::Formatter<'_>, sign: char, difference: &Difference) -> fmt::Result {
    let Difference { kind, witness, by, place, otherwise, classes, .. } = difference;
    writeln!(f, "{sign} {}: {witness}", kind.as_str())?;
    let (yes, no) = if sign == '+' { ("now", "before") } else { ("before", "now") };
    if let Some(by) = by {
        let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        writeln!(f, "    {yes}: {by}{place}")?;
    }
    writeln!(f, "    {no}: {otherwise}")?;
    if *classes > 1 {
        writeln!(f, "    and so in {} more cases", classes - 1)?;
    }
    Ok(())
}
