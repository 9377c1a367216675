//! Where the towers run. Invariant: asking for a GPU never fails and never crashes; what cannot be
//! had is said once, in one line, and the CPU takes over.

use std::panic::catch_unwind;

use candle_core::Device;

use super::cuda;

/// The device that the operator asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if this build has support and the machine has one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An Apple GPU.
    Metal,
}

impl std::str::FromStr for DeviceChoice {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> crate::error::Result<Self> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda),
            "metal" => Ok(DeviceChoice::Metal),
            other => Err(crate::error::Error::InvalidInput(format!(
                "device {other:?} is unknown; expected auto, cpu, cuda or metal"
            ))),
        }
    }
}

/// Open the device, or the CPU with a warning: what a model's towers are built on.
pub fn open(choice: DeviceChoice) -> Device {
    let (name, built) = match choice {
        DeviceChoice::Cpu => return Device::Cpu,
        DeviceChoice::Cuda => ("cuda", cfg!(feature = "cuda")),
        DeviceChoice::Metal => ("metal", cfg!(feature = "metal")),
        DeviceChoice::Auto if cfg!(feature = "cuda") => ("cuda", true),
        DeviceChoice::Auto if cfg!(feature = "metal") => ("metal", true),
        DeviceChoice::Auto => return Device::Cpu,
    };
    if !built {
        tracing::warn!("device {name}: this binary is built without the feature `{name}`; using the CPU");
        return Device::Cpu;
    }
    // The driver's library is loaded here; where it is absent the binding panics.
    let opened = catch_unwind(|| if name == "cuda" { cuda::open() } else { Device::new_metal(0) });
    match opened {
        Ok(Ok(device)) => device,
        Ok(Err(error)) => {
            let reason = error.to_string();
            tracing::warn!("device {name}: {}; using the CPU", reason.lines().next().unwrap_or("failed"));
            Device::Cpu
        }
        Err(_) => {
            tracing::warn!("device {name}: its driver is not installed; using the CPU");
            Device::Cpu
        }
    }
}

/// Inputs of a run where nothing else is said: on the CPU more do not go faster, and a query waits longer.
const CPU_BATCH: usize = 8;
/// And on a GPU, which is idle below and has enough to do at the most.
const GPU_BATCH: std::ops::RangeInclusive<usize> = 8..=256;

/// Items of a run, where each takes so many bytes.
pub(super) fn batch(device: &Device, item_bytes: usize) -> usize {
    if device.is_cpu() { CPU_BATCH } else { fitting(cuda::free_bytes(device), item_bytes) }
}

/// What fits in half of the free memory; the rest is for what is not counted and for others.
fn fitting(free: Option<usize>, item_bytes: usize) -> usize {
    let (least, most) = (*GPU_BATCH.start(), *GPU_BATCH.end());
    free.map_or(least, |free| (free / 2 / item_bytes.max(1)).clamp(least, most))
}

/// `cpu`, `cuda` or `metal`.
pub(super) fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_half_of_the_free_memory_holds() {
        assert_eq!(batch(&Device::Cpu, 1), 8);
        let mega = 1 << 20;
        assert_eq!(fitting(Some(80 << 30), 4 * mega), 256);
        assert_eq!(fitting(Some(6 << 30), 94 * mega), 32);
        assert_eq!(fitting(Some(100 * mega), 94 * mega), 8);
        assert_eq!(fitting(None, mega), 8);
        assert_eq!(fitting(Some(usize::MAX), 0), 256);
    }
}
