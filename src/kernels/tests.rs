//! Every kernel that this machine can run against 64-bit arithmetic.

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::*;

/// `count` numbers between `-size` and `size`.
pub(super) fn numbers(count: usize, seed: u64, size: f32) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    (0..count).map(|_| size * rng.random_range(-1.0f32..1.0)).collect()
}

/// For each output the exact sum and the sum of absolute products.
fn exact(input: &[f32], layer: Dense) -> Vec<(f64, f64)> {
    let mut all = Vec::new();
    for row in input.chunks(layer.inputs) {
        for (at, weights) in layer.weight.chunks(layer.inputs).enumerate() {
            let products = row.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
            let bias = layer.bias.get(at).map_or(0.0, |b| f64::from(*b));
            let sum = products.clone().sum::<f64>() + bias;
            all.push((sum, products.map(f64::abs).sum::<f64>() + bias.abs()));
        }
    }
    all
}

/// What a product may be off by, as a share of the sum of absolute products.
fn allowed(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-6,
        Precision::Bf16 | Precision::F16 => 0.01, // two roundings of 2^-9
        Precision::Int8 => 0.06, // a step of 1/127 or 2/127 of the largest, here half as large as most
    }
}

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_layer_is_the_product_in_f64_to_the_rounding_of_its_format(
        count in 1usize..70, inputs in 1usize..200, outputs in 1usize..100, seed: u32, threads in 1usize..4,
        with_bias: bool, add: bool,
    ) {
        let seed = u64::from(seed);
        let (input, weight) = (numbers(count * inputs, seed, 2.0), numbers(outputs * inputs, seed + 1, 0.5));
        let bias = if with_bias { numbers(outputs, seed + 2, 1.0) } else { Vec::new() };
        let layer = Dense { weight: &weight, bias: &bias, inputs };
        let expected = exact(&input, layer);
        let pool = Pool::new(threads).unwrap();
        let mut scratch = Scratch::default();
        for isa in Isa::available() {
            for precision in PRECISIONS {
                let packed = Linear::new(isa, precision, &[layer]);
                let before = if add { 3.0 } else { f32::NAN };
                let mut out = vec![before; count * outputs];
                let then = Then { activation: Activation::None, add };
                packed.forward(&pool, &mut scratch, &input, then, &mut out);
                for (got, (sum, size)) in out.iter().zip(&expected) {
                    let got = f64::from(*got) - if add { 3.0 } else { 0.0 };
                    let bound = allowed(precision) * (size + 3.0);
                    prop_assert!((got - sum).abs() <= bound, "{} {precision:?}: {got} for {sum}", isa.name());
                }
            }
        }
    }
}

#[test]
fn tiles_in_three_parts_are_as_exact_as_f32() {
    let (count, inputs, outputs) = (50, 3072, 64);
    let (input, weight) = (numbers(count * inputs, 1, 2.0), numbers(outputs * inputs, 2, 0.5));
    let layer = Dense { weight: &weight, bias: &[], inputs };
    let expected = exact(&input, layer);
    let pool = Pool::new(2).unwrap();
    for isa in Isa::available() {
        let mut out = vec![0.0; count * outputs];
        let then = Then { activation: Activation::None, add: false };
        Linear::new(isa, Precision::F32, &[layer]).forward(
            &pool,
            &mut Scratch::default(),
            &input,
            then,
            &mut out,
        );
        let off = out.iter().zip(&expected).map(|(got, (sum, _))| (f64::from(*got) - sum).powi(2));
        let size = expected.iter().map(|(sum, _)| sum.powi(2)).sum::<f64>();
        let error = (off.sum::<f64>() / size).sqrt();
        println!("{}: {error:e}", isa.name());
        assert!(error < 2e-6, "{}: {error:e}", isa.name());
    }
}

#[test]
fn layers_side_by_side_are_the_layers_one_by_one_with_their_activation() {
    let inputs = 40;
    let (input, one, two) =
        (numbers(5 * inputs, 1, 2.0), numbers(7 * inputs, 2, 0.5), numbers(35 * inputs, 3, 0.5));
    let bias = numbers(35, 4, 1.0);
    let (one, two) = (Dense { weight: &one, bias: &[], inputs }, Dense { weight: &two, bias: &bias, inputs });
    let pool = Pool::new(2).unwrap();
    for isa in Isa::available() {
        for activation in [
            Activation::None,
            Activation::QuickGelu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Relu6,
        ] {
            let run = |layers: &[Dense]| {
                let packed = Linear::new(isa, Precision::F32, layers);
                let mut out = vec![0.0; 5 * packed.outputs()];
                let then = Then { activation, add: false };
                packed.forward(&pool, &mut Scratch::default(), &input, then, &mut out);
                out
            };
            let (both, one, two) = (run(&[one, two]), run(&[one]), run(&[two]));
            for row in 0..5 {
                assert_eq!(both[row * 42..][..7], one[row * 7..][..7]);
                assert_eq!(both[row * 42 + 7..][..35], two[row * 35..][..35]);
            }
        }
    }
}

/// A transformer in f64, row by row, as plain as it can be.
mod plain {
    use super::super::*;

    pub struct Weights {
        pub width: usize,
        pub hidden: usize,
        /// For each layer: two norms, query, key, value, output, up, down, each with its bias.
        pub layers: Vec<Vec<(Vec<f32>, Vec<f32>)>>,
    }

    type Row = Vec<f64>;

    fn linear(row: &Row, (weight, bias): &(Vec<f32>, Vec<f32>)) -> Row {
        let sum = |w: &[f32]| row.iter().zip(w).map(|(x, w)| x * f64::from(*w)).sum::<f64>();
        weight.chunks(row.len()).zip(bias).map(|(w, b)| sum(w) + f64::from(*b)).collect()
    }

    fn norm(row: &Row, (gain, bias): &(Vec<f32>, Vec<f32>), epsilon: f64) -> Row {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + epsilon).sqrt();
        row.iter()
            .zip(gain.iter().zip(bias))
            .map(|(x, (g, b))| (x - mean) * scale * f64::from(*g) + f64::from(*b))
            .collect()
    }

    fn plus(a: &Row, b: &Row) -> Row {
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    }

    fn attention(rows: &[Row], parts: &[(Vec<f32>, Vec<f32>)], shape: &Shape) -> Vec<Row> {
        let [q, k, v] =
            [0, 1, 2].map(|part| rows.iter().map(|row| linear(row, &parts[part])).collect::<Vec<Row>>());
        let width = shape.width / shape.heads;
        let mut mixed = vec![vec![0.0; shape.width]; rows.len()];
        for head in 0..shape.heads {
            let part = head * width..(head + 1) * width;
            for at in 0..rows.len() {
                let seen = if shape.causal { at + 1 } else { rows.len() };
                let score = |key: &Row| {
                    let dot: f64 =
                        q[at][part.clone()].iter().zip(&key[part.clone()]).map(|(a, b)| a * b).sum();
                    (dot / (width as f64).sqrt()).exp()
                };
                let scores: Vec<f64> = k[..seen].iter().map(score).collect();
                let total: f64 = scores.iter().sum();
                for (score, value) in scores.iter().zip(&v) {
                    for i in part.clone() {
                        mixed[at][i] += score / total * value[i];
                    }
                }
            }
        }
        mixed.iter().map(|row| linear(row, &parts[3])).collect()
    }

    pub fn run(weights: &Weights, shape: &Shape, stream: &[f32]) -> Vec<Row> {
        let epsilon = f64::from(shape.epsilon);
        let act = |x: &f64| x / (1.0 + (-1.702 * x).exp()); // the tests use quick GELU
        let mut rows: Vec<Row> =
            stream.chunks(weights.width).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect();
        for layer in &weights.layers {
            let (norms, parts) = layer.split_at(2);
            let mlp = |row: &Row| linear(&linear(row, &parts[4]).iter().map(act).collect(), &parts[5]);
            match shape.order {
                Order::Before => {
                    let entering: Vec<Row> = rows.iter().map(|row| norm(row, &norms[0], epsilon)).collect();
                    let mixed = attention(&entering, parts, shape);
                    rows = rows.iter().zip(&mixed).map(|(a, b)| plus(a, b)).collect();
                    rows = rows.iter().map(|row| plus(row, &mlp(&norm(row, &norms[1], epsilon)))).collect();
                }
                Order::After => {
                    let mixed = attention(&rows, parts, shape);
                    rows =
                        rows.iter().zip(&mixed).map(|(a, b)| norm(&plus(a, b), &norms[0], epsilon)).collect();
                    rows = rows.iter().map(|row| norm(&plus(row, &mlp(row)), &norms[1], epsilon)).collect();
                }
            }
        }
        rows
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_encoder_is_the_transformer_in_f64_whatever_lengths_stand_together(
        lengths in prop::collection::vec(1usize..50, 1..12), pick: u16, seed: u16, causal: bool, before: bool,
        wide_heads: bool, threads in 1usize..3,
    ) {
        let (heads, width) = (2, if wide_heads { 64 } else { 40 });
        let (hidden, seed) = (72, u64::from(seed) << 16);
        let shape = Shape {
            width, heads, epsilon: 1e-5, activation: Activation::QuickGelu,
            order: if before { Order::Before } else { Order::After }, causal,
        };
        let mut next = seed;
        let mut draw = |count: usize, size: f32| {
            next += 1;
            numbers(count, next, size)
        };
        let layers: Vec<Vec<(Vec<f32>, Vec<f32>)>> = (0..2).map(|_| {
            let mut parts = Vec::new();
            for _ in 0..2 {
                parts.push((draw(width, 0.2).iter().map(|g| 1.0 + g).collect(), draw(width, 0.1)));
            }
            for (outputs, inputs) in
                [(width, width), (width, width), (width, width), (width, width), (hidden, width), (width, hidden)]
            {
                parts.push((draw(outputs * inputs, (3.0 / inputs as f32).sqrt()), draw(outputs, 0.1)));
            }
            parts
        }).collect();
        let weights = plain::Weights { width, hidden, layers };
        let rows: usize = lengths.iter().sum();
        let stream = draw(rows * width, 1.5);
        let picked: Vec<usize> = lengths.iter().map(|length| usize::from(pick) % length).collect();
        let first_only = plain::Weights { width, hidden, layers: weights.layers[..1].to_vec() };
        let (mut expected, mut expected_of_first) = (Vec::new(), Vec::new());
        let mut first = 0;
        for (length, at) in lengths.iter().zip(&picked) {
            let own = &stream[first * width..(first + length) * width];
            expected.extend_from_slice(&plain::run(&weights, &shape, own)[*at]);
            expected_of_first.extend(plain::run(&first_only, &shape, own).concat());
            first += length;
        }
        let pool = Pool::new(threads).unwrap();
        for isa in Isa::available() {
            for (precision, allowed) in [(Precision::F32, 2e-5), (Precision::Bf16, 0.08), (Precision::Int8, 0.15)] {
                let mut encoder = Encoder::new(isa, shape);
                for (at, layer) in weights.layers.iter().enumerate() {
                    let norm = |at: usize| Norm { gain: layer[at].0.clone(), bias: layer[at].1.clone() };
                    let dense = |at: usize, inputs| Dense { weight: &layer[at].0, bias: &layer[at].1, inputs };
                    encoder.push(precision, LayerWeights {
                        norm1: norm(0), query: dense(2, width), key: dense(3, width), value: dense(4, width),
                        output: dense(5, width), norm2: norm(1), up: dense(6, width), down: dense(7, weights.hidden),
                    }, at + 1 == weights.layers.len());
                }
                let mut out = vec![f32::NAN; lengths.len() * width];
                let mut scratch = EncoderScratch::default();
                for _ in 0..2 { // the second time in the memory of the first
                    encoder.run(&pool, &mut scratch, &mut stream.clone(), &lengths, &picked, &mut out);
                }
                let mut after_first = stream.clone();
                encoder.run_first(1, &pool, &mut scratch, &mut after_first, &lengths);
                let of_first = after_first.iter().zip(&expected_of_first);
                for (got, exact) in out.iter().zip(&expected).chain(of_first) {
                    let off = (f64::from(*got) - exact).abs();
                    prop_assert!(off < allowed, "{} {precision:?}: {got} for {exact}", isa.name());
                }
            }
        }
    }
}
