//! Attention pooling: what one learned query, the same for all, sees in the rows of a sequence, and two linear
//! layers behind it, as SigLIP makes a picture's vector of its patches.
//!
//! Since the query is known when the weights are, keys and values are never made. The score of a row is its
//! product with `key^T query`, of which there is one for each head, and the mean of the values is the value of
//! the mean row: exact, and of the work of two linear layers over all rows there remains one of few outputs.

use super::encoder::Norm;
use super::isa::Isa;
use super::linear::{Dense, Linear, Scratch, Then};
use super::team::Pool;
use super::{Activation, Precision, math};

/// The layers as a checkpoint has them.
#[derive(Debug)]
pub struct PoolingWeights<'a> {
    /// What asks, `[width]`.
    pub probe: &'a [f32],
    /// [width, width].
    pub query: Dense<'a>,
    /// [width, width].
    pub key: Dense<'a>,
    /// [width, width].
    pub value: Dense<'a>,
    /// [width, width].
    pub output: Dense<'a>,
    /// Of the two linear layers.
    pub norm: Norm,
    /// [hidden, width].
    pub up: Dense<'a>,
    /// [width, hidden].
    pub down: Dense<'a>,
}

/// The layers, packed.
#[derive(Debug)]
pub struct AttentionPooling {
    isa: Isa,
    heads: usize,
    width: usize,
    epsilon: f32,
    activation: Activation,
    /// A row's score for each head.
    scores: Linear,
    /// For each head its part of the values.
    values: Vec<Linear>,
    output: Linear,
    norm: Norm,
    up: Linear,
    down: Linear,
}

const PLAIN: Then = Then { activation: Activation::None, add: false };

impl AttentionPooling {
    /// Pack the layers. `heads` divides the width; scores are f32 in any precision.
    pub fn new(
        isa: Isa,
        precision: Precision,
        heads: usize,
        epsilon: f32,
        activation: Activation,
        weights: PoolingWeights,
    ) -> AttentionPooling {
        let width = weights.query.inputs;
        let part = width / heads;
        let scale = 1.0 / (part as f64).sqrt();
        let mut scores = Vec::with_capacity(heads * width);
        for head in 0..heads {
            let mut asked = vec![0f64; width];
            for at in head * part..(head + 1) * part {
                let row = &weights.query.weight[at * width..][..width];
                let product = row.iter().zip(weights.probe).map(|(w, p)| f64::from(*w) * f64::from(*p));
                let bias = weights.query.bias.get(at).copied().unwrap_or(0.0);
                let query = (product.sum::<f64>() + f64::from(bias)) * scale;
                let key = &weights.key.weight[at * width..][..width];
                // The bias of the keys adds the same to the scores of all rows, which cancels.
                asked.iter_mut().zip(key).for_each(|(sum, key)| *sum += query * f64::from(*key));
            }
            scores.extend(asked.into_iter().map(|value| value as f32));
        }
        let pack = |layer: Dense| Linear::new(isa, precision, &[layer]);
        let value = |head: usize| {
            let rows = head * part..(head + 1) * part;
            let bias = weights.value.bias.get(rows.clone()).unwrap_or(&[]);
            let weight = &weights.value.weight[rows.start * width..rows.end * width];
            pack(Dense { weight, bias, inputs: width })
        };
        AttentionPooling {
            isa,
            heads,
            width,
            epsilon,
            activation,
            scores: Linear::new(isa, Precision::F32, &[Dense { weight: &scores, bias: &[], inputs: width }]),
            values: (0..heads).map(value).collect(),
            output: pack(weights.output),
            norm: weights.norm,
            up: pack(weights.up),
            down: pack(weights.down),
        }
    }

    /// `rows` is f32 [sequences * length, width]; of each sequence comes one row, in `out` [sequences, width].
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn run(&self, pool: &Pool, scratch: &mut Scratch, rows: &[f32], length: usize, out: &mut [f32]) {
        let (width, heads) = (self.width, self.heads);
        let (count, part) = (out.len() / width, width / heads);
        assert!(rows.len() == count * length * width && out.len() == count * width);
        let mut scores = vec![0f32; count * length * heads];
        self.scores.forward(pool, scratch, rows, PLAIN, &mut scores);
        // [heads, sequences, width]
        let mut mixed = vec![0f32; heads * count * width];
        self.isa.vectorise(
            #[inline(always)]
            || {
                for (at, scores) in scores.chunks_exact_mut(length * heads).enumerate() {
                    let shares = shares(scores, heads);
                    for (row, shares_of_row) in scores.chunks_exact(heads).enumerate() {
                        let row = &rows[(at * length + row) * width..][..width];
                        for (head, share) in shares_of_row.iter().enumerate() {
                            let share = share * shares[head];
                            let sums = &mut mixed[(head * count + at) * width..][..width];
                            for (sum, value) in sums.iter_mut().zip(row) {
                                *sum = value.mul_add(share, *sum);
                            }
                        }
                    }
                }
            },
        );
        let mut joined = vec![0f32; count * width];
        let mut own = vec![0f32; count * part];
        for (head, values) in self.values.iter().enumerate() {
            let mixed = &mixed[head * count * width..][..count * width];
            values.forward(pool, scratch, mixed, PLAIN, &mut own);
            for (to, from) in joined.chunks_exact_mut(width).zip(own.chunks_exact(part)) {
                to[head * part..][..part].copy_from_slice(from);
            }
        }
        self.output.forward(pool, scratch, &joined, PLAIN, out);
        joined.copy_from_slice(out);
        self.norm.apply(self.isa, self.epsilon, &mut joined);
        let mut hidden = vec![0f32; count * self.up.outputs()];
        let then = Then { activation: self.activation, add: false };
        self.up.forward(pool, scratch, &joined, then, &mut hidden);
        let then = Then { activation: Activation::None, add: true };
        self.down.forward(pool, scratch, &hidden, then, out);
    }
}

/// Scores [rows, heads] to their powers, and for each head what these must be multiplied with to sum to 1.
#[inline(always)]
fn shares(scores: &mut [f32], heads: usize) -> Vec<f32> {
    let mut largest = vec![f32::NEG_INFINITY; heads];
    for row in scores.chunks_exact(heads) {
        largest.iter_mut().zip(row).for_each(|(most, score)| *most = most.max(*score));
    }
    let mut sums = vec![0f32; heads];
    for row in scores.chunks_exact_mut(heads) {
        for ((score, most), sum) in row.iter_mut().zip(&largest).zip(&mut sums) {
            *score = math::exp(*score - most);
            *sum += *score;
        }
    }
    sums.iter_mut().for_each(|sum| *sum = 1.0 / *sum);
    sums
}

#[cfg(test)]
mod tests {
    use super::super::tests::numbers;
    use super::*;

    type Layer = (Vec<f32>, Vec<f32>);

    fn linear(row: &[f64], (weight, bias): &Layer) -> Vec<f64> {
        let sum = |w: &[f32]| row.iter().zip(w).map(|(x, w)| x * f64::from(*w)).sum::<f64>();
        weight.chunks(row.len()).zip(bias).map(|(w, b)| sum(w) + f64::from(*b)).collect()
    }

    fn wide(row: &[f32]) -> Vec<f64> {
        row.iter().map(|x| f64::from(*x)).collect()
    }

    /// Step by step, with keys and values, in f64.
    fn plainly(rows: &[f32], length: usize, heads: usize, probe: &[f32], layers: &[Layer]) -> Vec<f64> {
        let width = probe.len();
        let part = width / heads;
        let query = linear(&wide(probe), &layers[0]);
        let mut out = Vec::new();
        for rows in rows.chunks(length * width) {
            let of = |layer: usize| -> Vec<Vec<f64>> {
                rows.chunks(width).map(|row| linear(&wide(row), &layers[layer])).collect()
            };
            let (keys, values) = (of(1), of(2));
            let mut mixed = vec![0.0; width];
            for head in 0..heads {
                let part_of = head * part..(head + 1) * part;
                let power = |key: &Vec<f64>| {
                    let dot: f64 =
                        key[part_of.clone()].iter().zip(&query[part_of.clone()]).map(|(a, b)| a * b).sum();
                    (dot / (part as f64).sqrt()).exp()
                };
                let powers: Vec<f64> = keys.iter().map(power).collect();
                let total: f64 = powers.iter().sum();
                for (power, value) in powers.iter().zip(&values) {
                    part_of.clone().for_each(|i| mixed[i] += power / total * value[i]);
                }
            }
            let row = linear(&mixed, &layers[3]);
            let mean = row.iter().sum::<f64>() / width as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
            let (gain, bias) = &layers[4];
            let normal: Vec<f64> = (0..width)
                .map(|i| (row[i] - mean) / (variance + 1e-6).sqrt() * f64::from(gain[i]) + f64::from(bias[i]))
                .collect();
            let hidden: Vec<f64> =
                linear(&normal, &layers[5]).iter().map(|x| x / (1.0 + (-1.702 * x).exp())).collect();
            out.extend(linear(&hidden, &layers[6]).iter().zip(&row).map(|(a, b)| a + b));
        }
        out
    }

    #[test]
    fn pooling_without_keys_and_values_is_that_with_them() {
        let (width, heads, hidden, length, count) = (80, 2, 100, 37, 3);
        let layer = |outputs: usize, inputs: usize, seed: u64| {
            (numbers(outputs * inputs, seed, (3.0 / inputs as f32).sqrt()), numbers(outputs, seed + 1, 0.2))
        };
        let mut layers: Vec<Layer> = (0..4).map(|at| layer(width, width, 10 * at)).collect();
        layers.push((numbers(width, 50, 0.3).iter().map(|x| x + 1.0).collect(), numbers(width, 51, 0.1)));
        layers.extend([layer(hidden, width, 60), layer(width, hidden, 70)]);
        let (probe, rows) = (numbers(width, 80, 2.0), numbers(count * length * width, 90, 2.0));
        let expected = plainly(&rows, length, heads, &probe, &layers);
        let dense = |at: usize, inputs| Dense { weight: &layers[at].0, bias: &layers[at].1, inputs };
        let pool = Pool::new(2).unwrap();
        for isa in Isa::available() {
            for (precision, allowed) in
                [(Precision::F32, 2e-5), (Precision::Bf16, 0.05), (Precision::Int8, 0.15)]
            {
                let weights = PoolingWeights {
                    probe: &probe,
                    query: dense(0, width),
                    key: dense(1, width),
                    value: dense(2, width),
                    output: dense(3, width),
                    norm: Norm { gain: layers[4].0.clone(), bias: layers[4].1.clone() },
                    up: dense(5, width),
                    down: dense(6, hidden),
                };
                let packed =
                    AttentionPooling::new(isa, precision, heads, 1e-6, Activation::QuickGelu, weights);
                let mut out = vec![f32::NAN; count * width];
                packed.run(&pool, &mut Scratch::default(), &rows, length, &mut out);
                for (got, exact) in out.iter().zip(&expected) {
                    let off = (f64::from(*got) - exact).abs();
                    assert!(off < allowed, "{} {precision:?}: {got} for {exact}", isa.name());
                }
            }
        }
    }
}
