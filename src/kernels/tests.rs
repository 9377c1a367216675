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
        Precision::Bf16 => 0.01, // two roundings of 2^-9
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
        for activation in [Activation::None, Activation::QuickGelu, Activation::Gelu, Activation::Relu6] {
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
