//! Our towers in the bench of `run`: one process, which answers commands as `peers.py` does.
//! `towers DIRECTORY f32|bf16|f16|int8 [cpu|cuda|metal]`; `LOOKALIKE_KERNELS` bounds the instruction set.

// A bench fails by panicking.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::BufRead;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use lookalike::embed::{DeviceChoice, ModelConfig, Towers, open_device};
use lookalike::kernels::laps::{self, Part};
use lookalike::kernels::{Activation, Dense, Isa, Linear, Pool, Precision, Scratch, Then};
use serde_json::{Value, json};

const SIDE: usize = 224;
const CONTEXT: usize = 77;
const END: u32 = 49_407;

struct Inputs {
    pixels: Vec<f32>,
    ids: Vec<u32>,
}

impl Inputs {
    fn read(folder: &str) -> Inputs {
        let words = |name: &str| -> Vec<[u8; 4]> {
            let bytes = std::fs::read(format!("{folder}/{name}")).unwrap();
            bytes.as_chunks::<4>().0.to_vec()
        };
        Inputs {
            pixels: words("pixels.f32").into_iter().map(f32::from_le_bytes).collect(),
            ids: words("ids.u32").into_iter().map(u32::from_le_bytes).collect(),
        }
    }

    fn run(&self, towers: &Towers, tower: &str, batch: usize, length: usize) -> Vec<Vec<f32>> {
        if tower == "image" {
            let wanted = batch * 3 * SIDE * SIDE;
            if wanted > self.pixels.len() {
                let again: Vec<f32> = self.pixels.iter().copied().cycle().take(wanted).collect();
                return towers.embed_pixels(&again).unwrap();
            }
            return towers.embed_pixels(&self.pixels[..wanted]).unwrap();
        }
        let texts: Vec<Vec<u32>> = self
            .ids
            .chunks(CONTEXT)
            .cycle()
            .take(batch)
            .map(|ids| ids[..length - 1].iter().copied().chain([END]).collect())
            .collect();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        towers.embed_tokens(&texts).unwrap()
    }
}

fn towers(folder: &str, precision: Precision, device: &Device) -> Towers {
    let config = std::fs::read(format!("{folder}/config.json")).unwrap();
    let config = ModelConfig::parse(&config, SIDE).unwrap();
    let path = format!("{folder}/model.safetensors");
    let mut tensors: HashMap<String, Tensor> = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    Towers::with_precision(&config, device, precision, |name, _| Ok(tensors.remove(name).unwrap())).unwrap()
}

/// Resident megabytes of this process.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// A product by itself, as large as those of the towers: the rate that the kernels of a precision reach.
struct Alone {
    linear: Linear,
    rows: usize,
    input: Vec<f32>,
    out: Vec<f32>,
}

impl Alone {
    fn new(precision: Precision, rows: usize, inputs: usize, outputs: usize) -> Alone {
        let numbers =
            |count: usize| (0..count).map(|at| (at % 251) as f32 / 125.0 - 1.0).collect::<Vec<f32>>();
        let weight = numbers(inputs * outputs);
        let linear = Linear::new(Isa::best(), precision, &[Dense { weight: &weight, bias: &[], inputs }]);
        Alone { linear, rows, input: numbers(rows * inputs), out: vec![0.0; rows * outputs] }
    }

    /// Operations a second of all threads in products alone.
    fn rate(&mut self, pool: &Pool, scratch: &mut Scratch, budget: Duration) -> f64 {
        let then = Then { activation: Activation::None, add: false };
        let (mut runs, started) = (0.0, Instant::now());
        laps::start();
        while runs < 3.0 || started.elapsed() < budget {
            self.linear.forward(pool, scratch, &self.input, then, &mut self.out);
            runs += 1.0;
        }
        let products = laps::stop()[Part::Products as usize].as_secs_f64() / pool.threads() as f64;
        let operations = 2.0 * (self.rows * self.linear.inputs() * self.linear.outputs()) as f64;
        runs * operations / products
    }
}

/// Where a batch's time goes, by medians of rounds in turn: seconds of it all and of its parts, and operations a second
/// of the fastest product by itself.
fn profile(precision: Precision, budget: Duration, mut run: impl FnMut()) -> Value {
    const ROUNDS: usize = 5;
    let pool = Pool::new(0).unwrap();
    let mut scratch = Scratch::default();
    let mut alone: Vec<Alone> = [(512, 768, 3072), (512, 3072, 768), (2048, 768, 3072)]
        .into_iter()
        .map(|(rows, inputs, outputs)| Alone::new(precision, rows, inputs, outputs))
        .collect();
    let (mut rates, mut seconds) = (Vec::new(), Vec::new());
    let mut parts = [const { Vec::new() }; Part::ALL.len()];
    let share = budget / (2 * ROUNDS) as u32;
    run();
    for _ in 0..ROUNDS {
        let rate = |alone: &mut Alone| alone.rate(&pool, &mut scratch, share / 3);
        rates.push(alone.iter_mut().map(rate).fold(0.0, f64::max));
        let (mut runs, started) = (0.0, Instant::now());
        laps::start();
        while runs < 1.0 || started.elapsed() < share {
            run();
            runs += 1.0;
        }
        let passed = started.elapsed().as_secs_f64();
        let laps = laps::stop();
        seconds.push(passed / runs);
        for (all, lap) in parts.iter_mut().zip(laps) {
            all.push(lap.as_secs_f64() / pool.threads() as f64 / runs);
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut answer = json!({"seconds": median(&mut seconds), "rate": median(&mut rates)});
    for (part, values) in Part::ALL.iter().zip(&mut parts) {
        answer[part.name()] = json!(median(values));
    }
    answer
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [folder, precision, device @ ..] = arguments.as_slice() else {
        println!("not run: this is a part of benches/towers/run");
        return;
    };
    let wanted: DeviceChoice = device.first().map_or("cpu", String::as_str).parse().unwrap();
    let device = open_device(wanted);
    assert_eq!(device.is_cpu(), wanted == DeviceChoice::Cpu, "no such device");
    let precision = match precision.as_str() {
        "bf16" => Precision::Bf16,
        "f16" => Precision::F16,
        "int8" => Precision::Int8,
        _ => Precision::F32,
    };
    let towers = towers(folder, precision, &device);
    lookalike::allocator::give_back();
    let inputs = Inputs::read(folder);
    println!("{}", json!({"ready": "lookalike"}));
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "vectors" {
            let vectors = inputs.run(&towers, words[1], 32, words[2].parse().unwrap());
            println!("{}", json!({"vectors": vectors}));
            continue;
        }
        if words[0] == "profile" {
            let (batch, length) = (words[2].parse().unwrap(), words[3].parse().unwrap());
            let budget = Duration::from_secs_f64(words[4].parse().unwrap());
            let run = || {
                std::hint::black_box(inputs.run(&towers, words[1], batch, length));
            };
            println!("{}", profile(precision, budget, run));
            continue;
        }
        let (batch, length) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        let budget = Duration::from_secs_f64(words[3].parse().unwrap());
        let run = || {
            let started = Instant::now();
            std::hint::black_box(inputs.run(&towers, words[0], batch, length));
            started.elapsed().as_secs_f64()
        };
        run();
        let (mut times, started) = (Vec::new(), Instant::now());
        while times.len() < 3 || started.elapsed() < budget {
            times.push(run());
        }
        times.sort_by(f64::total_cmp);
        println!("{}", json!({"seconds": times[times.len() / 2], "megabytes": memory()}));
    }
}
