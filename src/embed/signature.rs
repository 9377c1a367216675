//! Signatures to features: the output of middle blocks of a frozen image tower, pooled over the cells
//! of a grid. The last layer, made for what is in a picture, is far worse at whose hand drew it.
//!
//! Invariant: features are compared only with features of the same recipe, whose name holds the weights
//! (fingerprint) and every number below (version).

use super::efficientnet::{EfficientNet, Features};
use super::towers::Towers;
use crate::error::{Error, Result};
use crate::preprocess::{Levels, Quality, Signature};

/// Changes whenever the same picture and weights give other features.
const VERSION: u32 = 1;
/// The canvas: width and height, pixels.
const CANVAS: (u32, u32) = (320, 160);
/// Blocks of the tower, ascending.
const BLOCKS: &[usize] = &[10];
/// Rows and columns of the grid.
const GRID: (usize, usize) = (2, 4);
/// Channels of each of [`BLOCKS`].
const CHANNELS: usize = 112;

/// Which numbers of the tower become features: the numbers of this module, or others in a bench that
/// shows what they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooling {
    /// Width and height of the canvas, pixels.
    pub canvas: (u32, u32),
    /// Blocks of the tower, ascending, 0 to 15.
    pub blocks: Vec<usize>,
    /// Rows and columns.
    pub grid: (usize, usize),
}

impl Default for Pooling {
    fn default() -> Self {
        Pooling { canvas: CANVAS, blocks: BLOCKS.to_vec(), grid: GRID }
    }
}

/// How a model makes features of signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureInfo {
    /// Names weights and recipe; features of another are never compared.
    pub recipe: String,
    /// Length of the features.
    pub dimension: usize,
}

/// A signature as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct SignatureFeatures {
    /// `SignatureInfo::dimension` values of norm 1, to which each block contributes the same.
    pub features: Vec<f32>,
    /// Facts of the ink.
    pub quality: Quality,
    /// A small copy of the picture, where it was asked for.
    pub thumbnail: Option<Vec<u8>>,
}

/// The recipe with weights of this fingerprint.
pub(super) fn info(fingerprint: &str) -> SignatureInfo {
    let dimension = CHANNELS * BLOCKS.len() * GRID.0 * GRID.1;
    SignatureInfo { recipe: format!("{fingerprint}-{VERSION}"), dimension }
}

impl EfficientNet {
    /// The features of a signature; `levels` is how pictures for this tower are normalised (0.5 and 0.5
    /// for the published weights).
    ///
    /// # Errors
    /// `Internal` if the device fails or the tower has no such block.
    pub fn signature(&self, signature: &Signature, levels: Levels, pooling: &Pooling) -> Result<Vec<f32>> {
        let (width, height) = pooling.canvas;
        let pixels = levels.of_grey(&signature.canvas(width, height));
        let maps = self.maps(&pixels, (height as usize, width as usize), &pooling.blocks)?;
        let mut features = Vec::new();
        for map in &maps {
            let mut pooled = pool(map, pooling.grid);
            normalise(&mut pooled);
            features.extend(pooled);
        }
        normalise(&mut features);
        Ok(features)
    }
}

/// The mean of each channel over each cell of the grid, cells row by row.
fn pool(map: &Features, grid: (usize, usize)) -> Vec<f32> {
    let [_, height, width, channels] = map.shape;
    let mut pooled = Vec::with_capacity(grid.0 * grid.1 * channels);
    for row in 0..grid.0 {
        for column in 0..grid.1 {
            let mut sums = vec![0.0f32; channels];
            let (rows, columns) = (cell(row, grid.0, height), cell(column, grid.1, width));
            let count = (rows.len() * columns.len()).max(1) as f32;
            for y in rows {
                for x in columns.clone() {
                    let at = (y * width + x) * channels;
                    sums.iter_mut()
                        .zip(&map.values[at..at + channels])
                        .for_each(|(sum, value)| *sum += value);
                }
            }
            pooled.extend(sums.into_iter().map(|sum| sum / count));
        }
    }
    pooled
}

/// The positions of cell `i` of `of` along a side.
fn cell(i: usize, of: usize, side: usize) -> std::ops::Range<usize> {
    i * side / of..((i + 1) * side / of).max(i * side / of + 1).min(side)
}

fn normalise(values: &mut [f32]) {
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
    values.iter_mut().for_each(|value| *value /= norm);
}

impl Towers {
    /// The features of a signature.
    ///
    /// # Errors
    /// `InvalidInput` if the image tower is none that signatures can be compared with.
    pub(super) fn signature(&self, signature: &Signature, levels: Levels) -> Result<Vec<f32>> {
        let tower = self.convolutional().ok_or_else(|| {
            Error::InvalidInput("this model has no image tower that signatures can be compared with".into())
        })?;
        tower.signature(signature, levels, &Pooling::default())
    }
}
