//! The connection to the database: its options, and calls with a deadline whose errors name the operation and the server.
//!
//! The driver's blocking client cannot bound the time of a call, so the calls run on a runtime of this adapter, each
//! under a deadline.

use std::fmt::Display;
use std::future::IntoFuture;
use std::time::Duration;

use ::mongodb::bson::{Document, doc};
use ::mongodb::options::{ClientOptions, IndexOptions, ReadConcern, SelectionCriteria, WriteConcern};
use ::mongodb::{Client, Collection, IndexModel};
use assay_engine::ports::StoreError;
use futures_util::TryStreamExt as _;
use tokio::runtime::{Builder, Runtime};

use super::error::{broken, failed, is_duplicate, unavailable};
use super::fields::Fields;

/// The version of the format of all documents.
const FORMAT: u64 = 1;
/// The collection that holds the format's version.
const META: &str = "meta";

/// The address of the database and the limits of the adapters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The connection string: `mongodb://[user:password@]host[:port][,...][/?options]`. Read preference and read and
    /// write concern in it are ignored.
    pub uri: String,
    /// The database's name.
    pub database: String,
    /// The time to find a server that answers, and to connect to it.
    pub selection_timeout: Duration,
    /// The timeout of a call.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            uri: "mongodb://127.0.0.1:27017/".to_owned(),
            database: "assay".to_owned(),
            selection_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
        }
    }
}

/// One database of a server.
pub(super) struct Database {
    /// None only during the drop.
    runtime: Option<Runtime>,
    mongo: ::mongodb::Database,
    /// The servers and the database for error texts, without the password.
    server: String,
    timeout: Duration,
}

impl Database {
    /// Connects and checks the format of the data.
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let started = Builder::new_multi_thread().worker_threads(1).thread_name("mongodb").enable_all().build();
        let runtime =
            started.map_err(|error| unavailable(format!("the threads that talk to MongoDB do not start: {error}")))?;
        // The connection string can hold a password, so no error text has it.
        let refused = |error| failed("reading the connection string", "the one in the configuration", &error);
        let mut options = runtime.block_on(ClientOptions::parse(&config.uri).into_future()).map_err(refused)?;
        let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
        let server = format!("mongodb://{}/{}", hosts.join(","), config.database);
        options.app_name = Some("assay".to_owned());
        options.server_selection_timeout = Some(config.selection_timeout);
        options.connect_timeout = Some(config.selection_timeout);
        // Reads must see all acknowledged writes, and these must survive a failover, whatever the connection string says.
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(::mongodb::options::ReadPreference::Primary));
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(write_concern(config.timeout));
        let client = {
            let _in_runtime = runtime.enter();
            Client::with_options(options).map_err(|error| failed("connecting", &server, &error))?
        };
        let mongo = client.database(&config.database);
        let database = Self { runtime: Some(runtime), mongo, server, timeout: config.timeout };
        database.check_format()?;
        Ok(database)
    }

    /// A collection.
    pub(super) fn collection(&self, name: &str) -> Collection<Document> {
        self.mongo.collection(name)
    }

    /// The driver's database.
    pub(super) fn mongo(&self) -> &::mongodb::Database {
        &self.mongo
    }

    /// The timeout of a call.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for a call, up to the timeout. It blocks and panics in async code.
    ///
    /// # Errors
    /// No answer in time, or the driver's error, with `doing` as the operation.
    pub(super) fn call<T>(
        &self,
        doing: impl Display,
        call: impl IntoFuture<Output = ::mongodb::error::Result<T>>,
    ) -> Result<T, StoreError> {
        self.try_call(&doing, call)?.map_err(|error| failed(doing, &self.server, &error))
    }

    /// As [`Self::call`], for callers that handle some errors of the driver.
    pub(super) fn try_call<T>(
        &self,
        doing: &impl Display,
        call: impl IntoFuture<Output = ::mongodb::error::Result<T>>,
    ) -> Result<::mongodb::error::Result<T>, StoreError> {
        let Some(runtime) = &self.runtime else {
            return Err(unavailable(format!("{doing}: the connection is being closed")));
        };
        let call = call.into_future();
        let answer = runtime.block_on(async { tokio::time::timeout(self.timeout, call).await });
        let (server, limit) = (&self.server, self.timeout);
        answer.map_err(|_| unavailable(format!("{doing} on {server}: no answer within {limit:?}; does it still run?")))
    }

    /// The error of the port for an error of [`Self::try_call`].
    pub(super) fn failed(&self, doing: impl Display, error: &::mongodb::error::Error) -> StoreError {
        failed(doing, &self.server, error)
    }

    /// Reads all documents of a query.
    pub(super) fn find(
        &self,
        doing: impl Display,
        find: ::mongodb::action::Find<'_, Document>,
    ) -> Result<Vec<Document>, StoreError> {
        self.call(doing, async { find.await?.try_collect().await })
    }

    /// Creates an index unless it exists.
    pub(super) fn make_index(&self, collection: &str, keys: Document, options: IndexOptions) -> Result<(), StoreError> {
        let index = IndexModel::builder().keys(keys).options(options).build();
        let doing = format_args!("making an index of the collection '{collection}'");
        self.call(doing, self.collection(collection).create_index(index)).map(drop)
    }

    /// Writes the format's version into a new database, or compares it.
    fn check_format(&self) -> Result<(), StoreError> {
        let meta = self.collection(META);
        let format = doc! { "_id": "format", "version": FORMAT as i64 };
        match self.try_call(&"connecting", meta.insert_one(format))? {
            Ok(_) => return Ok(()),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(self.failed("connecting", &error)),
        }
        let doing = "reading the format of the data";
        let found = self.call(doing, meta.find_one(doc! { "_id": "format" }))?.unwrap_or_default();
        match Fields::new(&doing, &found).number("version")? {
            FORMAT => Ok(()),
            other => Err(broken(format!(
                "{} has the data format {other}, and this version of Assay reads {FORMAT}: use the version that wrote \
                 it",
                self.server
            ))),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The drop of a `Runtime` waits for its threads, and panics in async code; this does neither.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn write_concern(timeout: Duration) -> WriteConcern {
    let mut concern = WriteConcern::majority();
    // Shorter than the timeout of the call, so that the server's own error arrives.
    concern.w_timeout = Some(timeout / 2);
    concern
}
