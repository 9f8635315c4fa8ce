//! What each verb does. A verb reads its arguments, asks the crate that knows, and prints the answer.

pub mod audit;
pub mod demo;
pub mod doctor;
pub mod documents;
pub mod exec;
pub mod image;
pub mod pause;
pub mod policy;
pub mod ps;
pub mod review;
pub mod run;
pub mod shell;
pub mod stop;
