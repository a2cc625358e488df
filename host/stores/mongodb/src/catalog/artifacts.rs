//! The bucket `plugins`: artifacts in the layout of GridFS, so that any GridFS client can read them. The digest is the
//! `_id` and the name of a file and the key of its chunks, so repeated and concurrent writes make no second copy.

use std::sync::Arc;

use ::mongodb::bson::spec::BinarySubtype;
use ::mongodb::bson::{Binary, Bson, DateTime, doc};
use ::mongodb::options::IndexOptions;
use assay_core::names::Digest;
use assay_engine::ports::StoreError;

use super::super::database::Database;
use super::super::error::broken;
use super::super::fields::Fields;
use super::super::statements::Upsert;

const FILES: &str = "plugins.files";
const CHUNKS: &str = "plugins.chunks";
/// The default chunk size of GridFS.
const CHUNK_BYTES: usize = 255 << 10;

/// Artifacts by their digest.
pub(super) struct Artifacts {
    database: Arc<Database>,
}

impl Artifacts {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        // The indexes that the specification of GridFS requires.
        database.make_index(FILES, doc! { "filename": 1, "uploadDate": 1 }, IndexOptions::default())?;
        let unique = IndexOptions::builder().unique(true).build();
        database.make_index(CHUNKS, doc! { "files_id": 1, "n": 1 }, unique)?;
        Ok(Self { database })
    }

    /// Stores bytes under their digest. An intact artifact is not written again; a damaged or incomplete one is.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        match self.get(&digest) {
            Ok(Some(_)) => return Ok(digest),
            Ok(None) | Err(StoreError::Broken { .. }) => {}
            Err(error) => return Err(error),
        }
        let id = digest.to_string();
        let doing = format_args!("keeping the artifact {digest}");
        for (n, chunk) in (0_i32..).zip(bytes.chunks(CHUNK_BYTES)) {
            let data = Binary { subtype: BinarySubtype::Generic, bytes: chunk.to_vec() };
            // The server makes the `_id`, an ObjectId, as GridFS clients expect.
            let chunk = Upsert::new(doc! { "files_id": &id, "n": n }, doc! { "$set": { "data": data } })?;
            self.database.upsert(doing, CHUNKS, &[chunk])?;
        }
        // The file is written last, so that a file that exists has all its chunks.
        let file = doc! {
            "length": bytes.len() as i64,
            "chunkSize": CHUNK_BYTES as i32,
            "uploadDate": DateTime::now(),
            "filename": &id,
        };
        let file = Upsert::new(doc! { "_id": &id }, doc! { "$set": file })?;
        self.database.upsert(doing, FILES, &[file])?;
        Ok(digest)
    }

    /// The bytes of a digest; none if there is no such artifact.
    ///
    /// # Errors
    /// The store fails, or the stored bytes have another digest.
    pub(super) fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let id = digest.to_string();
        let doing = format_args!("reading the artifact {digest}");
        if self.database.call(doing, self.database.collection(FILES).find_one(doc! { "_id": &id }))?.is_none() {
            return Ok(None);
        }
        let chunks = self.database.collection(CHUNKS);
        let mut bytes = Vec::new();
        for chunk in self.database.find(doing, chunks.find(doc! { "files_id": &id }).sort(doc! { "n": 1 }))? {
            match chunk.get("data") {
                Some(Bson::Binary(data)) => bytes.extend_from_slice(&data.bytes),
                _ => return Err(Fields::new(&doing, &chunk).wrong_type("data", "bytes")),
            }
        }
        if Digest::of(&bytes) != *digest {
            return Err(broken(format!(
                "{doing}: the bytes that are there have another digest: they are damaged; upload the plugin again"
            )));
        }
        Ok(Some(bytes))
    }
}
