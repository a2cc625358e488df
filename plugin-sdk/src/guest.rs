//! The functions that a host calls, implemented for every plugin.

use crate::batch;
use crate::bindings::{Batch, Blobs, Guest, Manifest, Verdicts};
use crate::config;
use crate::scoring::{Scoring, manifest};
use crate::state;

impl<P: Scoring> Guest for P {
    fn describe() -> Manifest {
        install_panic_hook();
        manifest::<P>()
    }

    fn configure(json: String) -> Result<(), String> {
        install_panic_hook();
        let config = config::parse(&json)?;
        P::slot().with_borrow_mut(|slot| *slot = Some(config));
        Ok(())
    }

    fn score(batch: Batch) -> Result<Verdicts, String> {
        P::slot().with_borrow(|slot| {
            let config = slot.as_ref().ok_or("the plugin got a batch before its config")?;
            batch::score::<P>(config, &batch)
        })
    }

    fn migrate(from_version: u32, states: Blobs) -> Result<Blobs, String> {
        let migrated: Result<Vec<P::State>, String> =
            state::iter(&states).map(|bytes| P::migrate(from_version, bytes?)).collect();
        state::encode_all(&migrated?, states.data.len())
    }
}

/// Installs the panic hook that writes messages to the memory that the host reads. It does nothing outside of Wasm.
fn install_panic_hook() {
    #[cfg(target_arch = "wasm32")]
    assay_panic_message.install();
}

// Defines `static assay_panic_message: PanicMessage`. The module exports its address under this name.
#[cfg(target_arch = "wasm32")]
assay_sdk_macros::export_panic_message!();
