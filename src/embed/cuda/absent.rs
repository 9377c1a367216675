//! What `cuda/mod.rs` is without the feature `cuda`: no GPU, and kernels that nobody can have.

use candle_core::{Device, Result, Tensor};

use super::config::TowerShape;
use super::efficientnet::Place;
use super::vit_candle::Block;

/// As it would be: without the feature candle says so.
pub(super) fn open() -> Result<Device> {
    Device::new_cuda(0)
}

/// Free memory of a GPU, where it says so.
pub(super) fn free_bytes(_: &Device) -> Option<usize> {
    None
}

/// See `layers.rs`.
pub(super) enum Fused {}

impl Fused {
    pub fn new(_: &Device, _: &TowerShape, _: &[Block]) -> Option<Fused> {
        None
    }

    pub fn upload(&self, _: &[f32], _: (usize, usize, usize, usize)) -> Result<Tensor> {
        match *self {}
    }

    pub fn patches(&self, _: &Tensor, _: usize, _: usize) -> Result<Tensor> {
        match *self {}
    }

    pub fn layers(&self, _: &[Block], _: &Tensor, _: bool, _: Option<&Tensor>) -> Result<Tensor> {
        match *self {}
    }
}

/// See `convolution.rs`.
pub(super) enum Convolutions {}

impl Convolutions {
    pub fn new(_: &Device) -> Option<Convolutions> {
        None
    }

    pub fn depthwise(&self, _: &Tensor, _: [&Tensor; 3], _: Place) -> Result<Tensor> {
        match *self {}
    }

    pub fn finish(&self, _: &Tensor, _: &Tensor, _: Option<&Tensor>, _: bool) -> Result<Tensor> {
        match *self {}
    }
}
