//! Reports as HTML pages that need nothing else: no script, no font, no address.

mod calibration;
mod plots;

pub use calibration::calibration;
