//! The connection: how it is set up, and how each call gets a deadline and its error a place.
//!
//! The driver's blocking client has no limit on the time that a call may take, so the calls are made on a runtime of
//! our own, each under a deadline.

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

/// The version of all that is written here.
const FORMAT: u64 = 1;
/// The collection that holds it.
const META: &str = "meta";

/// Which database is to be used, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the servers are, as `mongodb://[user:password@]host[:port][,...][/?options]`.
    pub uri: String,
    /// The database's name.
    pub database: String,
    /// How long to look for a server that answers.
    pub selection_timeout: Duration,
    /// How long one call may take.
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
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    mongo: ::mongodb::Database,
    /// Where it is, without the password.
    server: String,
    timeout: Duration,
}

impl Database {
    /// Connects and checks that what is in the database is ours.
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let started = Builder::new_multi_thread().worker_threads(1).thread_name("mongodb").enable_all().build();
        let runtime =
            started.map_err(|error| unavailable(format!("the threads that talk to MongoDB do not start: {error}")))?;
        // The text holds a password: it is in no error.
        let refused = |error| failed("reading the connection string", "the one in the configuration", &error);
        let mut options = runtime.block_on(ClientOptions::parse(&config.uri).into_future()).map_err(refused)?;
        let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
        let server = format!("mongodb://{}/{}", hosts.join(","), config.database);
        options.app_name = Some("assay".to_owned());
        options.server_selection_timeout = Some(config.selection_timeout);
        options.connect_timeout = Some(config.selection_timeout);
        // What is read must be what is written, and what is written must stay: whatever the connection string says.
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

    /// How long one call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for a call, within its time. Must not be called from async code.
    pub(super) fn call<T>(
        &self,
        doing: impl Display,
        call: impl IntoFuture<Output = ::mongodb::error::Result<T>>,
    ) -> Result<T, StoreError> {
        self.try_call(&doing, call)?.map_err(|error| failed(doing, &self.server, &error))
    }

    /// As [`Self::call`], for those who look into the driver's error.
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

    /// An error of a call that was made with [`Self::try_call`].
    pub(super) fn failed(&self, doing: impl Display, error: &::mongodb::error::Error) -> StoreError {
        failed(doing, &self.server, error)
    }

    /// All documents that a query finds.
    pub(super) fn find(
        &self,
        doing: impl Display,
        find: ::mongodb::action::Find<'_, Document>,
    ) -> Result<Vec<Document>, StoreError> {
        self.call(doing, async { find.await?.try_collect().await })
    }

    /// Makes an index if it is not there.
    pub(super) fn make_index(&self, collection: &str, keys: Document, options: IndexOptions) -> Result<(), StoreError> {
        let index = IndexModel::builder().keys(keys).options(options).build();
        let doing = format_args!("making an index of the collection '{collection}'");
        self.call(doing, self.collection(collection).create_index(index)).map(drop)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let meta = self.collection(META);
        let made = doc! { "_id": "format", "version": FORMAT as i64 };
        match self.try_call(&"connecting", meta.insert_one(made))? {
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
        // A runtime that is dropped as a value waits for its threads, and panics where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn write_concern(timeout: Duration) -> WriteConcern {
    let mut concern = WriteConcern::majority();
    concern.w_timeout = Some(timeout / 2);
    concern
}
