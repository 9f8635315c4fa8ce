//! Layers and images as strangers may write them.
#![allow(clippy::unwrap_used, missing_docs)]

mod attacks;
mod bounds;
mod images;
mod layers;
mod make;
