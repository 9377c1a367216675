//! Signatures to features: the output of middle blocks of a frozen image tower, pooled over the cells
//! of a grid, or, of a transformer's patches, over where the ink lies. The last layer, made for what is in a
//! picture, is far worse at whose hand drew it.
//!
//! Invariant: features are compared only with features of the same recipe, whose name holds the weights
//! (fingerprint) and every number below (version).

use super::efficientnet::{EfficientNet, Features};
use super::towers::Towers;
use crate::error::{Error, Result};
use crate::preprocess::{InkPrint, Levels, Quality, Signature};

/// Changes whenever the same picture and weights give other features.
const VERSION: u32 = 2;
/// The same for those of a transformer.
const PATCHES_VERSION: u32 = 2;
/// Columns that a transformer's patches are pooled over.
const COLUMNS: usize = 4;
/// The canvas: width and height, pixels.
const CANVAS: (u32, u32) = (320, 160);
/// Blocks of the tower, ascending.
const BLOCKS: &[usize] = &[7, 10];
/// Rows and columns of the grid.
const GRID: (usize, usize) = (2, 4);
/// Channels of all of [`BLOCKS`].
const CHANNELS: usize = 80 + 112;

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
    /// Where the ink lies, to find copies by.
    pub print: InkPrint,
    /// A small copy of the picture, where it was asked for.
    pub thumbnail: Option<Vec<u8>>,
}

/// Which layer of a transformer's `layers` signatures are looked at with: at two thirds of the way, as block
/// 10 of 16 is. `None` where there is but one, which makes the class token.
fn middle(layers: usize) -> Option<usize> {
    Some((layers * 2 / 3).saturating_sub(1).min(layers.checked_sub(2)?))
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

/// The patches of a square canvas, pooled over where the ink lies: the ink's box in so many columns from left
/// to right, and of each the mean of what the ink did to the patches (`map` without `blank`, those of an empty
/// canvas), by how much of it lies on them.
fn pool_ink(map: &Features, blank: &Features, canvas: &[u8], columns: usize) -> Vec<f32> {
    let [_, _, across, width] = map.shape;
    let side = (canvas.len() as f64).sqrt().round() as usize;
    let patch = side / across;
    let inked = || (0..canvas.len()).filter(|at| canvas[*at] < u8::MAX);
    let left = inked().map(|at| at % side).min().unwrap_or(0);
    let right = inked().map(|at| at % side).max().unwrap_or(side - 1);
    // [columns, patches]
    let mut weights = vec![0.0f32; columns * across * across];
    for at in inked() {
        let (x, y) = (at % side, at / side);
        // Where the patches do not fill the canvas, what is left over belongs to none.
        if x / patch < across && y / patch < across {
            let column = (x - left) * columns / (right + 1 - left);
            let place = y / patch * across + x / patch;
            weights[column * across * across + place] += f32::from(u8::MAX - canvas[at]);
        }
    }
    let mut pooled = Vec::with_capacity(columns * width);
    for weights in weights.chunks_exact(across * across) {
        let total = weights.iter().sum::<f32>().max(1e-6);
        let mut sums = vec![0.0f32; width];
        let patches = map.values.chunks_exact(width).zip(blank.values.chunks_exact(width));
        for (weight, (own, empty)) in weights.iter().zip(patches).filter(|(weight, _)| **weight > 0.0) {
            for ((sum, own), empty) in sums.iter_mut().zip(own).zip(empty) {
                *sum += weight / total * (own - empty);
            }
        }
        pooled.extend(sums);
    }
    pooled
}

impl Towers {
    /// How signatures become features, with weights of this fingerprint; `None` where they cannot.
    pub(super) fn signature_info(&self, fingerprint: &str) -> Option<SignatureInfo> {
        if self.convolutional().is_some() {
            let dimension = CHANNELS * GRID.0 * GRID.1;
            return Some(SignatureInfo { recipe: format!("{fingerprint}-{VERSION}"), dimension });
        }
        let shape = self.config().plan()?.image.shape;
        let recipe = format!("{fingerprint}-patches-{PATCHES_VERSION}");
        middle(shape.layers)?;
        Some(SignatureInfo { recipe, dimension: shape.width * COLUMNS })
    }

    /// The features of a signature.
    ///
    /// # Errors
    /// `InvalidInput` if the image tower is none that signatures can be compared with.
    pub(super) fn signature(&self, signature: &Signature, levels: Levels) -> Result<Vec<f32>> {
        if let Some(tower) = self.convolutional() {
            return tower.signature(signature, levels, &Pooling::default());
        }
        let block = self.config().plan().and_then(|plan| middle(plan.image.shape.layers));
        let block = block.ok_or_else(|| {
            Error::InvalidInput("this model has no image tower that signatures can be compared with".into())
        })?;
        let side = self.config().image_size();
        let run = |canvas: &[u8]| self.features(&levels.of_grey(canvas), block);
        let blank = self.blank(|| run(&vec![u8::MAX; side * side]))?;
        #[allow(clippy::cast_possible_truncation)] // at most 1,024
        let canvas = signature.canvas(side as u32, side as u32);
        let mut features = pool_ink(&run(&canvas)?, blank, &canvas, COLUMNS);
        normalise(&mut features);
        Ok(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_transformer_is_never_its_last_layer() {
        assert_eq!([1, 2, 3, 12, 24].map(middle), [None, Some(0), Some(1), Some(7), Some(15)]);
    }

    #[test]
    fn patches_count_by_the_ink_that_lies_on_them_and_paper_counts_nothing() {
        // 2 x 2 patches of one number, on a canvas of 4 x 4 whose ink lies in two of them.
        let map = Features { shape: [1, 2, 2, 1], values: vec![5.0, 7.0, 11.0, 13.0] };
        let blank = Features { shape: [1, 2, 2, 1], values: vec![1.0, 1.0, 1.0, 1.0] };
        let mut canvas = [255; 16];
        (canvas[0], canvas[1], canvas[13], canvas[3]) = (0, 0, 0, 155);
        // Columns 0 and 1: two pixels on the first patch, one on the third. 2 and 3: one on the second.
        assert_eq!(pool_ink(&map, &blank, &canvas, 2), [(4.0 * 2.0 + 10.0) / 3.0, 6.0]);
        assert_eq!(pool_ink(&map, &blank, &[255; 16], 2), [0.0, 0.0]);
    }
}
