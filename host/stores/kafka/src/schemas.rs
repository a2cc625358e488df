//! Avro schemas by id, as Confluent's wire format refers to them.

use std::sync::Arc;

use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::Catalog;
use assay_engine::registry::{Registry, RegistryError};

/// The author of schemas that the adapters register.
const AUTHOR: &str = "server";

/// A schema registry.
pub trait Schemas: Send + Sync {
    /// The JSON text of the Avro schema with an id; none if there is no such schema.
    ///
    /// # Errors
    /// The registry does not answer. A later attempt may succeed.
    fn by_id(&self, id: i32) -> Result<Option<String>, StoreError>;

    /// Registers a schema under a subject unless it is registered. Returns its id.
    ///
    /// # Errors
    /// The registry does not answer, or refuses the schema, such as one that is incompatible with earlier ones.
    fn register(&self, subject: &str, schema: &str) -> Result<i32, StoreError>;
}

/// Assay's own schema registry, stored in the catalog.
pub struct CatalogSchemas(Arc<dyn Catalog>);

impl CatalogSchemas {
    /// The registry of a catalog.
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self(catalog)
    }
}

impl Schemas for CatalogSchemas {
    fn by_id(&self, id: i32) -> Result<Option<String>, StoreError> {
        Ok(Registry::new(&*self.0).by_id(id)?.map(|stored| stored.schema))
    }

    fn register(&self, subject: &str, schema: &str) -> Result<i32, StoreError> {
        match Registry::new(&*self.0).register(subject, schema, AUTHOR) {
            Ok(registered) => Ok(registered.id),
            Err(RegistryError::Store(error)) => Err(error),
            Err(error) => Err(StoreError::Broken {
                store: "schema registry",
                message: format!("registering the schema of '{subject}': {error}"),
            }),
        }
    }
}
