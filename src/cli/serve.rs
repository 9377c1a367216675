//! `lookalike serve`: loads the model, opens the data, listens, and stops without losing
//! anything on SIGINT or SIGTERM.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::client::Client;
use super::{SettingsArgs, banner};
use crate::config::{self, Settings};
use crate::embed::{DeviceChoice, EmbedOptions, Embedder, ModelSpec, PrecisionChoice};
use crate::engine::{CallLimits, Engine, ModelLimits, Models};
use crate::error::Result;
use crate::http::{Bound, ServerOptions, bind};
use crate::preprocess;
use crate::storage::StoreOptions;
use crate::types::PicturePolicy;

const MIB: usize = 1024 * 1024;
/// A call on a server of one's own ends after this time.
const WORK: Duration = Duration::from_secs(600);

/// A server that listens, and what stands behind it.
pub struct Started {
    pub bound: Bound,
    pub engine: Engine,
    pub banner: String,
}

/// Runs the verb.
pub fn run(args: &SettingsArgs) -> anyhow::Result<()> {
    let settings = args.settings()?;
    actix_web::rt::System::new().block_on(async move {
        let started = start(&settings)?;
        print!("{}", started.banner);
        started.bound.server.await?;
        stop(&started.engine)
    })
}

/// Everything up to the first request.
pub fn start(settings: &Settings) -> Result<Started> {
    let began = Instant::now();
    let models = models(settings)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let parallel = if settings.max_parallel_calls == 0 { 2 * cores } else { settings.max_parallel_calls };
    let limits = CallLimits { parallel, waiting: settings.max_waiting_calls };
    let pictures = PicturePolicy { thumbnails: settings.thumbnails, originals: settings.originals };
    let engine = Engine::open(&settings.data_dir, store_options(settings), models, limits, pictures)?;
    let bound = bind(engine.clone(), server_options(settings))?;
    let banner = banner::text(
        &format!("http://{}", bound.address),
        &settings.data_dir,
        engine.names().len(),
        engine.model(),
        began.elapsed(),
    );
    Ok(Started { bound, engine, banner })
}

/// The default model, loaded, and the others as the settings name them.
fn models(settings: &Settings) -> Result<Models> {
    let options = embed_options(settings);
    let others = settings.also_model.iter().map(|text| ModelSpec::parse(text)).collect::<Result<Vec<_>>>()?;
    let embedder = Embedder::load(&ModelSpec::parse(&settings.model)?, &options)?;
    let limits = ModelLimits {
        idle: (settings.model_idle_secs > 0).then(|| Duration::from_secs(settings.model_idle_secs)),
        memory_bytes: (settings.model_memory_mib > 0).then_some((settings.model_memory_mib * MIB) as u64),
    };
    Models::new(embedder, &others, &options, limits)
}

/// Runs blocking work against a server of its own on a free port of this machine, which then stops
/// cleanly; Ctrl-C stops the server too.
///
/// # Errors
/// Where the server does not start, and of the work.
pub fn around<T: Send + 'static>(
    mut settings: Settings,
    work: impl FnOnce(&Client) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    settings.host = Ipv4Addr::LOCALHOST.into();
    settings.port = 0;
    actix_web::rt::System::new().block_on(async move {
        let started = start(&settings)?;
        let client =
            Client::new(&format!("http://{}", started.bound.address), settings.api_key.clone(), WORK);
        let handle = started.bound.server.handle();
        let working = tokio::task::spawn_blocking(move || work(&client));
        let watch = actix_web::rt::spawn(async move {
            let done = working.await;
            handle.stop(true).await;
            done
        });
        started.bound.server.await?;
        stop(&started.engine)?;
        watch.await??
    })
}

/// After the last request: makes the stop a clean one.
pub fn stop(engine: &Engine) -> anyhow::Result<()> {
    engine.close()?;
    tracing::info!("stopped; everything is on disk");
    Ok(())
}

fn store_options(settings: &Settings) -> StoreOptions {
    StoreOptions {
        compact_from_bytes: (settings.compact_from_mib * MIB) as u64,
        min_free_disk_bytes: (settings.min_free_disk_mib * MIB) as u64,
        ..StoreOptions::default()
    }
}

/// How the settings load and run a model.
pub fn embed_options(settings: &Settings) -> EmbedOptions {
    EmbedOptions {
        device: match settings.device {
            config::Device::Auto => DeviceChoice::Auto,
            config::Device::Cpu => DeviceChoice::Cpu,
            config::Device::Cuda => DeviceChoice::Cuda,
            config::Device::Metal => DeviceChoice::Metal,
        },
        precision: match settings.precision {
            config::Precision::F32 => PrecisionChoice::F32,
            config::Precision::Bf16 => PrecisionChoice::Bf16,
            config::Precision::F16 => PrecisionChoice::F16,
            config::Precision::Int8 => PrecisionChoice::Int8,
            config::Precision::Auto => PrecisionChoice::Auto,
        },
        offline: settings.offline,
        cache_dir: settings.model_cache.clone(),
        max_batch: settings.max_batch,
        queue: settings.embed_queue,
        decoders: settings.decode_threads,
        decode_bytes: (settings.decode_memory_mib * MIB) as u64,
        cache_bytes: (settings.embed_cache_mib * MIB) as u64,
        limits: preprocess::Limits {
            max_bytes: settings.max_image_mib * MIB,
            max_pixels: settings.max_image_megapixels as u64 * 1_000_000,
        },
        ..EmbedOptions::default()
    }
}

fn server_options(settings: &Settings) -> ServerOptions {
    ServerOptions {
        address: settings.address(),
        api_key: settings.api_key.clone(),
        read_only_api_key: settings.read_only_api_key.clone(),
        max_body_bytes: settings.max_body_mib * MIB,
        max_upload_bytes: settings.max_upload_mib * MIB,
        max_image_bytes: settings.max_image_mib * MIB,
        body_timeout: Duration::from_secs(settings.body_timeout_secs),
        request_timeout: Duration::from_secs(settings.request_timeout_secs),
        workers: settings.http_workers,
    }
}
