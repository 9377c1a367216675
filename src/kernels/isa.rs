//! Which instructions of the machine the kernels use: found once, at first use. `LOOKALIKE_KERNELS` in the
//! environment (`amx`, `avx512`, `avx2`, `neon`, `scalar`) sets an upper bound, for measuring and for tests.
//!
//! Invariant: a value of [`Isa`] exists only on a machine that has these instructions; the tokens of pulp
//! within it are the proof.

use std::sync::OnceLock;

use pulp::{Simd, WithSimd};

use super::Precision;

/// A set of instructions.
#[derive(Debug, Clone, Copy)]
pub struct Isa {
    pub(super) level: Level,
    /// Dot products of pairs of bf16 (AVX512-BF16) beside AVX-512.
    pub(super) bf16: bool,
    /// Dot products of four bytes (AVX512-VNNI) beside AVX-512.
    pub(super) vnni: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    /// Matrix tiles of bytes and bf16, with AVX-512 beside them.
    #[cfg(target_arch = "x86_64")]
    Amx(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Scalar,
}

impl Isa {
    /// The best of this machine within what the environment allows.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let bound = std::env::var("LOOKALIKE_KERNELS").ok();
            let all = Isa::available();
            let found = all.iter().find(|isa| bound.as_deref().is_none_or(|bound| isa.name() == bound));
            if let (Some(bound), None) = (&bound, found) {
                tracing::warn!("LOOKALIKE_KERNELS={bound}: this machine has no such kernels; it is ignored");
            }
            *found.or(all.first()).unwrap_or(&SCALAR)
        })
    }

    /// All that this machine can run, fastest first.
    pub fn available() -> Vec<Isa> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V4::try_new() {
                let (bf16, vnni) =
                    (is_x86_feature_detected!("avx512bf16"), is_x86_feature_detected!("avx512vnni"));
                if bf16 && vnni && super::amx::granted() {
                    all.push(Isa { level: Level::Amx(simd), bf16, vnni });
                }
                all.push(Isa { level: Level::Avx512(simd), bf16, vnni });
            }
            if let Some(simd) = pulp::x86::V3::try_new() {
                all.push(Isa { level: Level::Avx2(simd), bf16: false, vnni: false });
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = pulp::aarch64::Neon::try_new() {
            all.push(Isa { level: Level::Neon(simd), bf16: false, vnni: false });
        }
        all.push(SCALAR);
        all
    }

    /// `amx`, `avx512`, `avx2`, `neon` or `scalar`.
    pub fn name(&self) -> &'static str {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            Level::Amx(_) => "amx",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => "neon",
            Level::Scalar => "scalar",
        }
    }

    /// What it computes faster than f32, fastest first.
    pub fn faster_than_f32(&self) -> Vec<Precision> {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            Level::Amx(_) => vec![Precision::Int8, Precision::Bf16],
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) if self.bf16 => vec![Precision::Int8, Precision::Bf16],
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) | Level::Avx2(_) => vec![Precision::Int8],
            _ => Vec::new(),
        }
    }

    /// Whether bytes go through the layers by blocks of a few rows, each with all weights: matrix tiles are faster than
    /// weights come from the last cache.
    pub fn takes_blocks(&self) -> bool {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            Level::Amx(_) => false,
            _ => true,
        }
    }

    /// Compile `op` for the widest vectors and run it.
    #[inline(always)]
    pub(super) fn dispatch<Op: WithSimd>(&self, op: Op) -> Op::Output {
        match self.level {
            #[cfg(target_arch = "x86_64")]
            Level::Amx(simd) | Level::Avx512(simd) => Simd::vectorize(simd, op),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(simd) => Simd::vectorize(simd, op),
            #[cfg(target_arch = "aarch64")]
            Level::Neon(simd) => Simd::vectorize(simd, op),
            Level::Scalar => Simd::vectorize(pulp::Scalar, op),
        }
    }

    /// Compile plain loops for the widest vectors and run them. All that they call must be `inline(always)`.
    #[inline(always)]
    pub(super) fn vectorise<R>(&self, op: impl FnOnce() -> R) -> R {
        struct Plain<F>(F);
        impl<R, F: FnOnce() -> R> WithSimd for Plain<F> {
            type Output = R;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> R {
                (self.0)()
            }
        }
        self.dispatch(Plain(op))
    }
}

const SCALAR: Isa = Isa { level: Level::Scalar, bf16: false, vnni: false };
