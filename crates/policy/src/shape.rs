//! The shape of a document: one table that drives the parser, the messages and the JSON Schema.

mod cases;
mod check;
mod schema;
mod table;

pub(crate) use cases::CASES;
pub(crate) use check::check;
pub use schema::schema;
pub(crate) use table::DOCUMENT;

/// One key of a mapping.
#[derive(Debug)]
pub(crate) struct Field {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// What it says.
    pub about: &'static str,
    /// What a change of it does to what is running (law 9).
    pub live: &'static str,
}

/// What may stand at a place.
#[derive(Debug)]
pub(crate) enum Shape {
    /// The number 1.
    Version,
    /// Text that means something to the reader of the field.
    Text,
    /// One of these words; the later ones are known and not built yet.
    Word { now: &'static [&'static str], later: &'static [&'static str] },
    /// `true` or `false`.
    Flag,
    /// A whole number from 1.
    Count,
    /// A number above 0, as in `1.5`.
    Number,
    /// As in `4GiB`.
    Size,
    /// The same, or 0.
    SizeOrNone,
    /// As in `8h` or `1h30m`.
    Time,
    /// `all`, `none`, or a list of numbers from 0.
    Indexes,
    /// One or more of the same.
    List(&'static Shape),
    /// A mapping with these keys.
    Object(&'static [Field]),
    /// A mapping with keys of the author's own; what the keys are.
    Map(&'static str, &'static Shape),
    /// Text, or the same said with keys.
    TextOr(&'static [Field]),
    /// Part of the language, not built in this version.
    Later,
}

impl Shape {
    /// In words, for a message.
    pub(crate) fn wanted(&self) -> String {
        match self {
            Self::Version => "the number 1".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Word { now, .. } => now.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or "),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Count => "a whole number from 1".to_owned(),
            Self::Number => "a number above 0".to_owned(),
            Self::Size => "a size, as in 4GiB".to_owned(),
            Self::SizeOrNone => "a size, as in 4GiB, or 0".to_owned(),
            Self::Time => "a time, as in 8h".to_owned(),
            Self::Indexes => "`all`, `none` or a list of numbers, as in [0, 1]".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Object(_) => "a mapping".to_owned(),
            Self::Map(keys, _) => format!("a mapping of {keys}"),
            Self::TextOr(_) => "text or a mapping".to_owned(),
            Self::Later => "nothing".to_owned(),
        }
    }
}
