//! The arithmetic of the towers on the CPU: packed linear layers, attention, normalisation, in f32, bf16 or
//! bytes. The widest instruction set of the machine is chosen once ([`Isa::best`]): matrix tiles (AMX),
//! AVX-512 with BF16 and VNNI, AVX2, NEON, plain. No tensors and no files here: slices in, slices out.
//!
//! Beside `distance` the home of `unsafe` arithmetic. Invariants: a kernel that needs an instruction set is
//! reachable only through an [`Isa`], which asked the processor for it; threads write disjoint parts of what
//! they share, between barriers ([`Team`]); every product agrees with 64-bit arithmetic to the rounding of its
//! format (property tests); a second run of the same size allocates nothing.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod buffer;
mod bytes;
mod encoder;
mod epilogue;
mod float;
mod isa;
pub mod laps;
mod linear;
mod math;
mod pooling;
mod rows;
mod steps;
mod team;
#[cfg(test)]
mod tests;

pub use encoder::{Encoder, EncoderScratch, LayerWeights, Norm, Order, Shape};
pub use isa::Isa;
pub use linear::{Dense, Linear, Scratch, Then};
pub use pooling::{AttentionPooling, PoolingWeights};
pub use team::{MAX_THREADS, Pool, Team};

/// The numbers that a product is made of. Sums are f32 or exact, and everything between products is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits of significand.
    F32,
    /// 8 bits. Where the processor has no instructions for it, f32 is computed.
    Bf16,
    /// 11 bits, on a GPU only: the kernels here compute f32 for it.
    F16,
    /// Bytes: weights with a scale for each output, inputs with a scale and an offset for each row.
    Int8,
}

/// What follows a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// x * sigmoid(1.702 x), as in OpenAI's CLIP.
    QuickGelu,
    /// x times the normal distribution's share below x.
    Gelu,
    /// The same, with the share by tanh, as in SigLIP.
    GeluTanh,
    /// Between 0 and 6.
    Relu6,
}
