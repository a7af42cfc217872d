//! Plots of an answer: in characters, and as a page.

mod axis;
mod braille;
mod page_html;
mod series;

pub(crate) use braille::{Screen, draw};
pub(crate) use page_html::Page;
pub(crate) use series::Plot;
