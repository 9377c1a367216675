//! Where the towers run. Invariant: asking for a GPU never fails and never crashes; what cannot be
//! had is said once, in one line, and the CPU takes over.

use std::panic::catch_unwind;

use candle_core::Device;

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

/// Open the device, or the CPU with a warning.
pub(super) fn open(choice: DeviceChoice) -> Device {
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
    let opened = catch_unwind(|| if name == "cuda" { Device::new_cuda(0) } else { Device::new_metal(0) });
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

/// `cpu`, `cuda` or `metal`.
pub(super) fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}
