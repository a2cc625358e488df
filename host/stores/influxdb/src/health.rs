//! The server's own word on how it is.

use assay_engine::ports::StoreError;
use influxdb2::models::{HealthCheck, Status};

use super::Database;
use super::error::Failure;

impl Database {
    /// Asks the server for its health, so that a server that is not well says so itself, instead of by the failures of
    /// other requests.
    ///
    /// # Errors
    /// It does not answer, or is not well.
    pub(super) fn check_health(&self) -> Result<(), StoreError> {
        let doing = "asking for its health";
        match self.connection.request(doing, || self.connection.client().health()) {
            Ok(HealthCheck { status: Status::Fail, message, .. }) => {
                let message = message.unwrap_or_else(|| "no reason given".to_owned());
                Err(self.connection.unavailable(doing, &format!("it is not well: {message}")))
            }
            Ok(HealthCheck { status: Status::Pass, version, .. }) => {
                tracing::debug!(version, "InfluxDB is well");
                Ok(())
            }
            Err(Failure::Store(error @ StoreError::Unavailable { .. })) => Err(error),
            // Not everything that speaks InfluxDB's API has this page, and not everybody may read it.
            Err(_) => Ok(()),
        }
    }
}
