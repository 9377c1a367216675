//! Picture bytes to the input of an image tower: sniff and check the container, decode, turn
//! upright, composite over white, resize as Pillow does, crop, normalise.
//!
//! Invariant: a picture that comes out is whole. What is damaged, cut short, too large or of
//! another format is an error that says so; nothing is guessed. The module knows pixels only:
//! no models, no files, no threads.

mod container;
mod decode;
#[cfg(feature = "libjpeg")]
mod libjpeg;
mod print;
mod reduced;
mod resample;
mod signature;
mod thumbnail;
mod transform;

pub use container::{Format, decoded_bytes};
pub use decode::{Enough, Limits, RgbImage, decode, decode_reduced};
pub use print::{DUPLICATE_PRINT, InkPrint};
pub use signature::{Cleaning, MAX_INK_SHARE, MIN_BOX, Quality, Signature, Unfit};
pub use thumbnail::thumbnail;
pub use transform::{Crop, Levels, Transform};
