//! The print of a signature's ink: where on the paper how much of it lies, coarse enough to outlive a printer
//! and a scanner, fine enough that nobody writes it twice. Two prints are laid over each other, moved, turned
//! and scaled until they agree best, and correlated.
//!
//! Steps: the ink's density, centred on its mass and scaled by its spread (the box would move with every
//! speck), summed over the cells of a grid, in 16 levels. Comparison: Gauss and Newton's method on
//! the correlation over the four numbers of a similarity (Evangelidis and Psarakis 2008, "Parametric image
//! alignment using enhanced correlation coefficient maximization"), first on half the grid, at
//! last with the sharper of the two blurred.
//!
//! Invariant: a print says nothing but what it was made of: the same ink gives the same text, and a text
//! that this module did not write is no print.

use super::decode::RgbImage;

/// The likeness from which on the ink is that of another picture, printed, scanned or photographed anew. Measured
/// (`PRINTS=1` of the bench `signatures`): 99.9 % of the copies of BHSig-Hindi are above it and hardly a pair of
/// different signatures of one hand, of which next to none lies from 0.93 on.
pub const DUPLICATE_PRINT: f32 = 0.94;
/// Cells of the grid.
const WIDTH: usize = 96;
const HEIGHT: usize = 48;
/// Standard deviation of the ink along each axis over the grid's side: a stroke along the whole of it has 0.29.
const SPREAD: f64 = 0.27;
/// Levels of a cell, 0 for no ink.
const LEVELS: f32 = 15.0;
/// What a text starts with; another way of making prints gets another.
const VERSION: &str = "1:";
/// Runs of up to so many cells without ink are one letter.
const LONGEST_RUN: usize = 20;
/// Steps on half the grid, and then on the whole of it.
const COARSE_STEPS: usize = 10;
const FINE_STEPS: usize = 6;
/// Steps from there with the one print or the other blurred.
const LAST_STEPS: usize = 2;
/// A correlation on half the grid under which the whole of it is not looked at: it is lower there.
const PROMISING: f32 = 0.87;
/// A correlation under which blurring one of them cannot make a copy of it.
const NEAR: f32 = 0.75;
/// Copies are found up to such turns (radians), scales and shifts (of the grid's width).
const MAX_TURN: f32 = 0.2;
const MAX_SCALE: f32 = 0.2;
const MAX_SHIFT: f32 = 0.12;

/// Where the ink lies.
#[derive(Clone, PartialEq)]
pub struct InkPrint {
    /// Row by row, 0 to 15.
    cells: Vec<u8>,
}

impl std::fmt::Debug for InkPrint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("InkPrint").field(&self.to_text()).finish()
    }
}

impl InkPrint {
    /// Of a picture of ink on white, in three equal channels.
    pub(super) fn of(ink: &RgbImage) -> InkPrint {
        let most = f64::from(full(ink));
        let density = |level: u8| (f64::from(u8::MAX - level) / most).min(1.0);
        let inked = || {
            let pixels = ink.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] < u8::MAX);
            pixels.map(|(x, y, pixel)| (f64::from(x) + 0.5, f64::from(y) + 0.5, density(pixel.0[0])))
        };
        let (mut mass, mut sums) = (0.0, [0.0; 4]);
        for (x, y, ink) in inked() {
            mass += ink;
            for (sum, value) in sums.iter_mut().zip([x, y, x * x, y * y]) {
                *sum += ink * value;
            }
        }
        let [x0, y0, xx, yy] = sums.map(|sum| sum / f64::max(mass, 1e-9));
        let (across, down) = ((xx - x0 * x0).max(0.0), (yy - y0 * y0).max(0.0));
        let scale = (SPREAD * WIDTH as f64 / (across + down).sqrt().max(1e-3))
            .min(SPREAD * HEIGHT as f64 / down.sqrt().max(1e-3));
        // A pixel that is larger than half a cell is taken in parts.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded
        let parts = (2.0 * scale).ceil().clamp(1.0, 16.0) as u32;
        let mut cells = vec![0.0f32; WIDTH * HEIGHT];
        for (x, y, ink) in inked() {
            for part in 0..parts * parts {
                let inside = |i: u32| (f64::from(i) + 0.5) / f64::from(parts) - 0.5;
                let u = (x + inside(part % parts) - x0) * scale + WIDTH as f64 / 2.0 - 0.5;
                let v = (y + inside(part / parts) - y0) * scale + HEIGHT as f64 / 2.0 - 0.5;
                spread(&mut cells, u, v, (ink / f64::from(parts * parts)) as f32);
            }
        }
        let most = cells.iter().copied().fold(1e-9, f32::max);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 15
        let cells = cells.into_iter().map(|cell| (cell / most * LEVELS).round() as u8).collect();
        InkPrint { cells }
    }

    /// As it is kept with a reference: one hex digit a cell, runs of 1 to 20 empty cells as `g` to `z`.
    pub fn to_text(&self) -> String {
        let mut text = String::from(VERSION);
        let mut at = 0;
        while let Some(&cell) = self.cells.get(at) {
            let run = self.cells[at..].iter().take(LONGEST_RUN).take_while(|cell| **cell == 0).count();
            if run > 0 {
                text.push(char::from(b'f' + run as u8)); // at most 20
                at += run;
            } else {
                text.extend(char::from_digit(u32::from(cell), 16));
                at += 1;
            }
        }
        text
    }

    /// Reads [`InkPrint::to_text`]; `None` for anything else.
    pub fn parse(text: &str) -> Option<InkPrint> {
        let mut cells = Vec::with_capacity(WIDTH * HEIGHT);
        for letter in text.strip_prefix(VERSION)?.bytes() {
            match letter {
                b'1'..=b'9' => cells.push(letter - b'0'),
                b'a'..=b'f' => cells.push(letter - b'a' + 10),
                b'g'..=b'z' => cells.resize(cells.len() + usize::from(letter - b'f'), 0),
                _ => return None,
            }
            if cells.len() > WIDTH * HEIGHT {
                return None;
            }
        }
        (cells.len() == WIDTH * HEIGHT && cells.iter().any(|cell| *cell > 0)).then_some(InkPrint { cells })
    }

    /// How well the one lies on the other where they agree best: a correlation, 1 for the same ink. Where
    /// half the grid already says that they differ, the value there.
    pub fn likeness(&self, other: &InkPrint) -> f32 {
        let floats = |print: &InkPrint| print.cells.iter().map(|cell| f32::from(*cell)).collect::<Vec<_>>();
        let (own, others) = (floats(self), floats(other));
        let mut pose = Pose::default();
        let coarse = Map::new(halved(&own), WIDTH / 2).fit(&halved(&others), &mut pose, COARSE_STEPS);
        if coarse < PROMISING {
            return coarse;
        }
        pose.shift = pose.shift.map(|cells| 2.0 * cells);
        let sharp = Map::new(own.clone(), WIDTH).fit(&others, &mut pose, FINE_STEPS);
        if !(NEAR..DUPLICATE_PRINT).contains(&sharp) {
            return sharp;
        }
        // A copy is less sharp than what it was made of; which of the two is the copy is not known.
        let first = Map::new(blurred(&own, WIDTH), WIDTH).fit(&others, &mut { pose }, LAST_STEPS);
        let second = Map::new(own, WIDTH).fit(&blurred(&others, WIDTH), &mut { pose }, LAST_STEPS);
        sharp.max(first).max(second)
    }
}

/// The darkness that counts as full ink: that which a tenth of the ink exceeds, 1 to 255.
fn full(ink: &RgbImage) -> u8 {
    let mut histogram = [0usize; 256];
    ink.pixels().for_each(|pixel| histogram[usize::from(u8::MAX - pixel.0[0])] += 1);
    let inked: usize = histogram[1..].iter().sum();
    let mut above = 0;
    for darkness in (1..=u8::MAX).rev() {
        above += histogram[usize::from(darkness)];
        if above * 10 >= inked {
            return darkness;
        }
    }
    u8::MAX
}

/// Adds ink at a place to the four cells around it; what lies beyond the grid is lost.
fn spread(cells: &mut [f32], u: f64, v: f64, ink: f32) {
    let (left, top) = (u.floor(), v.floor());
    let (right, low) = ((u - left) as f32, (v - top) as f32);
    for (dy, share_y) in [(0.0, 1.0 - low), (1.0, low)] {
        for (dx, share_x) in [(0.0, 1.0 - right), (1.0, right)] {
            let (x, y) = (left + dx, top + dy);
            if (0.0..WIDTH as f64).contains(&x) && (0.0..HEIGHT as f64).contains(&y) {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the grid
                let at = y as usize * WIDTH + x as usize;
                cells[at] += ink * share_x * share_y;
            }
        }
    }
}

/// Each cell with its neighbours, 1 2 1 along both axes; outside is nothing.
fn blurred(cells: &[f32], width: usize) -> Vec<f32> {
    let height = cells.len() / width;
    let at =
        |cells: &[f32], x: usize, y: usize| if x < width && y < height { cells[y * width + x] } else { 0.0 };
    let each = |sum: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
        (0..cells.len()).map(|i| sum(i % width, i / width)).collect()
    };
    let rows =
        each(&|x, y| (at(cells, x.wrapping_sub(1), y) + 2.0 * at(cells, x, y) + at(cells, x + 1, y)) / 4.0);
    each(&|x, y| (at(&rows, x, y.wrapping_sub(1)) + 2.0 * at(&rows, x, y) + at(&rows, x, y + 1)) / 4.0)
}

/// The sums of 2 x 2 cells.
fn halved(cells: &[f32]) -> Vec<f32> {
    let half = |i: usize| {
        let at = i / (WIDTH / 2) * 2 * WIDTH + i % (WIDTH / 2) * 2;
        cells[at] + cells[at + 1] + cells[at + WIDTH] + cells[at + WIDTH + 1]
    };
    (0..cells.len() / 4).map(half).collect()
}

/// How the other print is laid: a place z of the own one is read at `turn * z + shift`, complex numbers
/// from the middle of the grid, in cells.
#[derive(Debug, Clone, Copy)]
struct Pose {
    turn: [f32; 2],
    shift: [f32; 2],
}

impl Default for Pose {
    fn default() -> Self {
        Pose { turn: [1.0, 0.0], shift: [0.0; 2] }
    }
}

fn times(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

impl Pose {
    /// The pose after the own print was moved by `step` (scale, turn, right, down): `self` after the inverse.
    fn after(self, step: [f32; 4]) -> Pose {
        let turned = [1.0 + step[0], step[1]];
        let square = turned[0] * turned[0] + turned[1] * turned[1];
        let turn = times(self.turn, [turned[0] / square, -turned[1] / square]);
        let moved = times(turn, [step[2], step[3]]);
        Pose { turn, shift: [self.shift[0] - moved[0], self.shift[1] - moved[1]] }
    }

    fn is_near(self, width: usize) -> bool {
        let [along, across] = self.turn;
        let furthest = MAX_SHIFT * width as f32;
        (along.hypot(across) - 1.0).abs() <= MAX_SCALE
            && across.atan2(along).abs() <= MAX_TURN
            && self.shift[0].hypot(self.shift[1]) <= furthest
    }
}

/// A print as what others are laid on: mean 0, norm 1, with its derivatives by the four numbers of a pose.
struct Map {
    cells: Vec<f32>,
    width: usize,
    slopes: [Vec<f32>; 4],
    /// Inverse of the products of the slopes.
    inverse: Option<[[f32; 4]; 4]>,
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Mean 0 and norm 1; false for what is the same everywhere.
fn standardise(cells: &mut [f32]) -> bool {
    let mean = cells.iter().sum::<f32>() / cells.len() as f32;
    cells.iter_mut().for_each(|cell| *cell -= mean);
    let norm = product(cells, cells).sqrt();
    cells.iter_mut().for_each(|cell| *cell /= norm.max(1e-9));
    norm > 1e-6
}

impl Map {
    fn new(mut cells: Vec<f32>, width: usize) -> Map {
        standardise(&mut cells);
        let height = cells.len() / width;
        let mut slopes = [const { Vec::new() }; 4];
        for at in 0..cells.len() {
            let (x, y) = (at % width, at / width);
            let level = |x: usize, y: usize| cells[y * width + x];
            let right = (level((x + 1).min(width - 1), y) - level(x.saturating_sub(1), y)) / 2.0;
            let down = (level(x, (y + 1).min(height - 1)) - level(x, y.saturating_sub(1))) / 2.0;
            let (u, v) = (x as f32 - (width - 1) as f32 / 2.0, y as f32 - (height - 1) as f32 / 2.0);
            for (slope, value) in
                slopes.iter_mut().zip([right * u + down * v, down * u - right * v, right, down])
            {
                slope.push(value);
            }
        }
        // What only changes mean or norm does not change the correlation.
        for slope in &mut slopes {
            let mean = slope.iter().sum::<f32>() / slope.len() as f32;
            let along = product(slope, &cells);
            slope.iter_mut().zip(&cells).for_each(|(slope, cell)| *slope -= mean + along * cell);
        }
        let products = std::array::from_fn(|i| std::array::from_fn(|j| product(&slopes[i], &slopes[j])));
        Map { inverse: inverse(products), cells, width, slopes }
    }

    /// The best correlation with `other` that is met on the way, and its pose.
    fn fit(&self, other: &[f32], pose: &mut Pose, steps: usize) -> f32 {
        let (mut best, mut now) = (-1.0, *pose);
        for _ in 0..=steps {
            let mut laid = self.lay(other, now);
            if !standardise(&mut laid) {
                break;
            }
            let likeness = product(&self.cells, &laid);
            if likeness > best {
                (best, *pose) = (likeness, now);
            }
            let Some(inverse) = &self.inverse else { break };
            let pull = self.slopes.each_ref().map(|slope| product(slope, &laid));
            now = now.after(inverse.map(|row| product(&row, &pull)));
            if !now.is_near(self.width) {
                break;
            }
        }
        best
    }

    /// `other` as it is read through a pose; outside is nothing.
    fn lay(&self, other: &[f32], pose: Pose) -> Vec<f32> {
        let (width, height) = (self.width, other.len() / self.width);
        let middle = [(width - 1) as f32 / 2.0, (height - 1) as f32 / 2.0];
        let level = |x: f32, y: f32| {
            if (0.0..width as f32).contains(&x) && (0.0..height as f32).contains(&y) {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the grid
                let at = y as usize * width + x as usize;
                other[at]
            } else {
                0.0
            }
        };
        let mut laid = Vec::with_capacity(other.len());
        for at in 0..other.len() {
            let place = [(at % width) as f32 - middle[0], (at / width) as f32 - middle[1]];
            let place = times(pose.turn, place);
            let (x, y) = (place[0] + pose.shift[0] + middle[0], place[1] + pose.shift[1] + middle[1]);
            let (left, top) = (x.floor(), y.floor());
            let (right, low) = (x - left, y - top);
            let upper = level(left, top) * (1.0 - right) + level(left + 1.0, top) * right;
            let lower = level(left, top + 1.0) * (1.0 - right) + level(left + 1.0, top + 1.0) * right;
            laid.push(upper * (1.0 - low) + lower * low);
        }
        laid
    }
}

/// By Gauss and Jordan; `None` where the matrix (symmetric, not negative) is singular.
fn inverse(mut matrix: [[f32; 4]; 4]) -> Option<[[f32; 4]; 4]> {
    let mut inverse = [[0.0; 4]; 4];
    (0..4).for_each(|i| inverse[i][i] = 1.0);
    let largest = (0..4).map(|i| matrix[i][i]).fold(0.0, f32::max);
    for i in 0..4 {
        let pivot = matrix[i][i];
        if pivot <= 1e-6 * largest {
            return None;
        }
        for j in 0..4 {
            matrix[i][j] /= pivot;
            inverse[i][j] /= pivot;
        }
        for row in (0..4).filter(|row| *row != i) {
            let factor = matrix[row][i];
            for j in 0..4 {
                matrix[row][j] -= factor * matrix[i][j];
                inverse[row][j] -= factor * inverse[i][j];
            }
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::signature::{Cleaning, Signature};
    use super::*;

    /// A pen on its way: strokes of a hand of six waves, drawn at any scale and angle.
    fn drawn(hand: &[f32; 6], scale: f32, degrees: f32, ink: u8, paper: u8) -> InkPrint {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (width, height) = ((400.0 * scale) as u32, (200.0 * scale) as u32);
        let mut picture = RgbImage::from_pixel(width, height, image::Rgb([paper; 3]));
        let radius = 1.5 * scale;
        for step in 0..4000 {
            let t = step as f32 / 4000.0;
            let wave = |from: usize| -> f32 {
                (0..3)
                    .map(|k| hand[from + k] * ((7 + 9 * k) as f32 * t + 5.0 * hand[(from + k + 2) % 6]).sin())
                    .sum()
            };
            let (x, y) = (300.0 * (t - 0.5) + 14.0 * wave(0), 26.0 * wave(3));
            let (x, y) = (x * cos - y * sin, x * sin + y * cos);
            let (x, y) = (x * scale + width as f32 / 2.0, y * scale + height as f32 / 2.0);
            let reach = radius.ceil() as i32;
            for (dx, dy) in (-reach..=reach).flat_map(|dx| (-reach..=reach).map(move |dy| (dx, dy))) {
                if (dx as f32).hypot(dy as f32) <= radius {
                    let inside = |at: f32, side: u32| (at as i32).clamp(0, side as i32 - 1) as u32;
                    let (x, y) = (inside(x + dx as f32, width), inside(y + dy as f32, height));
                    picture.put_pixel(x, y, image::Rgb([ink; 3]));
                }
            }
        }
        Signature::find(&picture, Cleaning::default()).unwrap().print()
    }

    const HAND: [f32; 6] = [0.9, -0.7, 0.6, 0.8, -0.9, 0.7];

    #[test]
    fn another_signature_of_the_same_hand_is_no_copy() {
        let first = drawn(&HAND, 1.0, 0.0, 20, 240);
        let mut again = HAND;
        again.iter_mut().zip([0.1, -0.12, 0.1, -0.1, 0.12, 0.1]).for_each(|(wave, change)| *wave += change);
        let likeness = first.likeness(&drawn(&again, 1.0, 0.0, 20, 240));
        assert!(likeness < DUPLICATE_PRINT, "{likeness}");
        let likeness = first.likeness(&drawn(&[-0.5, 0.9, 0.4, -0.8, 0.7, -0.9], 1.0, 0.0, 20, 240));
        assert!(likeness < 0.8, "{likeness}");
    }

    #[test]
    fn one_turned_upside_down_is_not_taken_for_a_copy() {
        let likeness = drawn(&HAND, 1.0, 0.0, 20, 240).likeness(&drawn(&HAND, 1.0, 180.0, 20, 240));
        assert!(likeness < DUPLICATE_PRINT, "{likeness}");
    }

    #[test]
    fn what_is_no_print_is_not_read() {
        let text = drawn(&HAND, 1.0, 0.0, 20, 240).to_text();
        let empty = format!("1:{}g", "z".repeat(WIDTH * HEIGHT / LONGEST_RUN)) + "mm";
        for wrong in ["", "1:", "2:g", "é", &text[2..], &format!("{text}1"), &text[..text.len() - 1], &empty]
        {
            assert_eq!(InkPrint::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_singular_matrix_has_no_inverse_and_others_have_theirs() {
        let matrix = [[4.0, 1.0, 0.0, 0.0], [1.0, 3.0, 0.0, 1.0], [0.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 1.0]];
        let found = inverse(matrix).unwrap();
        for (i, row) in matrix.iter().enumerate() {
            for j in 0..4 {
                let sum: f32 = row.iter().zip(&found).map(|(value, others)| value * others[j]).sum();
                assert!((sum - f32::from(u8::from(i == j))).abs() < 1e-5, "{found:?}");
            }
        }
        assert_eq!(inverse([[1.0; 4]; 4]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_copy_is_found_however_it_is_scaled_turned_and_lit(
            hand in prop::array::uniform6(0.4f32..1.0), signs in prop::array::uniform6(any::<bool>()),
            scale in 0.5f32..2.0, degrees in -2.0f32..2.0, ink in 0u8..60, paper in 150u8..=255
        ) {
            let mut hand = hand;
            hand.iter_mut().zip(signs).filter(|(_, sign)| *sign).for_each(|(wave, _)| *wave = -*wave);
            let (one, other) = (drawn(&hand, 1.0, 0.0, 20, 240), drawn(&hand, scale, degrees, ink, paper));
            let likeness = one.likeness(&other);
            prop_assert!(likeness >= DUPLICATE_PRINT, "{}", likeness);
            prop_assert!(one.likeness(&one) > 0.999);
            prop_assert_eq!(InkPrint::parse(&other.to_text()), Some(other));
        }
    }
}
