//! Avro schemas by id: what Confluent's wire format refers to.

use std::sync::Arc;

use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::Catalog;
use assay_engine::registry::{Registry, RegistryError};

/// Who registers the schemas that the adapters write with.
const AUTHOR: &str = "server";

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

/// Assay's own registry, which lives in the catalog.
pub struct CatalogSchemas(Arc<dyn Catalog>);

impl CatalogSchemas {
    /// The schemas of a catalog.
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
