//! What stands around the matrix products of EfficientNet: the depthwise convolution, which candle does one channel
//! at a time, and the end of a product in one pass. f32, layout [n, h, w, c].

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaView, PushKernelArg};
use candle_core::{CudaDevice, Device, Result, Tensor};

use super::{Module, blocks, unavailable, whole, with_values};
use crate::embed::efficientnet::Place;

const THREADS: usize = 256;

/// The kernels, compiled for a device.
pub struct Convolutions {
    module: Module,
    depthwise: CudaFunction,
    finish: CudaFunction,
}

impl Convolutions {
    /// `None` where the device is none of CUDA's or the compiler refuses.
    pub fn new(device: &Device) -> Option<Convolutions> {
        let Device::Cuda(device) = device else { return None };
        match Convolutions::compile(device) {
            Ok(kernels) => Some(kernels),
            Err(error) => {
                unavailable(&error);
                None
            }
        }
    }

    fn compile(device: &CudaDevice) -> Result<Convolutions> {
        let module = Module::compile(device, "convolution", include_str!("convolution.cu"), &[])?;
        Ok(Convolutions {
            depthwise: module.function("depthwise")?,
            finish: module.function("finish")?,
            module,
        })
    }

    /// Input [n, h, w, c], bias before `[c]`, kernel [side * side, c], bias `[c]`; output [n, rows, columns, c].
    pub fn depthwise(
        &self,
        input: &Tensor,
        [before, kernel, bias]: [&Tensor; 3],
        place: Place,
    ) -> Result<Tensor> {
        let (n, h, w, c) = input.dims4()?;
        let Place { side, stride, top, left, rows, columns } = place;
        let fits = [(before, c), (kernel, side * side * c), (bias, c)]
            .iter()
            .all(|(t, count)| t.elem_count() == *count);
        if !fits || n * c * rows * columns == 0 {
            candle_core::bail!("a depthwise layer does not fit {:?}", input.shape());
        }
        let outputs = n * rows * columns * c;
        let mut output = self.module.output::<f32>(outputs)?;
        let count = outputs as i64; // below 2^63: it is in memory
        let numbers = [h, w, c, rows, columns, side, stride, top, left];
        let numbers = numbers.into_iter().map(whole).collect::<Result<Vec<i32>>>()?;
        with_values::<f32, _>(input, |input| {
            with_values::<f32, _>(before, |before| {
                with_values::<f32, _>(kernel, |kernel| {
                    with_values::<f32, _>(bias, |bias| {
                        let mut launch = self.module.stream.launch_builder(&self.depthwise);
                        launch.arg(&input).arg(&before).arg(&kernel).arg(&bias).arg(&mut output).arg(&count);
                        for number in &numbers {
                            launch.arg(number);
                        }
                        // SAFETY: the kernel reads inside n * h * w * c, and the weights are as long as c says.
                        unsafe { launch.launch(blocks(outputs, THREADS)?) }.w()?;
                        Ok(())
                    })
                })
            })
        })?;
        Ok(self.module.tensor(output, (n, rows, columns, c)))
    }

    /// x [.., c] + bias `[c]` + `residual` of x's shape, between 0 and 6 where `clamp` says so.
    pub fn finish(
        &self,
        x: &Tensor,
        bias: &Tensor,
        residual: Option<&Tensor>,
        clamp: bool,
    ) -> Result<Tensor> {
        let (numbers, channels) = (x.elem_count(), bias.elem_count());
        if channels == 0
            || !numbers.is_multiple_of(channels)
            || residual.is_some_and(|residual| residual.elem_count() != numbers)
        {
            candle_core::bail!("a bias of {channels} does not fit {:?}", x.shape());
        }
        let mut output = self.module.output::<f32>(numbers)?;
        let (count, across, clamp) = (numbers as i64, whole(channels)?, i32::from(clamp));
        let mut run = |residual: Option<CudaView<f32>>| {
            with_values::<f32, _>(x, |x| {
                with_values::<f32, _>(bias, |bias| {
                    let mut launch = self.module.stream.launch_builder(&self.finish);
                    launch.arg(&x).arg(&bias);
                    match &residual {
                        Some(residual) => launch.arg(residual),
                        None => launch.arg(&0u64),
                    };
                    launch.arg(&mut output).arg(&count).arg(&across).arg(&clamp);
                    // SAFETY: x, the output and what is no null pointer hold `count` numbers, the bias `across`.
                    unsafe { launch.launch(blocks(numbers, THREADS)?) }.w()?;
                    Ok(())
                })
            })
        };
        match residual {
            Some(residual) => with_values::<f32, _>(residual, |residual| run(Some(residual)))?,
            None => run(None)?,
        }
        Ok(self.module.tensor(output, x.shape()))
    }
}
