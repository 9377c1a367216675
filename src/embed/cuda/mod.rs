//! NVIDIA GPUs: the device, and kernels of our own for what candle's operations do in several passes over memory.
//! Matrix products stay cuBLAS's, through candle. The kernels are compiled by CUDA's runtime compiler when a
//! model is loaded, for its shapes; where that fails, as on a GPU before Ampere, candle's operations do the
//! work. Only with the feature `cuda`.
//!
//! Invariant: every pointer that a kernel gets holds as many numbers as it reads or writes there; what it is
//! calculated from is checked before each launch. All work of a device is on one stream, in order.

#![allow(unsafe_code)]

mod convolution;
mod layers;

use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, DeviceRepr, LaunchConfig, PinnedHostSlice, PushKernelArg,
    result,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Device, Result, Shape, Storage, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use parking_lot::Mutex;
use rayon::prelude::*;
use std::sync::Arc;

pub(super) use convolution::Convolutions;
pub(super) use layers::Fused;

use super::config::TowerShape;
use super::vit_candle::Norm;
use crate::kernels::Activation;

/// The oldest architecture whose instructions the kernels use.
const ARCHITECTURE: &str = "compute_80";

/// The first GPU.
///
/// # Errors
/// candle's where there is none; where the driver's library is absent, the binding panics.
pub(super) fn open() -> Result<Device> {
    // One stream for all threads: that of a thread would let the next thread read what is not written yet.
    let device = Device::new_cuda_with_stream(0)?;
    if let Device::Cuda(cuda) = &device {
        // SAFETY: events order the uses of a buffer on several streams; this device has one.
        unsafe { cuda.disable_event_tracking() };
    }
    Ok(device)
}

/// Free memory of a GPU, where it says so.
pub(super) fn free_bytes(device: &Device) -> Option<usize> {
    // The context is the current one of this thread once the device has been used on it.
    device.synchronize().ok()?;
    result::mem_get_info().ok().map(|(free, _)| free)
}

/// Kernels of one source, compiled for one device.
struct Module {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    name: String,
    ptx: String,
}

impl Module {
    /// `defines` are of the form `NAME=value`.
    fn compile(device: &CudaDevice, name: &str, source: &str, defines: &[String]) -> Result<Module> {
        let options = CompileOptions {
            arch: Some(ARCHITECTURE),
            options: defines.iter().map(|define| format!("--define-macro={define}")).collect(),
            ..CompileOptions::default()
        };
        let ptx = compile_ptx_with_opts(source, options)
            .map_err(|error| candle_core::Error::msg(format!("compiling {name}.cu: {error}")))?;
        let name = format!("{name} {}", defines.join(" "));
        Ok(Module { device: device.clone(), stream: device.cuda_stream(), name, ptx: ptx.to_src() })
    }

    fn function(&self, name: &str) -> Result<CudaFunction> {
        Ok(self.device.get_or_load_custom_func(name, &self.name, &self.ptx)?.into_cuda_function())
    }

    /// Numbers that a kernel is about to write, all of them.
    fn output<T: DeviceRepr>(&self, count: usize) -> Result<CudaSlice<T>> {
        // SAFETY: each kernel here writes every number of its output.
        unsafe { self.device.alloc::<T>(count) }
    }

    fn tensor<T: CudaDType + DeviceRepr>(&self, values: CudaSlice<T>, shape: impl Into<Shape>) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(values, self.device.clone());
        Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
    }
}

/// Says that candle's operations do the work.
fn unavailable(error: &candle_core::Error) {
    let reason = error.to_string();
    let reason = reason.lines().next().unwrap_or("failed");
    tracing::warn!("the kernels for this GPU cannot be had, the model will be slower on it: {reason}");
}

/// The numbers of a contiguous tensor on a GPU, in order.
fn with_values<T: CudaDType + DeviceRepr, R>(
    tensor: &Tensor,
    run: impl FnOnce(CudaView<T>) -> Result<R>,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { candle_core::bail!("expected a tensor on a GPU") };
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("expected contiguous numbers")
    };
    run(storage.as_cuda_slice::<T>()?.slice(start..end))
}

/// A grid of one dimension.
fn blocks(items: usize, threads: usize) -> Result<LaunchConfig> {
    let Ok(count) = u32::try_from(items.div_ceil(threads)) else {
        candle_core::bail!("{items} items are too many at a time")
    };
    Ok(LaunchConfig { grid_dim: (count, 1, 1), block_dim: (threads as u32, 1, 1), shared_mem_bytes: 0 })
}

fn whole(number: usize) -> Result<i32> {
    i32::try_from(number).map_err(|_| candle_core::Error::msg(format!("{number} is too large for a kernel")))
}

/// The kernels of a transformer's tower in f16.
struct Kernels {
    module: Module,
    attention: CudaFunction,
    join: CudaFunction,
    activate: CudaFunction,
    patches: CudaFunction,
    /// Pixels on their way to the GPU, in memory that it reads by itself.
    staging: Mutex<Option<PinnedHostSlice<f16>>>,
    head: usize,
    heads: usize,
    width: usize,
}

impl Kernels {
    const THREADS: usize = 128;
    /// Queries of a block of `attention`.
    const TILE: usize = 64;

    /// `None` where the tower or the GPU is not made for them.
    fn new(device: &Device, shape: &TowerShape) -> Option<Kernels> {
        let Device::Cuda(device) = device else { return None };
        let head = shape.width / shape.heads;
        let fits =
            head.is_multiple_of(8) && head <= 128 && shape.width <= 4096 && shape.mlp_width.is_multiple_of(8);
        if !fits {
            return None;
        }
        match Kernels::compile(device, shape, head) {
            Ok(kernels) => Some(kernels),
            Err(error) => {
                unavailable(&error);
                None
            }
        }
    }

    fn compile(device: &CudaDevice, shape: &TowerShape, head: usize) -> Result<Kernels> {
        let defines = [format!("HEAD={head}"), format!("WIDTH={}", shape.width)];
        let module = Module::compile(device, "kernels", include_str!("kernels.cu"), &defines)?;
        Ok(Kernels {
            attention: module.function("attention")?,
            join: module.function("join")?,
            activate: module.function("activate")?,
            patches: module.function("patches")?,
            staging: Mutex::new(None),
            module,
            head,
            heads: shape.heads,
            width: shape.width,
        })
    }

    /// A joint product [n, rows, 3 * width] without its bias `[3 * width]` to what is mixed by attention,
    /// [n, rows, width].
    fn attention(&self, joint: &Tensor, bias: &Tensor, causal: bool) -> Result<Tensor> {
        let (n, rows, numbers) = joint.dims3()?;
        if numbers != 3 * self.width || bias.elem_count() != numbers || n * rows == 0 || n > 65_535 {
            candle_core::bail!("attention of {:?} with a bias of {:?}", joint.shape(), bias.shape());
        }
        let mut output = self.module.output::<f16>(n * rows * self.width)?;
        let config = LaunchConfig {
            grid_dim: (rows.div_ceil(Self::TILE) as u32, self.heads as u32, n as u32),
            block_dim: (Self::THREADS as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        let (count, heads, causal) = (whole(rows)?, whole(self.heads)?, i32::from(causal));
        let scale = std::f32::consts::LOG2_E / (self.head as f32).sqrt();
        with_values::<f16, _>(joint, |joint| {
            with_values::<f16, _>(bias, |bias| {
                let mut launch = self.module.stream.launch_builder(&self.attention);
                launch
                    .arg(&joint)
                    .arg(&bias)
                    .arg(&mut output)
                    .arg(&count)
                    .arg(&heads)
                    .arg(&causal)
                    .arg(&scale);
                // SAFETY: the three hold what the kernel's text says for n, rows, heads and head, checked above.
                unsafe { launch.launch(config) }.w()?;
                Ok(())
            })
        })?;
        Ok(self.module.tensor(output, (n, rows, self.width)))
    }

    /// x + y + bias of rows [m, width], and that normalised.
    fn join(&self, x: &Tensor, y: &Tensor, bias: &Tensor, norm: &Norm) -> Result<(Tensor, Tensor)> {
        let (rows, width) = x.dims2()?;
        let narrow = [bias, &norm.gain, &norm.bias];
        if width != self.width || y.dims() != x.dims() || narrow.iter().any(|t| t.elem_count() != width) {
            candle_core::bail!("a sum of {:?} and {:?}", x.shape(), y.shape());
        }
        let mut output = self.module.output::<f16>(2 * rows * width)?;
        let config =
            LaunchConfig { block_dim: (Self::THREADS as u32, 1, 1), ..blocks(rows, Self::THREADS / 32)? };
        let count = whole(rows)?;
        with_values::<f16, _>(x, |x| {
            with_values::<f16, _>(y, |y| {
                with_values::<f16, _>(bias, |bias| {
                    with_values::<f16, _>(&norm.gain, |gain| {
                        with_values::<f16, _>(&norm.bias, |shift| {
                            let mut launch = self.module.stream.launch_builder(&self.join);
                            launch.arg(&x).arg(&y).arg(&bias).arg(&gain).arg(&shift);
                            launch.arg(&mut output).arg(&count).arg(&norm.epsilon);
                            // SAFETY: x and y hold rows * WIDTH numbers, the rest WIDTH, the output twice the first.
                            unsafe { launch.launch(config) }.w()?;
                            Ok(())
                        })
                    })
                })
            })
        })?;
        let both = self.module.tensor(output, (2, rows, width));
        Ok((both.get(0)?, both.get(1)?))
    }

    /// The activation of x + bias, rows [m, width of the bias].
    fn activate(&self, activation: Activation, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (count, width) = (x.elem_count(), bias.elem_count());
        if width == 0 || !width.is_multiple_of(8) || !count.is_multiple_of(width) {
            candle_core::bail!("an activation of {:?} with a bias of {width}", x.shape());
        }
        let kind: i32 = match activation {
            Activation::None => 0,
            Activation::QuickGelu => 1,
            Activation::Gelu => 2,
            Activation::GeluTanh => 3,
            Activation::Relu6 => 4,
        };
        let mut output = self.module.output::<f16>(count)?;
        let (vectors, across) = (whole(count / 8)?, whole(width / 8)?);
        with_values::<f16, _>(x, |x| {
            with_values::<f16, _>(bias, |bias| {
                let mut launch = self.module.stream.launch_builder(&self.activate);
                launch.arg(&x).arg(&bias).arg(&mut output).arg(&vectors).arg(&across).arg(&kind);
                // SAFETY: x and the output hold `vectors` times 8 numbers, the bias `across` times 8.
                unsafe { launch.launch(blocks(count / 8, 256)?) }.w()?;
                Ok(())
            })
        })?;
        Ok(self.module.tensor(output, x.shape()))
    }

    /// The patches of pixels f16 [n, 3, side, side], [n, across * across, 3 * patch * patch].
    fn patches(&self, pixels: &Tensor, across: usize, patch: usize) -> Result<Tensor> {
        let (n, channels, side, width) = pixels.dims4()?;
        if channels != 3 || side != width || across * patch > side || !patch.is_multiple_of(2) || n == 0 {
            candle_core::bail!("patches of {patch} from {:?}", pixels.shape());
        }
        let numbers = n * across * across * 3 * patch * patch;
        let mut output = self.module.output::<f16>(numbers)?;
        let count = (numbers / 2) as i64; // below 2^63: it is in memory
        let (side, places, size) = (whole(side)?, whole(across)?, whole(patch)?);
        with_values::<f16, _>(pixels, |pixels| {
            let mut launch = self.module.stream.launch_builder(&self.patches);
            launch.arg(&pixels).arg(&mut output).arg(&count).arg(&side).arg(&places).arg(&size);
            // SAFETY: across patches of this size fit in the side, checked above; the output holds them all.
            unsafe { launch.launch(blocks(numbers / 2, 256)?) }.w()?;
            Ok(())
        })?;
        Ok(self.module.tensor(output, (n, across * across, 3 * patch * patch)))
    }

    /// Pixels [n, 3, side, side] to the GPU, as f16: made by all cores, half as many bytes over the bus.
    fn upload(&self, pixels: &[f32], shape: (usize, usize, usize, usize)) -> Result<Tensor> {
        const TASK: usize = 64 << 10;
        let mut staging = self.staging.lock();
        // What was uploaded before has arrived; its caller has waited for the vectors already.
        self.module.stream.synchronize().w()?;
        if staging.as_ref().is_none_or(|staging| staging.len() < pixels.len()) {
            *staging = None;
            // SAFETY: what is read of it is written before, below.
            *staging = Some(unsafe { self.module.stream.context().alloc_pinned(pixels.len()) }.w()?);
        }
        let Some(memory) = staging.as_mut() else { candle_core::bail!("no memory for pixels") };
        let memory = &mut memory.as_mut_slice().w()?[..pixels.len()];
        memory
            .par_chunks_mut(TASK)
            .zip(pixels.par_chunks(TASK))
            .for_each(|(to, from)| to.convert_from_f32_slice(from));
        let mut values = self.module.output::<f16>(pixels.len())?;
        self.module.device.memcpy_htod(&*memory, &mut values)?;
        Ok(self.module.tensor(values, shape))
    }
}
