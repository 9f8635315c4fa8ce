//! An overview in words, and as a table.

use super::{Overview, Row};
use crate::Mode;
use std::fmt;

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("without a name");
        match self.mode {
            Mode::Enforce => writeln!(f, "Policy {name}. What is not listed is refused.")?,
            Mode::Observe => {
                writeln!(f, "Policy {name}. IT ONLY OBSERVES: what is not listed is recorded and let pass.")?;
            }
        }
        for group in &self.groups {
            writeln!(f, "\nIt {}:", group.risk.as_str())?;
            group.rows.iter().try_for_each(|row| write_row(f, row))?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    write!(f, "  * {}", row.what)?;
    if !row.how.is_empty() {
        write!(f, ": {}", row.how)?;
    }
    if !row.by.is_empty() {
        write!(f, " [{}", row.by)?;
        match &row.place {
            Some(place) => write!(f, ", {}:{}]", place.file, place.line)?,
            None => f.write_str("]")?,
        }
    }
    writeln!(f)
}

impl Overview {
    /// The columns of [`Self::table`].
    pub const HEAD: [&'static str; 4] = ["IT", "WHAT", "HOW", "WHERE"];

    /// The rows of a table: what can be done, to what, how far, and where the policy says so.
    pub fn table(&self) -> Vec<Vec<String>> {
        let place =
            |row: &Row| row.place.as_ref().map(|p| format!("{}:{}", p.file, p.line)).unwrap_or_default();
        let rows = self.groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group.risk, row)));
        rows.map(|(risk, row)| vec![risk.as_str().to_owned(), row.what.clone(), row.how.clone(), place(row)])
            .collect()
    }
}
