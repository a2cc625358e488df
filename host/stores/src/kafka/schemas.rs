//! Avro schemas by id: what Confluent's wire format refers to.

use assay_engine::ports::StoreError;

/// A schema registry.
pub trait Schemas: Send + Sync {
    /// The JSON text of the Avro schema with an id; none if there is no such schema.
    ///
    /// # Errors
    /// The registry cannot be asked. Trying again later may help.
    fn by_id(&self, id: i32) -> Result<Option<String>, StoreError>;

    /// Registers a schema under a subject, or finds it there. Returns its id.
    ///
    /// # Errors
    /// The registry cannot be asked, or refuses: such as one that is not compatible with what is there.
    fn register(&self, subject: &str, schema: &str) -> Result<i32, StoreError>;
}
